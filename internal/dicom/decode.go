package dicom

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cspine/cspine/internal/dicom/jpegll"
	"github.com/cspine/cspine/internal/volume"
)

// DecodeFrame decodes the first frame of a pixel data value, which is the bytes of the file from f.Offset
// on, f.Length of them; bytes behind those are ignored. The slice's Pix is buf when that has the room, and
// new memory otherwise; the caller owns it either way. value is only read.
//
// Stored values are the BitsStored low bits of each sample, sign-extended when Signed; what stands above
// them, overlays for one, is dropped (PS3.5, section 8.1.1). MONOCHROME1 values are kept as they are.
// Errors are *Error, offsets relative to value.
func DecodeFrame(value []byte, f PixelFormat, buf []uint16) (volume.Slice, error) {
	f.Offset = max(f.Offset, 1) // value is there, wherever it came from
	if err := f.check(); err != nil {
		return volume.Slice{}, err
	}
	n := f.Rows * f.Columns
	s := volume.Slice{Rows: f.Rows, Columns: f.Columns}
	if f.Signed {
		s.Bias = -32768
	}
	if f.Encapsulated {
		data, err := f.firstFrame(value)
		if err != nil {
			return volume.Slice{}, err
		}
		if s.Pix, err = f.decodeJPEG(data, buf); err != nil {
			return volume.Slice{}, err
		}
		return s, nil
	}
	need := n * f.BitsAllocated / 8
	if len(value) < need {
		return volume.Slice{}, truncated(tagPixelData, int64(len(value)), "%d bytes of pixel data, a frame needs %d", len(value), need)
	}
	s.Pix = room(buf, n)
	if f.BitsAllocated == 8 {
		f.lanes().widen(s.Pix, value[:need])
	} else {
		f.lanes().convert(s.Pix, value[:need])
	}
	return s, nil
}

// decodeJPEG decodes one JPEG Lossless image of the format's size. The image's own size is checked before
// anything is allocated, and an image cannot be shorter than a bit a sample.
func (f *PixelFormat) decodeJPEG(data []byte, buf []uint16) ([]uint16, error) {
	frame, err := jpegll.ReadFrame(data)
	if err != nil {
		return nil, jpegError(err)
	}
	if frame.Rows != f.Rows || frame.Columns != f.Columns || frame.Components != 1 {
		return nil, malformed(tagPixelData, 0, "the JPEG image has %d rows x %d columns x %d components, the header says %d x %d x 1",
			frame.Rows, frame.Columns, frame.Components, f.Rows, f.Columns)
	}
	if frame.Precision > f.BitsAllocated {
		return nil, malformed(tagPixelData, 0, "the JPEG image has %d bits a sample, the header allocates %d", frame.Precision, f.BitsAllocated)
	}
	n := f.Rows * f.Columns
	if n > 8*len(data) {
		return nil, truncated(tagPixelData, int64(len(data)), "%d bytes cannot hold %d samples", len(data), n)
	}
	pix := room(buf, n)
	if _, err := jpegll.Decode(data, pix); err != nil {
		return nil, jpegError(err)
	}
	f.lanes().inPlace(pix)
	return pix, nil
}

func jpegError(err error) error {
	e := &Error{Code: Malformed, Tag: tagPixelData.String(), Detail: "the JPEG image cannot be decoded", Remedy: remedyCopyAgain, Err: err}
	switch {
	case errors.Is(err, jpegll.ErrTruncated):
		e.Code = Truncated
	case errors.Is(err, jpegll.ErrUnsupported):
		e.Code, e.Remedy = UnsupportedPixels, remedyTranscode
	}
	return e
}

// firstFrame returns the bytes of the first frame of an encapsulated value (PS3.5, section A.4). A frame
// may lie in several fragments; they are joined.
func (f *PixelFormat) firstFrame(value []byte) ([]byte, error) {
	var fragments [][]byte
	end := int64(-1) // of the first frame by the offset table, counted from the first fragment
	first := 0
	for at := 0; ; {
		if len(value)-at < 8 {
			return nil, truncated(tagPixelData, int64(at), "the sequence of fragments has no end")
		}
		le := binary.LittleEndian
		t, length := tag(le.Uint16(value[at:]))<<16|tag(le.Uint16(value[at+2:])), le.Uint32(value[at+4:])
		at += 8
		if t == tagSequenceEnd {
			break
		}
		if t != tagItem {
			return nil, malformed(t, int64(at), "not a fragment of pixel data")
		}
		if uint64(length) > uint64(len(value)-at) {
			return nil, truncated(tagPixelData, int64(at), "a fragment should have %d bytes, %d are left", length, len(value)-at)
		}
		item := value[at : at+int(length)]
		at += int(length)
		if first == 0 { // the offset table, which may be empty
			first = at
			if len(item) >= 8 {
				end = int64(le.Uint32(item[4:]))
			}
			continue
		}
		if end >= 0 && int64(at-len(item)-8-first) >= end {
			break
		}
		if f.Frames > 1 && end < 0 && len(fragments) > 0 && bytes.HasPrefix(item, []byte{0xff, 0xd8}) {
			break // no offset table: a frame starts with its SOI
		}
		fragments = append(fragments, item)
	}
	switch len(fragments) {
	case 0:
		return nil, malformed(tagPixelData, 0, "no fragment of pixel data")
	case 1:
		return fragments[0], nil
	}
	return bytes.Join(fragments, nil), nil
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
