// Package jpeg2000 reads JPEG 2000 images of one component that were transformed reversibly (ITU-T T.800, ISO/IEC 15444-1: the 5/3 wavelet):
// the pixel codec of the DICOM transfer syntax 1.2.840.10008.1.2.4.90, and of those images of .91 that are coded so.
//
// It is our own because it decodes such an image in less time than OpenJPEG, and in far less than OpenJPEG in a sandbox. What it leaves out
// it says by ErrUnsupported, before or after it has asked for room: the caller has another codec for that.
//
// The way of an image is that of the standard's annexes: markers (codestream.go, A), tiles, precincts and code-blocks (tile.go, B), packets
// (packets.go, B), bits of coefficients (blocks.go, D) by an arithmetic decoder (mq.go, C), the wavelet (wavelet.go, F).
//
// Invariants:
//   - Decode must not read outside its input, must not panic, and must not allocate by what the input claims: the caller gives room for the samples,
//     and what else is allocated is in proportion to these and to the input's bytes.
//   - Decode must take time in proportion to the samples and the bytes, whatever the input.
//   - Decode must never report success for an image that misses a packet, a tile, or a byte of either.
//   - Bits of a coefficient that an encoder left out on purpose, in a lossy image, are taken as OpenJPEG takes them: as the middle of what they
//     might be.
package jpeg2000

import (
	"errors"
	"fmt"
	"sync"
)

// What every error of this package wraps.
var (
	// ErrMalformed is about bytes that no encoder writes.
	ErrMalformed = errors.New("jpeg 2000: malformed")
	// ErrTruncated is about an image that ends before its last packet.
	ErrTruncated = errors.New("jpeg 2000: truncated")
	// ErrUnsupported is about features this package leaves out: several components, the irreversible transform, regions of interest, packed
	// packet headers, changes of the progression order, parameters of a component's own, palettes, high throughput, more than 16 bits.
	ErrUnsupported = errors.New("jpeg 2000: unsupported")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

func truncated(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrTruncated}, args...)...)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUnsupported}, args...)...)
}

// Frame is what the image says of itself.
type Frame struct {
	Rows, Columns int
	Components    int
	Precision     int // bits a sample, 1 to 16
	Signed        bool
}

// Decode decodes an image of one component, a codestream by itself or in a file of boxes. When its headers are read it asks for room, once:
// samples are written there, [Rows, Columns], signed ones as two's complement of 16 bits, and the caller keeps it. An error of room's is
// returned as it is; the room must be exactly that of the image. After any other error its contents are undefined.
func Decode(data []byte, room func(Frame) ([]uint16, error)) (Frame, error) {
	im, err := read(data)
	if err != nil {
		return im.Frame, err
	}
	pix, err := room(im.Frame)
	if err != nil {
		return im.Frame, err
	}
	if len(pix) != im.Rows*im.Columns {
		return im.Frame, fmt.Errorf("jpeg 2000: room for %d samples, the image has %d rows x %d columns", len(pix), im.Rows, im.Columns)
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	d.image, d.pix = &im, pix
	for i := range im.tiles {
		if err := d.tile(&im.tiles[i]); err != nil {
			return im.Frame, fmt.Errorf("tile %d of %d: %w", i+1, len(im.tiles), err)
		}
	}
	return im.Frame, nil
}

// decoder has the memory that is used again for each tile, and for each image.
type decoder struct {
	image *image
	pix   []uint16

	tileState
	coder
	coefficients []int32    // of a tile, its subbands beside and below each other
	low          [2][]int32 // the images of two resolutions in turn
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// keptSamples bounds what a decoder keeps between images: those of a slice of 2048 x 2048.
const keptSamples = 1 << 22

func (d *decoder) release() {
	if max(cap(d.coefficients), 16*cap(d.blocks), 16*cap(d.precincts), 4*cap(d.nodes), 16*cap(d.chunks), 16*cap(d.order), cap(d.segment)) > keptSamples {
		return
	}
	d.image, d.pix, d.data, d.mq.data = nil, nil, nil, nil
	decoders.Put(d)
}

// sized returns n elements, whose contents are undefined, in s where that has the room.
func sized[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}
