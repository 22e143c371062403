package pjrt

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Executable is a compiled program for one or more devices. Run is safe for concurrent use.
type Executable struct {
	client  *Client
	handle  uintptr
	devices int
	outputs int
}

// Compile compiles a StableHLO module in MLIR's text form. options is a serialized CompileOptionsProto; outputs is how many
// results the module's main function has; devices is how many partitions options ask for.
func (c *Client) Compile(module, options []byte, devices, outputs int) (*Executable, error) {
	if len(module) == 0 || devices < 1 || devices > len(c.devices) {
		return nil, fmt.Errorf("pjrt: a program of %d bytes for %d of %d devices", len(module), devices, len(c.devices))
	}
	p := &programArgs{header: size[programArgs](), code: &module[0], codeSize: uintptr(len(module))}
	p.format, p.formatSize = bytesOf("mlir")
	a := &compileArgs{header: size[compileArgs](), client: c.handle, program: p, optionsSize: uintptr(len(options))}
	if len(options) > 0 {
		a.options = &options[0]
	}
	if err := c.plugin.call(fClientCompile, unsafe.Pointer(a)); err != nil {
		return nil, err
	}
	return &Executable{client: c, handle: a.executable, devices: devices, outputs: outputs}, nil
}

// Destroy frees the program.
func (e *Executable) Destroy() error {
	if e.handle == 0 {
		return nil
	}
	err := e.client.plugin.destroy(fExecutableDestroy, e.handle)
	e.handle = 0
	return err
}

// Run starts the program on arguments, a list for each device, and returns the results in the same way, perhaps before
// they are computed: whoever reads one waits. An argument that the module lets go is used up even where Run fails.
func (e *Executable) Run(arguments [][]*Buffer) ([][]*Buffer, error) {
	if len(arguments) != e.devices {
		return nil, fmt.Errorf("pjrt: arguments for %d devices, the program is for %d", len(arguments), e.devices)
	}
	a := &executeArgs{header: size[executeArgs](), executable: e.handle, devices: uintptr(e.devices)}
	a.options = &executeOptions{header: size[executeOptions]()}
	in, out := make([]*uintptr, e.devices), make([]*uintptr, e.devices)
	lists := make([][]uintptr, e.devices)
	for d, list := range arguments {
		handles := make([]uintptr, len(list)+1) // never empty
		for i, b := range list {
			if b == nil || b.handle == 0 {
				return nil, fmt.Errorf("pjrt: argument %d is no buffer", i)
			}
			handles[i] = b.handle
		}
		in[d] = &handles[0]
		lists[d] = make([]uintptr, e.outputs+1)
		out[d] = &lists[d][0]
	}
	a.arguments, a.outputs, a.count = &in[0], &out[0], uintptr(len(arguments[0]))
	err := e.client.plugin.call(fExecutableRun, unsafe.Pointer(a))
	runtime.KeepAlive(arguments)
	if err != nil {
		return nil, err
	}
	results := make([][]*Buffer, e.devices)
	for d := range results {
		for _, handle := range lists[d][:e.outputs] {
			results[d] = append(results[d], &Buffer{client: e.client, handle: handle})
		}
	}
	return results, nil
}

// Buffer is a tensor on a device.
type Buffer struct {
	client *Client
	handle uintptr
}

// Element is what a buffer can be made of in Go.
type Element interface {
	~uint8 | ~uint16 | ~int32 | ~uint32 | ~int64 | ~uint64 | ~float32 | ~float64
}

// Upload copies a dense tensor in C order onto a device.
func Upload[T Element](c *Client, device int, kind Type, values []T, shape []int) (*Buffer, error) {
	n := 1
	dims := make([]int64, len(shape)+1) // never empty
	for i, d := range shape {
		dims[i] = int64(d)
		n *= d
	}
	if n != len(values) || n == 0 {
		return nil, fmt.Errorf("pjrt: %d values for shape %v", len(values), shape)
	}
	a := &fromHostArgs{header: size[fromHostArgs](), client: c.handle, data: unsafe.Pointer(&values[0]), kind: kind, dims: &dims[0],
		rank: uintptr(len(shape)), device: c.devices[device]} // semantics 0: the memory is read during the call only
	if err := c.plugin.call(fClientFromHost, unsafe.Pointer(a)); err != nil {
		return nil, err
	}
	err := c.plugin.await(a.done)
	runtime.KeepAlive(values)
	b := &Buffer{client: c, handle: a.buffer}
	if err != nil {
		_ = b.Destroy() // the first error is the one to tell
		return nil, err
	}
	return b, nil
}

// Download waits for a buffer's values and copies them to memory of the right length.
func Download[T Element](b *Buffer, values []T) error {
	if len(values) == 0 {
		return nil
	}
	a := &toHostArgs{header: size[toHostArgs](), buffer: b.handle, to: unsafe.Pointer(&values[0]), length: uintptr(len(values)) * unsafe.Sizeof(values[0])}
	var pinner runtime.Pinner // the copy ends after the call
	pinner.Pin(&values[0])
	defer pinner.Unpin()
	if err := b.client.plugin.call(fBufferToHost, unsafe.Pointer(a)); err != nil {
		return err
	}
	return b.client.plugin.await(a.event)
}

// Destroy frees the buffer. Destroying twice, or nil, does nothing.
func (b *Buffer) Destroy() error {
	if b == nil || b.handle == 0 {
		return nil
	}
	handle := b.handle
	b.handle = 0
	return b.client.plugin.destroy(fBufferDestroy, handle)
}
