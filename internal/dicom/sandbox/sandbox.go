// Package sandbox decodes JPEG, JPEG 2000 and HTJ2K images with C++ codecs that were compiled to WebAssembly and run inside
// wazero, a runtime in Go: what a hostile image makes of them stays in a memory of their own.
//
// The codecs are those of dcmjs-codecs 0.0.6 (https://github.com/PantelisGeorgiadis/dcmjs-codecs, MIT: LICENSE.dcmjs-codecs): IJG's JPEG,
// OpenJPEG and OpenJPH. No Go module that is to be had decodes these formats right; of JPEG 2000, images of one component and without loss,
// which are most, are decoded by package jpeg2000, and only the others come here.
//
// Invariants:
//   - An image's own size is compared with the expected one before a codec sees it, so that work is bounded by what the caller allows. What
//     the codecs would spend more on (thousands of tiles or of scans) is refused: nothing stops a codec at work, not even Go's scheduler.
//   - A codec that fails is never used again: the next image gets a new instance.
//   - Memory of an instance is bounded by memoryPages, and time by the image's size; what takes longer is left to itself.
//   - Errors carry nothing of the image, and no text of the codecs'.
package sandbox

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

var (
	// ErrMalformed is wrapped by errors about an image that its codec refuses, or of another size than is expected.
	ErrMalformed = errors.New("malformed")
	// ErrTooMuch is wrapped by errors about an image that takes more time or memory than it should.
	ErrTooMuch = errors.New("takes too much")
)

// Codec is one of the formats.
type Codec string

// The codecs, by the name of the function that decodes.
const (
	JPEG     Codec = "DecodeJpeg"
	JPEG2000 Codec = "DecodeJpeg2000"
	HTJ2K    Codec = "DecodeHtJpeg2000"
)

// Image is what the caller knows of an image of one sample a pixel.
type Image struct {
	Rows, Columns int
	BitsAllocated int // 8 or 16
	BitsStored    int
	Signed        bool
}

func (im *Image) bytes() int { return im.Rows * im.Columns * im.BitsAllocated / 8 }

// deadline is a hundred times and more what an image takes that has a processor to itself: a busy machine must not make a sound image fail.
func (im *Image) deadline() time.Duration {
	return 5*time.Second + time.Duration(im.Rows*im.Columns)*40*time.Microsecond
}

const (
	memoryPages = 384 << 20 / 65536 // of an instance
	keptBytes   = 64 << 20          // an instance that grew larger is not kept
	maxLost     = 8                 // instances that do not come to an end; then nothing is decoded any more
)

// Decode decodes one image: [Rows, Columns], samples of BitsAllocated bits in little endian. The caller owns the result. It may be called
// from several goroutines.
func Decode(codec Codec, data []byte, im Image) ([]byte, error) {
	if err := checkSize(codec, data, &im); err != nil {
		return nil, err
	}
	codecs, err := compiled()
	if err != nil {
		return nil, err
	}
	if codecs.lost.Load() >= maxLost {
		return nil, fmt.Errorf("%w: %d images before it did not come to an end", ErrTooMuch, maxLost)
	}
	i, err := codecs.take()
	if err != nil {
		return nil, err
	}
	type outcome struct {
		pix []byte
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		pix, err := i.decode(codec, data, &im)
		done <- outcome{pix, err}
	}()
	timer := time.NewTimer(im.deadline())
	defer timer.Stop()
	select {
	case o := <-done:
		codecs.give(i, o.err)
		return o.pix, o.err
	case <-timer.C:
		codecs.lost.Add(1)
		go func() {
			<-done
			codecs.give(i, ErrTooMuch)
			codecs.lost.Add(-1)
		}()
		return nil, fmt.Errorf("%w: more than %s", ErrTooMuch, im.deadline())
	}
}

//go:embed codecs.wasm
var module []byte

// program is the compiled module, one a process, and its idle instances.
type program struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
	lost    atomic.Int32

	mu   sync.Mutex
	idle []*instance
}

var compiled = sync.OnceValues(func() (*program, error) {
	ctx := context.Background()
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(memoryPages)
	// Compiling takes a second or two, so that its result is kept on disk where that can be.
	if dir, err := os.UserCacheDir(); err == nil {
		if cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, "cspine", "codecs")); err == nil {
			config = config.WithCompilationCache(cache)
		}
	}
	p := &program{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return nil, fmt.Errorf("codecs: %w", err)
	}
	say := func(context.Context, api.Module, uint32, uint32) {}
	_, err := p.runtime.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(func(uint32) {}).Export("emscripten_notify_memory_growth").
		NewFunctionBuilder().WithFunc(say).Export("onCodecsInfo").
		NewFunctionBuilder().WithFunc(say).Export("onCodecsTrace").
		NewFunctionBuilder().WithFunc(func(context.Context, api.Module, uint32, uint32) { panic(errRefused) }).Export("onCodecsException").
		Instantiate(ctx)
	if err != nil {
		return nil, fmt.Errorf("codecs: %w", err)
	}
	small, err := shrunk(module)
	if err != nil {
		return nil, err
	}
	if p.module, err = p.runtime.CompileModule(ctx, small); err != nil {
		return nil, fmt.Errorf("codecs: %w", err)
	}
	return p, nil
})

// shrunk returns the module with a memory of 16 MiB to begin with, and not 256, which took longer to make than an image to decode. It
// grows as it needs to.
func shrunk(module []byte) ([]byte, error) {
	memory := func(pages string) []byte { return []byte("\x05\x07\x01\x01" + pages + "\x80\x80\x02") } // WebAssembly 1.0, 5.5.8
	if bytes.Count(module, memory("\x80\x20")) != 1 {
		return nil, errors.New("codecs: the module's memory is not what it was")
	}
	return bytes.Replace(module, memory("\x80\x20"), memory("\x80\x02"), 1), nil
}

// errRefused is how a codec's exception comes out of it.
var errRefused = errors.New("the codec refuses the image")

// take returns an idle instance, or a new one.
func (p *program) take() (*instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		i := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return i, nil
	}
	m, err := p.runtime.InstantiateModule(context.Background(), p.module, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, fmt.Errorf("codecs: %w", err)
	}
	return &instance{m}, nil
}

// give takes an instance back, or away after an error.
func (p *program) give(i *instance, err error) {
	if err != nil || i.module.Memory().Size() > keptBytes {
		_ = i.module.Close(context.Background())
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, i)
}

type instance struct{ module api.Module }

// call calls a function of the module. Its results are at most one number.
func (i *instance) call(name string, args ...uint64) (uint64, error) {
	f := i.module.ExportedFunction(name)
	if f == nil {
		return 0, fmt.Errorf("codecs: no function %s", name)
	}
	r, err := f.Call(context.Background(), args...)
	if err != nil {
		return 0, fmt.Errorf("%w: the codec refuses it", ErrMalformed)
	}
	if len(r) == 0 {
		return 0, nil
	}
	return r[0], nil
}

const monochrome2 = 1 // of the codecs' photometric interpretations

func (i *instance) decode(codec Codec, data []byte, im *Image) ([]byte, error) {
	signed := uint64(0)
	if im.Signed {
		signed = 1
	}
	image, err := i.call("CreateCodecsContext")
	if err != nil {
		return nil, err
	}
	for _, set := range []struct {
		name  string
		value uint64
	}{
		{"SetColumns", uint64(im.Columns)}, {"SetRows", uint64(im.Rows)}, {"SetBitsAllocated", uint64(im.BitsAllocated)},
		{"SetBitsStored", uint64(im.BitsStored)}, {"SetSamplesPerPixel", 1}, {"SetPixelRepresentation", signed},
		{"SetPlanarConfiguration", 0}, {"SetPhotometricInterpretation", monochrome2}, {"SetEncodedBufferSize", uint64(len(data))},
	} {
		if _, err := i.call(set.name, image, set.value); err != nil {
			return nil, err
		}
	}
	at, err := i.call("GetEncodedBuffer", image)
	if err != nil {
		return nil, err
	}
	if !i.module.Memory().Write(uint32(at), data) {
		return nil, fmt.Errorf("%w: an image of %d bytes", ErrTooMuch, len(data))
	}
	parameters, err := i.call("CreateDecoderParameters")
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		args []uint64
	}{
		{"SetConvertColorspaceToRgb", []uint64{parameters, 0}}, {string(codec), []uint64{image, parameters}}, {"ReleaseDecoderParameters", []uint64{parameters}},
	} {
		if _, err := i.call(step.name, step.args...); err != nil {
			return nil, err
		}
	}
	at, err = i.call("GetDecodedBuffer", image)
	if err != nil {
		return nil, err
	}
	n, err := i.call("GetDecodedBufferSize", image)
	if err != nil {
		return nil, err
	}
	pix, ok := i.module.Memory().Read(uint32(at), uint32(n))
	if !ok || len(pix) != im.bytes() {
		return nil, fmt.Errorf("%w: it decodes to %d bytes, must be %d", ErrMalformed, n, im.bytes())
	}
	pix = append([]byte(nil), pix...)
	_, err = i.call("ReleaseCodecsContext", image)
	return pix, err
}
