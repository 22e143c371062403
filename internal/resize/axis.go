package resize

import "math"

// axis is one dimension of a resize.
type axis struct {
	from, to int
	// scale is the source pixels per destination pixel, rounded twice as OpenCV does.
	scale float64
	// whole is scale where OpenCV takes it for an integer, else 0.
	whole int
}

func newAxis(from, to int) axis {
	a := axis{from: from, to: to, scale: 1 / (float64(to) / float64(from))}
	const epsilon = 0x1p-52 // C's DBL_EPSILON
	if n := math.RoundToEven(a.scale); n >= 1 && math.Abs(a.scale-n) < epsilon {
		a.whole = int(n)
	}
	return a
}

// tap says that a destination pixel lies between source pixels i and j: value[i]*(1-w) + value[j]*w, or
// value[i]*v + value[j]*w with v a rounded 1-w. i and j lie within the source.
type tap struct {
	i, j int
	v, w float32
}

// place is where destination pixel d lies: between source pixels i and i+1, w of the way to i+1. i may lie
// outside of the source.
type place func(d int) (i int, w float32)

// precise is IPP's place: computed in float64, the fraction rounded to float32.
func (a axis) precise(d int) (i int, w float32) {
	at := float64((float64(d)+0.5)*(float64(a.from)/float64(a.to))) - 0.5
	whole := math.Floor(at)
	return int(whole), float32(at - whole)
}

// linear is OpenCV's place: rounded to float32 before the fraction is taken.
func (a axis) linear(d int) (i int, w float32) {
	at := float32(float64((float64(d)+0.5)*a.scale) - 0.5)
	whole := math.Floor(float64(at))
	return int(whole), at - float32(whole)
}

// area is OpenCV's place for an area average that grows: w is the share of the cell that lies in the next
// source pixel.
func (a axis) area(d int) (i int, w float32) {
	i = int(math.Floor(float64(d) * a.scale))
	w = float32(float64(d+1) - float64(float64(i+1)*(float64(a.to)/float64(a.from))))
	if w <= 0 {
		return i, 0
	}
	return i, w - float32(math.Floor(float64(w)))
}

// taps gives a place at the border the border's pixel alone. OpenCV does so along rows, IPP along both axes.
func (a axis) taps(at place) []tap {
	taps := make([]tap, a.to)
	for d := range taps {
		i, w := at(d)
		if i < 0 || i >= a.from-1 {
			i = a.within(i)
			taps[d] = tap{i: i, j: i, v: 1}
			continue
		}
		taps[d] = tap{i: i, j: i + 1, v: 1 - w, w: w}
	}
	return taps
}

// rowTaps gives a place at the border the border's row twice, with the two weights that it would have
// inside: OpenCV's way between rows. It differs from taps in the rounding.
func (a axis) rowTaps(at place) []tap {
	taps := make([]tap, a.to)
	for d := range taps {
		i, w := at(d)
		taps[d] = tap{i: a.within(i), j: a.within(i + 1), v: 1 - w, w: w}
	}
	return taps
}

func (a axis) within(i int) int { return min(max(i, 0), a.from-1) }
