//go:build (linux || darwin) && (amd64 || arm64)

package unzstd

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// libraryNames are the names of libzstd 1.x, whose interface and format are stable.
var libraryNames = []string{"libzstd.so.1", "libzstd.1.dylib"}

// library is libzstd's simple interface (zstd.h, "Explicit context").
type library struct {
	newContext  func() uintptr
	freeContext func(context uintptr) uintptr
	decompress  func(context uintptr, dst unsafe.Pointer, capacity uintptr, src unsafe.Pointer, size uintptr) uintptr
	isError     func(code uintptr) uint32
	contexts    sync.Pool // of *context
}

// context is libzstd's working memory, freed when nothing holds it any more. One goroutine at a time.
type context struct{ handle uintptr }

// load returns the first library that opens and has what is needed, or nil.
func load(names ...string) *library {
	for _, name := range names {
		handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			continue
		}
		l := new(library)
		if l.bind(handle) == nil {
			return l
		}
	}
	return nil
}

func (l *library) bind(handle uintptr) error {
	for symbol, function := range map[string]any{
		"ZSTD_createDCtx":     &l.newContext,
		"ZSTD_freeDCtx":       &l.freeContext,
		"ZSTD_decompressDCtx": &l.decompress,
		"ZSTD_isError":        &l.isError,
	} {
		at, err := purego.Dlsym(handle, symbol)
		if err != nil {
			return fmt.Errorf("unzstd: %w", err)
		}
		purego.RegisterFunc(function, at)
	}
	return nil
}

// decode unpacks frame into dst, of which it uses no more than its length. Neither is empty.
func (l *library) decode(dst, frame []byte) ([]byte, error) {
	c, _ := l.contexts.Get().(*context)
	if c == nil {
		c = &context{l.newContext()}
		if c.handle == 0 {
			panic("unzstd: libzstd has no memory left")
		}
		runtime.AddCleanup(c, func(handle uintptr) { l.freeContext(handle) }, c.handle)
	}
	n := l.decompress(c.handle, unsafe.Pointer(&dst[0]), uintptr(len(dst)), unsafe.Pointer(&frame[0]), uintptr(len(frame)))
	failed := l.isError(n) != 0
	l.contexts.Put(c)
	runtime.KeepAlive(dst)
	runtime.KeepAlive(frame)
	if failed {
		return nil, fmt.Errorf("%w: libzstd refuses it", ErrCorrupt)
	}
	return dst[:n], nil
}
