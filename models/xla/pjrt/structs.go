package pjrt

import "unsafe"

// header begins every structure: its size, and extensions, of which none is used.
type header struct {
	size uintptr
	ext  unsafe.Pointer
}

// size is the header of a T.
func size[T any]() header {
	var t T
	return header{size: unsafe.Sizeof(t)}
}

// spare is room for fields that a newer plugin knows.
type spare [8]uintptr

// The arguments of pjrt_c_api.h's functions. Handles of the plugin's are uintptr; pointers are to memory of Go's, or of the plugin's
// where it gives a text.
type (
	initializeArgs struct{ header }
	handleArgs     struct { // PJRT_Event_Await_Args and all that destroy
		header
		handle uintptr
	}
	messageArgs struct { // PJRT_Error_Message_Args
		header
		err    uintptr
		text   *byte
		length uintptr
	}
	textArgs struct { // PJRT_Client_PlatformName_Args, ..._PlatformVersion_Args, PJRT_DeviceDescription_Kind_Args
		header
		of     uintptr
		text   *byte
		length uintptr
	}
	pairArgs struct { // PJRT_Device_GetDescription_Args
		header
		of, out uintptr
	}
	namedValue struct { // PJRT_NamedValue, which stands in arrays: no room for more
		header
		name       *byte
		nameLength uintptr
		kind       int32
		value      uint64 // a union
		length     uintptr
	}
	createArgs struct { // PJRT_Client_Create_Args
		header
		options   *namedValue
		count     uintptr
		callbacks [4]uintptr
		client    uintptr
		more      [2]uintptr
		_         spare
	}
	devicesArgs struct { // PJRT_Client_AddressableDevices_Args
		header
		client  uintptr
		devices *uintptr
		count   uintptr
	}
	memoryArgs struct { // PJRT_Device_MemoryStats_Args
		header
		device     uintptr
		inUse      int64
		peak       int64
		peakKnown  bool
		_          [18]uintptr
		_, _, _, _ spare
	}
	programArgs struct { // PJRT_Program
		header
		code       *byte
		codeSize   uintptr
		format     *byte
		formatSize uintptr
	}
	compileArgs struct { // PJRT_Client_Compile_Args
		header
		client      uintptr
		program     *programArgs
		options     *byte
		optionsSize uintptr
		executable  uintptr
		_           spare
	}
	fromHostArgs struct { // PJRT_Client_BufferFromHostBuffer_Args
		header
		client    uintptr
		data      unsafe.Pointer
		kind      Type
		dims      *int64
		rank      uintptr
		strides   *int64
		strideLen uintptr
		semantics int32
		device    uintptr
		memory    uintptr
		layout    unsafe.Pointer
		done      uintptr
		buffer    uintptr
		_         spare
	}
	toHostArgs struct { // PJRT_Buffer_ToHostBuffer_Args
		header
		buffer uintptr
		layout unsafe.Pointer
		to     unsafe.Pointer
		length uintptr
		event  uintptr
		_      spare
	}
	executeOptions struct { // PJRT_ExecuteOptions
		header
		_ [2]uintptr // callbacks of sends and receives
		_ [2]uintptr // their numbers
		_ int32      // launch id
		_ *int64     // inputs that must not be donated, and their number
		_ uintptr
		_ uintptr    // context
		_ *byte      // call location
		_ [3]uintptr // tasks, their ids, incarnations
		_ spare
	}
	executeArgs struct { // PJRT_LoadedExecutable_Execute_Args
		header
		executable uintptr
		options    *executeOptions
		arguments  **uintptr
		devices    uintptr
		count      uintptr
		outputs    **uintptr
		events     *uintptr
		device     uintptr
		_          spare
	}
)

func bytesOf(s string) (*byte, uintptr) {
	b := append([]byte(s), 0)
	return &b[0], uintptr(len(s))
}

// cText copies a text of the plugin's.
func cText(p *byte, length uintptr) string {
	if p == nil {
		return ""
	}
	return string(unsafe.Slice(p, length))
}
