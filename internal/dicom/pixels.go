package dicom

import (
	"encoding/binary"
	"fmt"
	"math"
)

// locatePixels completes f with the place of the pixel data, and checks that all of them are there.
func (s *scanner) locatePixels(f *PixelFormat) error {
	h := s.pixels
	f.Offset, f.Length, f.Deflated = h.value, int64(h.length), s.deflated
	if h.tag == 0 {
		return nil // check refuses it
	}
	f.Float = h.tag != tagPixelData
	f.Words = f.TransferSyntax == ExplicitBigEndian && f.BitsAllocated <= 8 && string(h.vr[:]) == "OW"
	if h.length == undefinedLength {
		f.Encapsulated = true
		return s.followFragments(f)
	}
	if codings[f.TransferSyntax] != native {
		return nil // check refuses it
	}
	if f.Samples != 1 {
		return nil // colour may be subsampled; check refuses it
	}
	want := f.nativeLength()
	if f.Length < want {
		return truncated(h.tag, h.value, "the pixel data have %d bytes, %d rows x %d columns x %d samples x %d frames of %d bits need %d",
			f.Length, f.Rows, f.Columns, f.Samples, f.Frames, f.BitsAllocated, want)
	}
	// Some writers pad, by a row for one. A frame too many is no padding.
	if surplus := f.Length - want; want > 0 && surplus > 0 && surplus >= want/int64(f.Frames) {
		return malformed(h.tag, h.value, "the pixel data have %d bytes, %d frames need %d", f.Length, f.Frames, want)
	}
	return nil
}

// nativeLength is the number of bytes of uncompressed pixel data, without padding.
func (f *PixelFormat) nativeLength() int64 {
	// At most 2^16 in each but the frames, below 2^31: the products of the first four fit.
	pixels := float64(f.Rows) * float64(f.Columns) * float64(f.Samples) * float64(f.Frames)
	if bits := pixels * float64(f.BitsAllocated); bits < 1<<60 {
		return (int64(pixels)*int64(f.BitsAllocated) + 7) / 8
	}
	return math.MaxInt64
}

// followFragments walks the heads of the fragments to the delimiter (PS3.5, section A.4) and sets the length.
func (s *scanner) followFragments(f *PixelFormat) error {
	off := f.Offset
	for n := 0; ; n++ {
		if n > s.limits.Elements+1 { // the offset table and the delimiter are no fragments
			return overLimit("elements", tagPixelData, off, "more than %d fragments", s.limits.Elements)
		}
		b, err := s.exactly(tagPixelData, off, 8)
		if err != nil {
			return err
		}
		le := binary.LittleEndian
		t, length := tag(le.Uint16(b))<<16|tag(le.Uint16(b[2:])), le.Uint32(b[4:])
		begin := off
		off += 8
		switch {
		case t == tagSequenceEnd:
			f.Length = off - f.Offset
			return nil
		case t != tagItem || length == undefinedLength:
			return malformed(t, off, "not a fragment of pixel data")
		case int64(length) > s.size-off:
			return truncated(tagPixelData, off, "a fragment should have %d bytes, the file has %d more", length, s.size-off)
		}
		off += int64(length)
		if f.Frames == 1 {
			continue
		}
		if n > 0 {
			start, err := s.exactly(t, begin+8, int(min(length, 4)))
			if err != nil {
				return err
			}
			s.places.items = append(s.places.items, extent{begin, off, startsImage(start)})
			continue
		}
		s.places = &places{}
		if int64(length) > 4*int64(s.limits.Elements) {
			return overLimit("elements", tagPixelData, begin, "an offset table of %d bytes, for more than %d fragments", length, s.limits.Elements)
		}
		for at := begin + 8; at < off; at += blockSize {
			part, err := s.exactly(t, at, int(min(off-at, blockSize)))
			if err != nil {
				return err
			}
			s.places.table = append(s.places.table, part...)
		}
	}
}

func refuse(code string, t tag, remedy, format string, args ...any) error {
	return &Error{Code: code, Tag: t.String(), Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

func (f *PixelFormat) maxPixels() int { return Limits{Pixels: f.MaxPixels}.WithDefaults().Pixels }

// check refuses formats DecodeFrame does not read.
func (f *PixelFormat) check() error {
	if err := f.checkSamples(); err != nil {
		return err
	}
	switch {
	case f.Photometric != "MONOCHROME1" && f.Photometric != "MONOCHROME2":
		return refuse(UnsupportedPixels, tagPhotometric, "export the original slices", "photometric interpretation is %s", CodeString(f.Photometric))
	case f.Float:
		return refuse(UnsupportedPixels, tagFloatPixels, "export the original slices", "samples are floating point numbers")
	case f.BitsAllocated != 8 && f.BitsAllocated != 16:
		return refuse(UnsupportedPixels, tagBitsAllocated, remedyTranscode, "%d bits allocated, 8 and 16 are read", f.BitsAllocated)
	}
	return nil
}

// checkSamples refuses formats DecodeSamples does not read.
func (f *PixelFormat) checkSamples() error {
	switch {
	case f.Offset == 0:
		return refuse(NoPixels, tagPixelData, "leave objects without an image out of the study's folder", "the object has no pixel data")
	case f.Rows == 0 || f.Columns == 0 || f.BitsAllocated == 0 || f.Frames == 0:
		return refuse(Malformed, tagRows, remedyCopyAgain, "%d frames of %d rows x %d columns of %d bits", f.Frames, f.Rows, f.Columns, f.BitsAllocated)
	case !f.TransferSyntax.Supported():
		return f.TransferSyntax.unsupported()
	case f.Samples != 1:
		return refuse(UnsupportedPixels, tagSamples, "export the original slices", "%d samples a pixel: colour is no CT", f.Samples)
	case f.Rows*f.Columns > f.maxPixels():
		return overLimit("pixels", tagRows, 0, "%d rows x %d columns are more than %d pixels", f.Rows, f.Columns, f.maxPixels())
	case f.Float && (f.Encapsulated || f.BitsAllocated != 32 && f.BitsAllocated != 64):
		return refuse(Malformed, tagBitsAllocated, remedyCopyAgain, "floating point numbers of %d bits", f.BitsAllocated)
	case !f.Float && f.BitsAllocated != 1 && f.BitsAllocated != 8 && f.BitsAllocated != 16 && f.BitsAllocated != 32:
		return refuse(UnsupportedPixels, tagBitsAllocated, remedyTranscode, "%d bits allocated; 1, 8, 16 and 32 are read", f.BitsAllocated)
	case !f.Float && (f.BitsStored < 1 || f.BitsStored > f.BitsAllocated || f.HighBit != f.BitsStored-1):
		return refuse(UnsupportedPixels, tagBitsStored, remedyTranscode, "%d bits stored, high bit %d, in %d", f.BitsStored, f.HighBit, f.BitsAllocated)
	case f.Encapsulated != f.TransferSyntax.encapsulated():
		return refuse(Malformed, tagPixelData, remedyCopyAgain, "the pixel data have not the form of their transfer syntax %s", f.TransferSyntax)
	}
	return nil
}
