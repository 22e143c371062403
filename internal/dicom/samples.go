package dicom

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// Samples are a frame's stored values, [rows, columns]: whole numbers, or floating point ones where the format says so.
type Samples struct {
	Int   []int32 // of 32 unsigned bits: the same bits
	Float []float64
}

// Digest is what a frame's values are compared by where another reader's are not at hand.
type Digest struct {
	SHA256 string  // in hexadecimal: of whole numbers as int32, of floating point ones as float64, little endian
	Int    int64   // the sum of whole numbers
	Float  float64 // the sum of floating point ones
}

// Digest hashes and sums the samples.
func (s *Samples) Digest() Digest {
	var d Digest
	b := make([]byte, 0, 4*len(s.Int)+8*len(s.Float))
	for _, v := range s.Int {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
		d.Int += int64(v)
	}
	for _, v := range s.Float {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		d.Float += v
	}
	sum := sha256.Sum256(b)
	d.SHA256 = hex.EncodeToString(sum[:])
	return d
}

// DecodeSamples decodes one frame, from 0 on, of a pixel data value with one sample a pixel: of any photometric interpretation, and of 1,
// 8, 16 and 32 bits. It is for looking at files; DecodeFrame is for CT. Errors are *Error, offsets relative to value.
func DecodeSamples(value []byte, f PixelFormat, frame int) (Samples, error) {
	f.Offset = max(f.Offset, 1)
	if err := f.checkSamples(); err != nil {
		return Samples{}, err
	}
	if !f.Float && (f.BitsAllocated == 8 || f.BitsAllocated == 16) {
		s, err := f.decode(value, frame, nil)
		if err != nil {
			return Samples{}, err
		}
		out := make([]int32, len(s.Pix))
		for i, v := range s.Pix {
			out[i] = int32(v) + s.Bias
		}
		return Samples{Int: out}, nil
	}
	if f.BitsAllocated == 1 {
		return f.bits(value, frame)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if f.TransferSyntax == ExplicitBigEndian {
		order = binary.BigEndian
	}
	data, err := f.frame(value, frame)
	if err != nil {
		return Samples{}, err
	}
	n := f.Rows * f.Columns
	switch {
	case f.Float:
		out := make([]float64, n)
		for i := range out {
			if f.BitsAllocated == 32 {
				out[i] = float64(math.Float32frombits(order.Uint32(data[4*i:])))
			} else {
				out[i] = math.Float64frombits(order.Uint64(data[8*i:]))
			}
		}
		return Samples{Float: out}, nil
	case codings[f.TransferSyntax] == native:
		out := make([]int32, n)
		for i := range out {
			out[i] = f.extend(order.Uint32(data[4*i:]))
		}
		return Samples{Int: out}, nil
	case codings[f.TransferSyntax] == runs:
		planes, err := f.planesOf(data)
		if err != nil {
			return Samples{}, err
		}
		out := make([]int32, n)
		for i := range out {
			out[i] = f.extend(uint32(planes[0][i])<<24 | uint32(planes[1][i])<<16 | uint32(planes[2][i])<<8 | uint32(planes[3][i]))
		}
		return Samples{Int: out}, nil
	}
	return Samples{}, refuse(UnsupportedPixels, tagBitsAllocated, remedyTranscode, "%d bits allocated, in %s", f.BitsAllocated, f.TransferSyntax.Name())
}

// extend keeps the stored bits of a sample, and its sign.
func (f *PixelFormat) extend(v uint32) int32 {
	up := 32 - f.BitsStored
	if f.Signed {
		return int32(v<<up) >> up
	}
	return int32(v << up >> up)
}

// bits decodes samples of one bit, the first in the lowest bit of a byte; frames follow each other without padding (PS3.5, 8.1.1).
func (f *PixelFormat) bits(value []byte, frame int) (Samples, error) {
	switch codings[f.TransferSyntax] {
	case native:
	case wavelets, sandboxed: // as bytes
		bytes := *f
		bytes.BitsAllocated = 8
		return DecodeSamples(value, bytes, frame)
	default:
		return Samples{}, refuse(UnsupportedPixels, tagBitsAllocated, remedyTranscode, "one bit allocated, in %s", f.TransferSyntax.Name())
	}
	n := f.Rows * f.Columns
	from := int64(n) * int64(frame)
	if frame < 0 || frame >= f.Frames || int64(len(value)) < (from+int64(n)+7)/8 {
		return Samples{}, truncated(tagPixelData, int64(len(value)), "%d bytes of pixel data have no frame %d of %d bits", len(value), frame+1, n)
	}
	out := make([]int32, n)
	for i := range out {
		at := from + int64(i)
		b := at / 8
		if f.Words && b^1 < int64(len(value)) {
			b ^= 1
		}
		out[i] = int32(value[b] >> (at % 8) & 1)
	}
	return Samples{Int: out}, nil
}
