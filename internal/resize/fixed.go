package resize

import (
	"encoding/binary"
	"math"
)

// fixed is OpenCV's bilinear interpolation of bytes: weights in units of 1/2048, three roundings on the
// way (modules/imgproc, resize: INTER_RESIZE_COEF_BITS, FixedPtCast).
type fixed struct {
	width int
	x, y  []fixedTap // x is padded to an even number
	// near and far are rows after the horizontal step: two pixels a word, 32 bits each, so that the
	// vertical step serves two pixels at once.
	near, far []uint64
}

// fixedTap is a tap with weights in units of 1/2048.
type fixedTap struct {
	i, j int32
	v, w uint32
}

func newFixed(y, x []tap) *fixed {
	words := (len(x) + 1) / 2
	return &fixed{
		width: len(x), x: fixTaps(x, 2*words), y: fixTaps(y, len(y)),
		near: make([]uint64, words), far: make([]uint64, words),
	}
}

// fixTaps returns n taps. Those beyond taps read the first source pixel with weight 0.
func fixTaps(taps []tap, n int) []fixedTap {
	out := make([]fixedTap, n)
	for k, t := range taps {
		out[k] = fixedTap{int32(t.i), int32(t.j), fixWeight(t.v), fixWeight(t.w)}
	}
	return out
}

func fixWeight(w float32) uint32 { return uint32(math.RoundToEven(float64(w) * 2048)) }

// run asks source for the rows that it needs, in rising order, each once.
func (f *fixed) run(dst, buf []uint8, source rowSource) {
	near, far := f.near, f.far
	nearRow, farRow := int32(-1), int32(-1)
	for d, t := range f.y {
		if t.i == farRow {
			near, far, nearRow, farRow = far, near, farRow, nearRow
		}
		if t.i != nearRow {
			f.across(near, source(buf, int(t.i)))
			nearRow = t.i
		}
		next := near
		if t.j != nearRow {
			if t.j != farRow {
				f.across(far, source(buf, int(t.j)))
				farRow = t.j
			}
			next = far
		}
		down(dst[d*f.width:][:f.width], near, next, uint64(t.v), uint64(t.w))
	}
}

// across interpolates a row, in units of 1/128: at most 255*128 in each half of a word.
func (f *fixed) across(dst []uint64, row []uint8) {
	taps := f.x
	for k := range dst {
		a, b := taps[0], taps[1]
		taps = taps[2:]
		low := (uint32(row[a.i])*a.v + uint32(row[a.j])*a.w) >> 4
		high := (uint32(row[b.i])*b.v + uint32(row[b.j])*b.w) >> 4
		dst[k] = uint64(low) | uint64(high)<<32
	}
}

// down interpolates between two rows. Each product takes at most 26 of its 32 bits; what the shift brings
// over from the upper half is masked.
func down(dst []uint8, near, far []uint64, v, w uint64) {
	const low16 = 0x0000ffff_0000ffff
	const half = 0x00000002_00000002
	pairs := len(dst) / 2
	odd := near[pairs:]
	far = far[:len(near)]
	for k, p := range near[:pairs] {
		s := (p*v>>16)&low16 + (far[k]*w>>16)&low16 + half
		binary.LittleEndian.PutUint16(dst, uint16(uint8(s>>2))|uint16(s>>34)<<8)
		dst = dst[2:]
	}
	if len(odd) == 1 {
		s := (odd[0]*v>>16)&low16 + (far[pairs]*w>>16)&low16 + half
		dst[0] = uint8(s >> 2)
	}
}
