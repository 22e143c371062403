// Package rle reads DICOM's run-length encoding (PS3.5, annex G), the pixel codec of the transfer syntax 1.2.840.10008.1.2.5.
//
// A frame is a header of 64 bytes and up to fifteen segments, each a plane of bytes coded as in PackBits: of samples of several bytes the
// most significant one comes first, and the planes of one sample of a pixel before those of the next.
//
// Invariants:
//   - Decode must not read outside its input, must not panic, and must not allocate.
//   - Decode must not report success for a plane that misses a byte. Bytes after the last that is asked for are padding.
package rle

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrMalformed is wrapped by errors about bytes that are no frame of the planes asked for.
	ErrMalformed = errors.New("rle: malformed")
	// ErrTruncated is wrapped by errors about a segment that ends before its plane is whole.
	ErrTruncated = errors.New("rle: truncated")
)

const headerBytes = 64

// Decode decodes the planes of a frame, as many as the frame has segments, into the slices of planes, whose lengths say how many bytes
// each has.
func Decode(planes [][]byte, frame []byte) error {
	if len(frame) < headerBytes {
		return fmt.Errorf("%w: %d bytes, the header alone has %d", ErrTruncated, len(frame), headerBytes)
	}
	le := binary.LittleEndian
	if n := le.Uint32(frame); int64(n) != int64(len(planes)) {
		return fmt.Errorf("%w: %d segments, must be %d", ErrMalformed, n, len(planes))
	}
	for i, plane := range planes {
		from, to := int64(le.Uint32(frame[4+4*i:])), int64(len(frame))
		if i+1 < len(planes) {
			to = int64(le.Uint32(frame[8+4*i:]))
		}
		if from < headerBytes || from > to || to > int64(len(frame)) {
			return fmt.Errorf("%w: segment %d from byte %d to %d of %d", ErrMalformed, i+1, from, to, len(frame))
		}
		if got := unpack(plane, frame[from:to]); got < len(plane) {
			return fmt.Errorf("%w: segment %d has %d of %d bytes", ErrTruncated, i+1, got, len(plane))
		}
	}
	return nil
}

// unpack fills dst and returns how many bytes there were.
func unpack(dst, src []byte) int {
	at := 0
	for at < len(dst) && len(src) >= 2 {
		switch n := int(int8(src[0])); {
		case n >= 0:
			take := min(n+1, len(src)-1, len(dst)-at)
			copy(dst[at:at+take], src[1:])
			at += take
			if src = src[1:]; n+1 >= len(src) {
				return at
			}
			src = src[n+1:]
		case n == -128: // nothing
			src = src[1:]
		default:
			run := dst[at:min(at+1-n, len(dst))]
			value := src[1]
			for i := range run {
				run[i] = value
			}
			at += len(run)
			src = src[2:]
		}
	}
	return at
}
