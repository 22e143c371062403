package resize

import "github.com/cspine/cspine/internal/volume"

// blender is an arithmetic of interpolation: first along a row, then between two rows.
type blender struct {
	along   func(dst []float32, pix []uint16, bias int32, x []tap)
	between func(dst, near, far []float32, t tap)
}

// step is IPP's arithmetic, p + (q-p)*w with one rounding at the end. The product of two float32 is exact
// in float64; the sum is rounded to float64 first, which changes a float32 once in about 2^29.
var step = blender{
	along: func(dst []float32, pix []uint16, bias int32, x []tap) {
		dst = dst[:len(x)]
		for k := range x {
			t := &x[k]
			p, q := int32(pix[t.i]), int32(pix[t.j])
			dst[k] = float32(float64(float64(q-p)*float64(t.w)) + float64(p+bias))
		}
	},
	between: func(dst, near, far []float32, t tap) {
		w := float64(t.w)
		near, far = near[:len(dst)], far[:len(dst)]
		for k, p := range near {
			dst[k] = float32(float64(float64(far[k]-p)*w) + float64(p))
		}
	},
}

// weigh is the arithmetic of OpenCV's own loop, p*v + q*w with each product rounded.
var weigh = blender{
	along: func(dst []float32, pix []uint16, bias int32, x []tap) {
		for k, t := range x {
			p, q := float32(int32(pix[t.i])+bias), float32(int32(pix[t.j])+bias)
			dst[k] = float32(p*t.v) + float32(q*t.w)
		}
	},
	between: func(dst, near, far []float32, t tap) {
		for k, p := range near {
			dst[k] = float32(p*t.v) + float32(far[k]*t.w)
		}
	},
}

// plane hands the interpolated rows of src to put, first to last. put must not keep values.
func (b blender) plane(src *volume.Slice, y, x []tap, put func(row int, values []float32)) {
	buf := make([]float32, 3*len(x))
	near, far, out := buf[:len(x)], buf[len(x):2*len(x)], buf[2*len(x):]
	nearRow, farRow := -1, -1
	for d, t := range y {
		if t.i == farRow {
			near, far, nearRow, farRow = far, near, farRow, nearRow
		}
		if t.i != nearRow {
			b.along(near, src.Pix[t.i*src.Columns:][:src.Columns], src.Bias, x)
			nearRow = t.i
		}
		next := near
		if t.j != nearRow {
			if t.j != farRow {
				b.along(far, src.Pix[t.j*src.Columns:][:src.Columns], src.Bias, x)
				farRow = t.j
			}
			next = far
		}
		b.between(out, near, next, t)
		put(d, out)
	}
}

// centred reports whether every destination pixel lies in the middle of four source pixels: 512 to 128.
func centred(src *volume.Slice, rows, columns int) bool {
	y, x := newAxis(src.Rows, rows), newAxis(src.Columns, columns)
	return y.whole > 0 && y.whole%2 == 0 && x.whole > 0 && x.whole%2 == 0
}

// quads is step for a centred src, where no float rounds: the mean of four, half to even. It works on
// biased values, since the bias is even.
func quads(dst, src *volume.Slice) {
	check(len(src.Pix), src.Rows, src.Columns)
	down, across := src.Rows/dst.Rows, src.Columns/dst.Columns
	for r := range dst.Rows {
		upper := src.Pix[(r*down+down/2-1)*src.Columns:][:src.Columns]
		lower := src.Pix[(r*down+down/2)*src.Columns:][:src.Columns]
		out := dst.Pix[r*dst.Columns:][:dst.Columns]
		at := across / 2
		for k := range out {
			s := uint32(upper[at-1]) + uint32(upper[at]) + uint32(lower[at-1]) + uint32(lower[at])
			out[k] = uint16((s + 1 + s>>2&1) >> 2)
			at += across
		}
	}
}

// signedBorder rewrites the destination pixels that lie beyond the centres of src's outermost pixels, as IPP
// computes them for int16: along the border only, with the step from p to q rounded instead of the sum. It
// changes values that lie half-way between two integers.
func signedBorder(dst, src *volume.Slice) {
	y, x := newAxis(src.Rows, dst.Rows), newAxis(src.Columns, dst.Columns)
	down, along := y.taps(y.precise), x.taps(x.precise)
	for r, v := range down {
		for c, h := range along {
			t, p, q := h, v.i*src.Columns+h.i, v.i*src.Columns+h.j
			if v.i != v.j {
				if h.i != h.j {
					continue
				}
				t, q = v, v.j*src.Columns+h.i
			}
			from, to := int32(src.Pix[p]), int32(src.Pix[q])
			dst.Pix[r*dst.Columns+c] = uint16(from + round(float32(to-from)*t.w))
		}
	}
}
