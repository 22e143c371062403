// Package jpegls reads JPEG-LS images of one component (ITU-T T.87, ISO/IEC 14495-1), lossless and near-lossless: the pixel codec of the
// DICOM transfer syntaxes 1.2.840.10008.1.2.4.80 and .81.
//
// It is our own because no Go module decodes the format right, and a sandboxed codec ran for forty seconds on mutants of 56 bytes.
//
// Invariants:
//   - Decode must not read outside its input, must not panic, and must not allocate by what the input claims: the caller gives room for the samples,
//     and scratch memory is bounded by the sample's precision and two rows.
//   - Decode must take time in proportion to the samples, whatever the input.
//   - Decode must never report success for an image that misses a bit of its samples.
package jpegls

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What every error of this package wraps.
var (
	// ErrMalformed is about bytes that no encoder writes.
	ErrMalformed = errors.New("jpeg-ls: malformed")
	// ErrTruncated is about an image that ends before its last sample.
	ErrTruncated = errors.New("jpeg-ls: truncated")
	// ErrUnsupported is about features this package leaves out: several components, mapping tables, restart intervals, point transforms.
	ErrUnsupported = errors.New("jpeg-ls: unsupported")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// Frame is what the frame header says of an image.
type Frame struct {
	Rows, Columns int
	Components    int
	Precision     int // bits a sample, 2 to 16
}

// image is a frame, the parameters of its scan, and the bytes of the scan.
type image struct {
	Frame
	parameters
	near int
	scan []byte
}

// parameters are the preset coding parameters (T.87, C.2.4.1.1); 0 means the default.
type parameters struct{ maximum, t1, t2, t3, reset int }

// The markers this package knows (T.81, table B.1; T.87, C.1.1).
const (
	markerSOF = 0xf7
	markerLSE = 0xf8
	markerDRI = 0xdd
	markerSOI = 0xd8
	markerEOI = 0xd9
	markerSOS = 0xda
)

// read reads the segments up to the scan.
func read(data []byte) (im image, err error) {
	if len(data) < 2 || data[0] != 0xff || data[1] != markerSOI {
		return im, malformed("no image begins here")
	}
	be := binary.BigEndian
	for data = data[2:]; ; {
		if len(data) < 4 {
			return im, fmt.Errorf("%w: no scan", ErrTruncated)
		}
		if data[0] != 0xff {
			return im, malformed("no marker where one must be")
		}
		marker := data[1]
		if marker == 0xff { // a fill byte
			data = data[1:]
			continue
		}
		n := int(be.Uint16(data[2:]))
		if n < 2 || marker == markerEOI {
			return im, malformed("a segment of %d bytes", n)
		}
		if n > len(data)-2 {
			return im, fmt.Errorf("%w: a segment of %d bytes, %d are left", ErrTruncated, n, len(data)-2)
		}
		segment := data[4 : 2+n]
		data = data[2+n:]
		switch {
		case marker == markerSOF:
			err = im.frame(segment)
		case marker == markerLSE:
			err = im.preset(segment)
		case marker == markerDRI:
			for _, b := range segment {
				if b != 0 {
					err = fmt.Errorf("%w: restart intervals", ErrUnsupported)
				}
			}
		case marker == markerSOS:
			im.scan = data
			return im, im.scanHeader(segment)
		case marker >= 0xc0 && marker <= 0xcf:
			err = fmt.Errorf("%w: a JPEG image of another process", ErrUnsupported)
		}
		if err != nil {
			return im, err
		}
	}
}

func (im *image) frame(s []byte) error {
	if len(s) < 6 || im.Components != 0 {
		return malformed("frame header")
	}
	be := binary.BigEndian
	im.Frame = Frame{Rows: int(be.Uint16(s[1:])), Columns: int(be.Uint16(s[3:])), Components: int(s[5]), Precision: int(s[0])}
	switch {
	case im.Precision < 2 || im.Precision > 16:
		return malformed("%d bits a sample", im.Precision)
	case im.Components < 1 || len(s) != 6+3*im.Components:
		return malformed("frame header of %d components", im.Components)
	case im.Rows == 0 || im.Columns == 0:
		return fmt.Errorf("%w: %d rows x %d columns", ErrUnsupported, im.Rows, im.Columns)
	case im.Components == 1 && s[7] != 0x11:
		return fmt.Errorf("%w: a subsampled component", ErrUnsupported)
	}
	return nil
}

func (im *image) preset(s []byte) error {
	if len(s) < 1 || s[0] != 1 {
		return fmt.Errorf("%w: mapping tables and large sizes", ErrUnsupported)
	}
	if len(s) != 11 {
		return malformed("coding parameters of %d bytes", len(s))
	}
	at := func(i int) int { return int(binary.BigEndian.Uint16(s[1+2*i:])) }
	im.parameters = parameters{at(0), at(1), at(2), at(3), at(4)}
	return nil
}

func (im *image) scanHeader(s []byte) error {
	switch {
	case im.Components == 0:
		return malformed("a scan before the frame")
	case im.Components != 1:
		return fmt.Errorf("%w: %d components", ErrUnsupported, im.Components)
	case len(s) != 6 || s[0] != 1:
		return malformed("scan header")
	case s[2] != 0:
		return fmt.Errorf("%w: a mapping table", ErrUnsupported)
	case s[4] != 0:
		return malformed("interleaved, and of one component")
	case s[5] != 0:
		return fmt.Errorf("%w: a point transform", ErrUnsupported)
	}
	im.near = int(s[3])
	return im.complete()
}

// complete fills in the parameters that are left to the default, and checks them (T.87, table C.2 and C.2.4.1.1.1).
func (im *image) complete() error {
	p, near := &im.parameters, im.near
	most := 1<<im.Precision - 1
	if p.maximum == 0 {
		p.maximum = most
	}
	if p.maximum > most || near > min(255, p.maximum/2) {
		return malformed("samples of at most %d in %d bits, off by at most %d", p.maximum, im.Precision, near)
	}
	def := defaults(p.maximum, near)
	for _, v := range []struct{ value, def *int }{{&p.t1, &def.t1}, {&p.t2, &def.t2}, {&p.t3, &def.t3}, {&p.reset, &def.reset}} {
		if *v.value == 0 {
			*v.value = *v.def
		}
	}
	if p.t1 < near+1 || p.t2 < p.t1 || p.t3 < p.t2 || p.t3 > p.maximum || p.reset < 3 || p.reset > max(255, p.maximum) {
		return malformed("thresholds %d, %d, %d, reset at %d", p.t1, p.t2, p.t3, p.reset)
	}
	return nil
}

// defaults are T.87's, C.2.4.1.1.1.
func defaults(maximum, near int) parameters {
	clamp := func(v, low int) int {
		if v > maximum || v < low {
			return low
		}
		return v
	}
	p := parameters{reset: 64}
	if maximum >= 128 {
		factor := (min(maximum, 4095) + 128) / 256
		p.t1 = clamp(factor+2+3*near, near+1)
		p.t2 = clamp(4*factor+3+5*near, p.t1)
		p.t3 = clamp(17*factor+4+7*near, p.t2)
		return p
	}
	factor := 256 / (maximum + 1)
	p.t1 = clamp(max(2, 3/factor+3*near), near+1)
	p.t2 = clamp(max(3, 7/factor+5*near), p.t1)
	p.t3 = clamp(max(4, 21/factor+7*near), p.t2)
	return p
}
