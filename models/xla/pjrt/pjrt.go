// Package pjrt calls a PJRT plugin, the C interface under which XLA's compiler and devices are served
// (openxla.org/xla/pjrt, pjrt_c_api.h), through purego and so without cgo. It has what models/xla needs and no more.
//
// Invariants:
//   - The plugin must see memory of Go's only during a call; what it keeps, it copies.
//   - Every handle has one owner in Go, who must destroy it. A plugin and its client live as long as the process.
//   - Each structure begins with its size, by which a plugin knows the caller's version. Ours are followed by zeros, so that
//     a plugin with newer fields finds these empty.
package pjrt

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Type is PJRT_Buffer_Type.
type Type int32

// The types that models/xla uses.
const (
	Pred Type = 1
	S32  Type = 4
	S64  Type = 5
	U32  Type = 8
	U64  Type = 9
	F32  Type = 11
	F64  Type = 12
	BF16 Type = 13
)

// Plugin is a loaded PJRT library. Its methods are safe for concurrent use.
type Plugin struct {
	path         string
	api          *table
	Major, Minor int // the interface's version
}

// functions is how many entries of the table are called.
const functions = 128

// table is PJRT_Api: the functions in the order of the header. Fields are only ever added at its end.
type table struct {
	size    uintptr
	_       unsafe.Pointer
	version struct {
		size         uintptr
		ext          unsafe.Pointer
		major, minor int32
	}
	call [functions]uintptr
}

// Indices into table.call.
const (
	fErrorDestroy      = 0
	fErrorMessage      = 1
	fPluginInitialize  = 3
	fEventDestroy      = 5
	fEventAwait        = 8
	fClientCreate      = 10
	fClientPlatform    = 12
	fClientVersion     = 14
	fClientDevices     = 16 // addressable ones
	fClientCompile     = 20
	fClientFromHost    = 22
	fDescriptionKind   = 26
	fDeviceDescription = 29
	fDeviceMemory      = 34
	fExecutableDestroy = 50 // of a loaded executable
	fExecutableRun     = 55
	fBufferDestroy     = 58
	fBufferToHost      = 70
)

// Load opens a plugin and initialises it. It is never unloaded: its threads may be running.
func Load(path string) (*Plugin, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	get, err := symbol(path, "GetPjrtApi")
	if err != nil {
		return nil, err
	}
	at, _, _ := purego.SyscallN(get)
	if at == 0 {
		return nil, fmt.Errorf("%s: GetPjrtApi gives nothing", path)
	}
	p := &Plugin{path: path, api: *(**table)(unsafe.Pointer(&at))}
	if need := unsafe.Offsetof(p.api.call) + (fBufferToHost+1)*unsafe.Sizeof(uintptr(0)); p.api.size < need {
		return nil, fmt.Errorf("%s: its PJRT interface is too old: %d bytes, %d are needed", path, p.api.size, need)
	}
	p.Major, p.Minor = int(p.api.version.major), int(p.api.version.minor)
	if p.Major != 0 {
		return nil, fmt.Errorf("%s: its PJRT interface is version %d.%d, this program knows version 0", path, p.Major, p.Minor)
	}
	if err := p.call(fPluginInitialize, unsafe.Pointer(&initializeArgs{header: size[initializeArgs]()})); err != nil {
		return nil, fmt.Errorf("%s: initialising: %w", path, err)
	}
	return p, nil
}

// Path is the library's absolute path.
func (p *Plugin) Path() string { return p.path }

// call runs a function on its arguments, which must lie on Go's heap, and takes its error.
func (p *Plugin) call(index int, args unsafe.Pointer) error {
	failure, _, _ := purego.SyscallN(p.api.call[index], uintptr(args))
	runtime.KeepAlive(args)
	if failure == 0 {
		return nil
	}
	message := &messageArgs{header: size[messageArgs](), err: failure}
	purego.SyscallN(p.api.call[fErrorMessage], uintptr(unsafe.Pointer(message)))
	text := cText(message.text, message.length)
	destroy := &handleArgs{header: size[handleArgs](), handle: failure}
	purego.SyscallN(p.api.call[fErrorDestroy], uintptr(unsafe.Pointer(destroy)))
	return &Error{Message: text}
}

// destroy gives a handle back.
func (p *Plugin) destroy(index int, handle uintptr) error {
	return p.call(index, unsafe.Pointer(&handleArgs{header: size[handleArgs](), handle: handle}))
}

// await waits for an event and frees it.
func (p *Plugin) await(event uintptr) error {
	if event == 0 {
		return nil
	}
	err := p.call(fEventAwait, unsafe.Pointer(&handleArgs{header: size[handleArgs](), handle: event}))
	if e := p.destroy(fEventDestroy, event); err == nil {
		err = e
	}
	return err
}

// Error is what a plugin says.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

// Option is an option of NewClient; which there are is the plugin's to say. Value is a string, int64, float32 or bool.
type Option struct {
	Name  string
	Value any
}

// Client is a plugin's devices. Its methods are safe for concurrent use.
type Client struct {
	plugin            *Plugin
	handle            uintptr
	devices           []uintptr
	Platform, Version string // such as "cpu" and "cuda", and what the plugin says of its version
}

// NewClient starts the devices.
func (p *Plugin) NewClient(options []Option) (*Client, error) {
	args := &createArgs{header: size[createArgs]()}
	var texts []*byte // named by number in the list, so kept by hand
	if len(options) > 0 {
		list := make([]namedValue, len(options))
		for i, o := range options {
			v := &list[i]
			v.header = header{size: unsafe.Sizeof(*v)}
			v.name, v.nameLength = bytesOf(o.Name)
			v.length = 1
			switch x := o.Value.(type) {
			case string:
				var data *byte
				data, v.length = bytesOf(x)
				texts = append(texts, data)
				v.kind, v.value = 0, uint64(uintptr(unsafe.Pointer(data)))
			case int64:
				v.kind, v.value = 1, uint64(x)
			case float32:
				v.kind, v.value = 3, uint64(math.Float32bits(x))
			case bool:
				v.kind = 4
				if x {
					v.value = 1
				}
			default:
				return nil, fmt.Errorf("pjrt: option %s has type %T", o.Name, o.Value)
			}
		}
		args.options, args.count = &list[0], uintptr(len(list))
	}
	err := p.call(fClientCreate, unsafe.Pointer(args))
	runtime.KeepAlive(texts)
	if err != nil {
		return nil, err
	}
	c := &Client{plugin: p, handle: args.client}
	for _, f := range []struct {
		index int
		to    *string
	}{{fClientPlatform, &c.Platform}, {fClientVersion, &c.Version}} {
		a := &textArgs{header: size[textArgs](), of: c.handle}
		if err := p.call(f.index, unsafe.Pointer(a)); err != nil {
			return nil, err
		}
		*f.to = cText(a.text, a.length)
	}
	d := &devicesArgs{header: size[devicesArgs](), client: c.handle}
	if err := p.call(fClientDevices, unsafe.Pointer(d)); err != nil {
		return nil, err
	}
	if d.count == 0 {
		return nil, fmt.Errorf("pjrt: platform %s has no device", c.Platform)
	}
	c.devices = append(c.devices, unsafe.Slice(d.devices, d.count)...)
	return c, nil
}

// Plugin returns the client's plugin.
func (c *Client) Plugin() *Plugin { return c.plugin }

// Devices returns how many devices there are.
func (c *Client) Devices() int { return len(c.devices) }

// Kind says what a device is, such as "NVIDIA H100".
func (c *Client) Kind(device int) (string, error) {
	d := &pairArgs{header: size[pairArgs](), of: c.devices[device]}
	if err := c.plugin.call(fDeviceDescription, unsafe.Pointer(d)); err != nil {
		return "", err
	}
	a := &textArgs{header: size[textArgs](), of: d.out}
	if err := c.plugin.call(fDescriptionKind, unsafe.Pointer(a)); err != nil {
		return "", err
	}
	return cText(a.text, a.length), nil
}

// Memory returns the bytes that are in use on a device now and at their highest; a plugin may not know.
func (c *Client) Memory(device int) (now, peak int64, err error) {
	a := &memoryArgs{header: size[memoryArgs](), device: c.devices[device]}
	if err := c.plugin.call(fDeviceMemory, unsafe.Pointer(a)); err != nil {
		return 0, 0, err
	}
	return a.inUse, a.peak, nil
}
