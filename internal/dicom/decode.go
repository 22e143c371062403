package dicom

import (
	"encoding/binary"
	"errors"

	"github.com/cspine/cspine/internal/dicom/jpeg2000"
	"github.com/cspine/cspine/internal/dicom/jpegll"
	"github.com/cspine/cspine/internal/dicom/jpegls"
	"github.com/cspine/cspine/internal/dicom/rle"
	"github.com/cspine/cspine/internal/volume"
)

// DecodeFrame decodes one frame, from 0 on, of a pixel data value, which is the bytes of the file from f.Offset on, f.Length of them (see
// Value); bytes behind those are ignored. The slice's Pix is buf when that has the room, and new memory otherwise; the caller owns it
// either way. value is only read.
//
// Stored values are the BitsStored low bits of each sample, sign-extended when Signed; what stands above
// them, overlays for one, is dropped (PS3.5, section 8.1.1). MONOCHROME1 values are kept as they are.
// Errors are *Error, offsets relative to value.
func DecodeFrame(value []byte, f PixelFormat, frame int, buf []uint16) (volume.Slice, error) {
	f.Offset = max(f.Offset, 1) // value is there, wherever it came from
	if err := f.check(); err != nil {
		return volume.Slice{}, err
	}
	return f.decode(value, frame, buf)
}

// decode is DecodeFrame for samples of 8 and 16 bits of any photometric interpretation.
func (f *PixelFormat) decode(value []byte, frame int, buf []uint16) (volume.Slice, error) {
	s := volume.Slice{Rows: f.Rows, Columns: f.Columns}
	if f.Signed {
		s.Bias = -32768
	}
	data, err := f.frame(value, frame)
	if err != nil {
		return volume.Slice{}, err
	}
	switch n := f.Rows * f.Columns; codings[f.TransferSyntax] {
	case native:
		s.Pix = room(buf, n)
		switch {
		case f.BitsAllocated == 8:
			f.lanes().widen(s.Pix, data)
		case f.TransferSyntax == ExplicitBigEndian:
			for i := range s.Pix {
				s.Pix[i] = binary.BigEndian.Uint16(data[2*i:])
			}
			f.lanes().inPlace(s.Pix)
		default:
			f.lanes().convert(s.Pix, data)
		}
	case lossless, nearly, wavelets:
		s.Pix, err = f.decodeImage(data, buf)
		if codings[f.TransferSyntax] == wavelets && errors.Is(err, jpeg2000.ErrUnsupported) {
			s.Pix, err = f.decodeSandboxed(data, buf)
		}
	case runs:
		s.Pix, err = f.decodeRuns(data, buf)
	default:
		s.Pix, err = f.decodeSandboxed(data, buf)
	}
	if err != nil {
		return volume.Slice{}, err
	}
	return s, nil
}

// decodeImage decodes one JPEG Lossless, JPEG-LS or JPEG 2000 image of the format's size, which is checked before anything is allocated.
func (f *PixelFormat) decodeImage(data []byte, buf []uint16) (pix []uint16, err error) {
	whole := func(image jpegll.Frame) ([]uint16, error) {
		if err := f.agrees(image); err != nil {
			return nil, err
		}
		pix = room(buf, f.Rows*f.Columns)
		return pix, nil
	}
	switch codings[f.TransferSyntax] {
	case lossless:
		// Such an image is not shorter than a bit a sample. A bit of JPEG-LS may stand for thousands, and one of JPEG 2000 for them all.
		if n := f.Rows * f.Columns; n > 8*len(data) {
			return nil, truncated(tagPixelData, int64(len(data)), "%d bytes cannot hold %d samples", len(data), n)
		}
		_, err = jpegll.Decode(data, whole)
	case nearly:
		_, err = jpegls.Decode(data, func(image jpegls.Frame) ([]uint16, error) { return whole(jpegll.Frame(image)) })
	default:
		_, err = jpeg2000.Decode(data, func(image jpeg2000.Frame) ([]uint16, error) {
			return whole(jpegll.Frame{Rows: image.Rows, Columns: image.Columns, Components: image.Components, Precision: image.Precision})
		})
	}
	if err != nil {
		return nil, imageError(err)
	}
	f.lanes().inPlace(pix)
	return pix, nil
}

// agrees compares an image's own size with the header's.
func (f *PixelFormat) agrees(image jpegll.Frame) error {
	if image.Rows != f.Rows || image.Columns != f.Columns || image.Components != 1 {
		return malformed(tagPixelData, 0, "the image has %d rows x %d columns x %d components, the header says %d x %d x 1",
			image.Rows, image.Columns, image.Components, f.Rows, f.Columns)
	}
	if image.Precision > f.BitsAllocated {
		return malformed(tagPixelData, 0, "the image has %d bits a sample, the header allocates %d", image.Precision, f.BitsAllocated)
	}
	return nil
}

func imageError(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Code: Malformed, Tag: tagPixelData.String(), Detail: "the image cannot be decoded", Remedy: remedyCopyAgain, Err: err}
	switch {
	case errors.Is(err, jpegll.ErrTruncated), errors.Is(err, jpegls.ErrTruncated), errors.Is(err, jpeg2000.ErrTruncated):
		e.Code = Truncated
	case errors.Is(err, jpegll.ErrUnsupported), errors.Is(err, jpegls.ErrUnsupported), errors.Is(err, jpeg2000.ErrUnsupported):
		e.Code, e.Remedy = UnsupportedPixels, remedyTranscode
	}
	return e
}

// planesOf decodes the planes of a run-length coded frame, the most significant bytes first. Two bytes make at most 128.
func (f *PixelFormat) planesOf(data []byte) ([][]byte, error) {
	n := f.Rows * f.Columns
	planes := make([][]byte, f.BitsAllocated/8)
	if len(planes)*n > 64*len(data) {
		return nil, truncated(tagPixelData, int64(len(data)), "%d bytes cannot hold %d samples", len(data), n)
	}
	b := make([]byte, len(planes)*n)
	for i := range planes {
		planes[i] = b[i*n:][:n]
	}
	if err := rle.Decode(planes, data); err != nil {
		e := &Error{Code: Malformed, Tag: tagPixelData.String(), Detail: "the run-length coded frame cannot be decoded", Remedy: remedyCopyAgain, Err: err}
		if errors.Is(err, rle.ErrTruncated) {
			e.Code = Truncated
		}
		return nil, e
	}
	return planes, nil
}

func (f *PixelFormat) decodeRuns(data []byte, buf []uint16) ([]uint16, error) {
	planes, err := f.planesOf(data)
	if err != nil {
		return nil, err
	}
	pix := room(buf, f.Rows*f.Columns)
	if f.BitsAllocated == 8 {
		f.lanes().widen(pix, planes[0])
		return pix, nil
	}
	high, low := planes[0][:len(pix)], planes[1][:len(pix)]
	for i := range pix {
		pix[i] = uint16(high[i])<<8 | uint16(low[i])
	}
	f.lanes().inPlace(pix)
	return pix, nil
}

func (f *PixelFormat) decodeSandboxed(data []byte, buf []uint16) ([]uint16, error) {
	b, err := f.sandboxed(data)
	if err != nil {
		return nil, err
	}
	pix := room(buf, f.Rows*f.Columns)
	if f.BitsAllocated == 8 {
		f.lanes().widen(pix, b)
	} else {
		f.lanes().convert(pix, b)
	}
	return pix, nil
}

// room returns n samples, in buf when it has them.
func room(buf []uint16, n int) []uint16 {
	if cap(buf) >= n {
		return buf[:n]
	}
	return make([]uint16, n)
}

// lanes turns samples into the representation of volume.Slice: four at a time, each in 16 bits of a word,
// as ((v & mask) ^ sign) + add.
//
// Unsigned values are only masked. For signed ones of b bits, flipping the sign bit gives value + 2^(b-1)
// in b bits, and adding 2^15 - 2^(b-1) gives value + 2^15, without a carry into the next lane.
type lanes struct{ mask, sign, add uint64 }

func (f *PixelFormat) lanes() lanes {
	const each = 0x0001_0001_0001_0001
	l := lanes{mask: (1<<f.BitsStored - 1) * each}
	if f.Signed {
		half := uint64(1) << (f.BitsStored - 1)
		l.sign, l.add = half*each, (1<<15-half)*each
	}
	return l
}

// one converts a single sample.
func (l lanes) one(v uint16) uint16 {
	return (v&uint16(l.mask) ^ uint16(l.sign)) + uint16(l.add)
}

// four converts four little endian words: one load, one store.
func (l lanes) four(dst *[4]uint16, src *[8]byte) {
	w := (binary.LittleEndian.Uint64(src[:])&l.mask ^ l.sign) + l.add
	dst[0], dst[1], dst[2], dst[3] = uint16(w), uint16(w>>16), uint16(w>>32), uint16(w>>48)
}

// convert reads little endian words of 16 bits.
func (l lanes) convert(dst []uint16, src []byte) {
	for ; len(dst) >= 16 && len(src) >= 32; dst, src = dst[16:], src[32:] {
		l.four((*[4]uint16)(dst[0:4]), (*[8]byte)(src[0:8]))
		l.four((*[4]uint16)(dst[4:8]), (*[8]byte)(src[8:16]))
		l.four((*[4]uint16)(dst[8:12]), (*[8]byte)(src[16:24]))
		l.four((*[4]uint16)(dst[12:16]), (*[8]byte)(src[24:32]))
	}
	for i := range dst {
		dst[i] = l.one(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// widen reads bytes.
func (l lanes) widen(dst []uint16, src []byte) {
	src = src[:len(dst)]
	for i, b := range src {
		dst[i] = l.one(uint16(b))
	}
}

// inPlace converts decoded samples.
func (l lanes) inPlace(pix []uint16) {
	if l.mask == 1<<64-1 && l.sign == 0 {
		return
	}
	for ; len(pix) >= 4; pix = pix[4:] {
		p := (*[4]uint16)(pix)
		w := uint64(p[0]) | uint64(p[1])<<16 | uint64(p[2])<<32 | uint64(p[3])<<48
		w = (w&l.mask ^ l.sign) + l.add
		p[0], p[1], p[2], p[3] = uint16(w), uint16(w>>16), uint16(w>>32), uint16(w>>48)
	}
	for i, v := range pix {
		pix[i] = l.one(v)
	}
}
