// Package unzstd unpacks zstd frames (RFC 8878), with the system's libzstd where there is one.
//
// It exists for speed: with the same frames, libzstd takes little more than half the time of the Go
// decoder. Both must give the same bytes; which one works is no matter of correctness, so nothing must
// depend on it but time. The library is looked for once, at the first use, and never required; the
// environment variable CSPINE_LIBZSTD names another file, or "off" for none.
package unzstd

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxContent is the most that a frame may unpack to, in bytes.
const MaxContent = 1 << 30

// ErrCorrupt is wrapped by every error: the frame is not sound, or its content does not fit.
var ErrCorrupt = errors.New("unzstd: corrupt frame")

// Room returns the capacity to give Decode for size bytes of content. The Go decoder copies in wide steps,
// a good deal faster, as long as twice the size fits; what is never touched costs no memory.
func Room(size int) int { return 2*size + 64 }

// Decode unpacks frame into dst's memory and returns the content. It never grows dst: content beyond its
// capacity is an error. It is safe for concurrent use and for hostile input.
func Decode(dst, frame []byte) ([]byte, error) {
	if len(frame) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	if lib := system(); lib != nil && cap(dst) > 0 {
		return lib.decode(dst[:cap(dst)], frame)
	}
	out, err := decoder().DecodeAll(frame, dst[:0:cap(dst)])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return out, nil
}

// Implementation names what Decode works with: "libzstd" or "go".
func Implementation() string {
	if system() != nil {
		return "libzstd"
	}
	return "go"
}

// system returns the system's library, or nil.
var system = sync.OnceValue(func() *library {
	switch name := os.Getenv("CSPINE_LIBZSTD"); name {
	case "off":
		return nil
	case "":
		return load(libraryNames...)
	default:
		return load(name)
	}
})

// decoder returns the Go decoder, which any number of goroutines may use.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(MaxContent))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})
