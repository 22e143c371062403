//go:build linux && (amd64 || arm64)

package openvino

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is the C functions of one loaded libopenvino_c. Handles are uintptr. A shape is a C structure of rank
// and dimensions passed by value: on these processors that is the same as two arguments.
type library struct {
	lastError      func() string
	release        func(p unsafe.Pointer)
	getVersion     func(v *versionC) int32
	versionFree    func(v *versionC)
	coreCreate     func(core *uintptr) int32
	coreProperty   func(core uintptr, device, key string, value **byte) int32
	modelRead      func(core uintptr, model unsafe.Pointer, n uint64, weights uintptr, out *uintptr) int32
	modelFree      func(model uintptr)
	modelCompile   func(core, model uintptr, device string, n uint64, properties unsafe.Pointer, out *uintptr) int32
	compiledFree   func(compiled uintptr)
	inputsSize     func(compiled uintptr, n *uint64) int32
	outputsSize    func(compiled uintptr, n *uint64) int32
	input          func(compiled uintptr, i uint64, port *uintptr) int32
	output         func(compiled uintptr, i uint64, port *uintptr) int32
	portFree       func(port uintptr)
	portName       func(port uintptr, name **byte) int32
	portType       func(port uintptr, kind *int32) int32
	portShape      func(port uintptr, shape *shapeC) int32
	shapeFree      func(shape *shapeC) int32
	requestCreate  func(compiled uintptr, request *uintptr) int32
	requestFree    func(request uintptr)
	requestInfer   func(request uintptr) int32
	setInput       func(request uintptr, i uint64, tensor uintptr) int32
	setOutput      func(request uintptr, i uint64, tensor uintptr) int32
	tensorOnMemory func(kind int32, rank int64, dims unsafe.Pointer, memory unsafe.Pointer, tensor *uintptr) int32
	tensorFree     func(tensor uintptr)
}

// versionC is ov_version_t, shapeC ov_shape_t, propertyC ov_property_t.
type (
	versionC struct{ build, _ *byte } // and a description
	shapeC   struct {
		rank int64
		dims *int64
	}
	propertyC struct{ key, value *byte }
)

// float32C is ov_element_type_e's F32.
const float32C = 4

var loaded struct {
	sync.Mutex
	libs map[string]*library
}

// open loads the library at path, once for a process. It is never unloaded: its threads may be running.
func open(path string) (*library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if lib := loaded.libs[path]; lib != nil {
		return lib, nil
	}
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	lib := &library{}
	for name, f := range map[string]any{
		"ov_get_last_err_msg": &lib.lastError, "ov_free": &lib.release,
		"ov_get_openvino_version": &lib.getVersion, "ov_version_free": &lib.versionFree,
		"ov_core_create": &lib.coreCreate, "ov_core_get_property": &lib.coreProperty,
		"ov_core_read_model_from_memory_buffer": &lib.modelRead, "ov_model_free": &lib.modelFree,
		"ov_core_compile_model_props": &lib.modelCompile, "ov_compiled_model_free": &lib.compiledFree,
		"ov_compiled_model_inputs_size": &lib.inputsSize, "ov_compiled_model_outputs_size": &lib.outputsSize,
		"ov_compiled_model_input_by_index": &lib.input, "ov_compiled_model_output_by_index": &lib.output,
		"ov_output_const_port_free": &lib.portFree, "ov_port_get_any_name": &lib.portName, "ov_port_get_element_type": &lib.portType,
		"ov_const_port_get_shape": &lib.portShape, "ov_shape_free": &lib.shapeFree,
		"ov_compiled_model_create_infer_request": &lib.requestCreate, "ov_infer_request_free": &lib.requestFree,
		"ov_infer_request_infer": &lib.requestInfer, "ov_infer_request_set_input_tensor_by_index": &lib.setInput,
		"ov_infer_request_set_output_tensor_by_index": &lib.setOutput,
		"ov_tensor_create_from_host_ptr":              &lib.tensorOnMemory, "ov_tensor_free": &lib.tensorFree,
	} {
		symbol, err := purego.Dlsym(h, name)
		if err != nil {
			return nil, fmt.Errorf("%s is too old: %w", path, err)
		}
		purego.RegisterFunc(f, symbol)
	}
	if loaded.libs == nil {
		loaded.libs = map[string]*library{}
	}
	loaded.libs[path] = lib
	return lib, nil
}

// check runs a call and turns its status into an error. The library keeps its message for the thread.
func (l *library) check(call func() int32) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := call()
	if status == 0 {
		return nil
	}
	if message := l.lastError(); message != "" {
		return errors.New(message)
	}
	return fmt.Errorf("status %d", status)
}

func (l *library) newCore() (core uintptr, err error) {
	err = l.check(func() int32 { return l.coreCreate(&core) })
	return core, err
}

func (l *library) version() (string, error) {
	var v versionC
	if err := l.check(func() int32 { return l.getVersion(&v) }); err != nil {
		return "", err
	}
	defer l.versionFree(&v)
	return goString(v.build), nil
}

// property returns a property of the CPU device.
func (l *library) property(core uintptr, key string) (string, error) {
	var value *byte
	if err := l.check(func() int32 { return l.coreProperty(core, "CPU", key, &value) }); err != nil {
		return "", err
	}
	defer l.release(unsafe.Pointer(value))
	return goString(value), nil
}

// readModel reads an ONNX file. The library copies what it keeps.
func (l *library) readModel(core uintptr, file []byte) (model uintptr, err error) {
	if len(file) == 0 {
		return 0, errors.New("the model is empty")
	}
	err = l.check(func() int32 { return l.modelRead(core, unsafe.Pointer(&file[0]), uint64(len(file)), 0, &model) })
	runtime.KeepAlive(file)
	return model, err
}

// compile compiles a model; properties are keys and values in turn.
func (l *library) compile(core, model uintptr, properties []string) (compiled uintptr, err error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	list := make([]propertyC, len(properties)/2)
	for i := range list {
		list[i] = propertyC{cString(properties[2*i]), cString(properties[2*i+1])}
		pinner.Pin(list[i].key)
		pinner.Pin(list[i].value)
	}
	pinner.Pin(&list[0])
	err = l.check(func() int32 {
		return l.modelCompile(core, model, "CPU", uint64(len(list)), unsafe.Pointer(&list[0]), &compiled)
	})
	return compiled, err
}

// port returns what the library says of an input or output, and frees the handle.
func (l *library) port(get func(compiled uintptr, i uint64, port *uintptr) int32, compiled uintptr, i int) (name string, kind int32, shape []int, err error) {
	var port uintptr
	if err := l.check(func() int32 { return get(compiled, uint64(i), &port) }); err != nil {
		return "", 0, nil, err
	}
	defer l.portFree(port)
	var text *byte
	if err := l.check(func() int32 { return l.portName(port, &text) }); err != nil {
		return "", 0, nil, err
	}
	name = goString(text)
	l.release(unsafe.Pointer(text))
	if err := l.check(func() int32 { return l.portType(port, &kind) }); err != nil {
		return "", 0, nil, err
	}
	var s shapeC
	if err := l.check(func() int32 { return l.portShape(port, &s) }); err != nil {
		return "", 0, nil, fmt.Errorf("%q has no fixed shape: %w", name, err)
	}
	defer l.shapeFree(&s)
	for _, d := range unsafe.Slice(s.dims, s.rank) {
		shape = append(shape, int(d))
	}
	return name, kind, shape, nil
}

// tensor makes a float32 tensor on Go's memory, which must be pinned as long as the tensor is used.
func (l *library) tensor(shape []int, memory []float32) (tensor uintptr, err error) {
	dims := make([]int64, max(len(shape), 1))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	err = l.check(func() int32 {
		return l.tensorOnMemory(float32C, int64(len(shape)), unsafe.Pointer(&dims[0]), unsafe.Pointer(&memory[0]), &tensor)
	})
	return tensor, err
}

func goString(p *byte) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

func cString(s string) *byte {
	b := append([]byte(s), 0)
	return &b[0]
}
