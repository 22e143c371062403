package resize

import "github.com/cspine/cspine/internal/volume"

// blend joins two rows or two columns: dst[k] from p[k] and q[k].
type blend func(p, q float32, t tap) float32

// step is IPP's arithmetic: p + (q-p)*w with one rounding at the end. The product of two float32 is exact
// in float64; the sum is rounded to float64 first, which changes a float32 result once in about 2^29.
func step(p, q float32, t tap) float32 {
	return float32(float64(float64(q-p)*float64(t.w)) + float64(p))
}

// weigh is the arithmetic of OpenCV's own loop: each product rounded.
func weigh(p, q float32, t tap) float32 {
	return float32(p*t.v) + float32(q*t.w)
}

// blendPlane interpolates along the rows first, then between two rows.
func blendPlane(src *volume.Slice, y, x []tap, mix blend, put func(row int, values []float32)) {
	near, far := make([]float32, len(x)), make([]float32, len(x))
	out := make([]float32, len(x))
	nearRow, farRow := -1, -1
	for d, t := range y {
		if t.i == farRow {
			near, far, nearRow, farRow = far, near, farRow, nearRow
		}
		if t.i != nearRow {
			blendRow(near, src.Pix[t.i*src.Columns:][:src.Columns], src.Bias, x, mix)
			nearRow = t.i
		}
		if t.j == nearRow {
			for k := range out {
				out[k] = mix(near[k], near[k], t)
			}
		} else {
			if t.j != farRow {
				blendRow(far, src.Pix[t.j*src.Columns:][:src.Columns], src.Bias, x, mix)
				farRow = t.j
			}
			for k := range out {
				out[k] = mix(near[k], far[k], t)
			}
		}
		put(d, out)
	}
}

func blendRow(dst []float32, pix []uint16, bias int32, x []tap, mix blend) {
	for k, t := range x {
		dst[k] = mix(float32(int32(pix[t.i])+bias), float32(int32(pix[t.j])+bias), t)
	}
}
