package augment

import "math"

// spoil blurs a slice's planes or adds noise, but for the last. What is drawn follows from seed, noise from its own.
func (w *sliceWork) spoil(o *Slices, slice []uint8, edge int, seed, noiseSeed uint64) {
	r := stream(seed, spoiling)
	if !(r.Float64() < o.SpoilP) {
		return
	}
	n := edge * edge
	kind := pick(r, o.Motion, o.Median, o.Gaussian, o.Noise)
	switch kind {
	case 0:
		line := lines[r.IntN(len(lines))]
		for plane := range Planes - 1 {
			w.motion(slice[plane*n:][:n], edge, line)
		}
	case 1:
		for plane := range Planes - 1 {
			w.median(slice[plane*n:][:n], edge)
		}
	case 2:
		for plane := range Planes - 1 {
			w.binomial(slice[plane*n:][:n], edge)
		}
	case 3:
		from, to := o.NoiseFrom*255, o.NoiseTo*255
		grain(slice[:(Planes-1)*n], math.Sqrt(from*from+(to*to-from*from)*r.Float64()), stream(noiseSeed, noising).Uint64())
	}
}

// pad copies a plane with a border of one pixel, mirrored about the outermost ones or repeating them.
func (w *sliceWork) pad(plane []uint8, edge int, repeat bool) {
	next := 1
	if repeat {
		next = 0
	}
	wide := edge + 2
	w.padded = room(w.padded, wide*wide)
	for i := range wide {
		from := i - 1
		if from < 0 {
			from = next
		}
		if from == edge {
			from = edge - 1 - next
		}
		row, out := plane[from*edge:][:edge], w.padded[i*wide:][:wide]
		copy(out[1:], row)
		out[0], out[wide-1] = row[next], row[edge-1-next]
	}
}

// line is a motion's pixels in a 3 x 3 window.
type line [][2]int

// lines are the lines that MotionBlur draws between two different pixels of the window, each as often as it is likely of 81: it draws two
// columns, and where they are equal two different rows. Two pixels apart, the line's middle may lie half-way between two pixels; OpenCV
// then takes the one towards its left end.
var lines = func() (all []line) {
	for from := range 9 {
		for to := range from {
			left, right := [2]int{from / 3, from % 3}, [2]int{to / 3, to % 3}
			if left[1] > right[1] {
				left, right = right, left
			}
			l := line{left}
			if max(abs(left[0]-right[0]), right[1]-left[1]) == 2 {
				l = append(l, [2]int{between(left[0], right[0]), between(left[1], right[1])})
			}
			l = append(l, right)
			all = append(all, l, l)
			if left[1] == right[1] {
				all = append(all, l)
			}
		}
	}
	return all
}()

func abs(v int) int { return max(v, -v) }

// between is half-way from a to b, or next to it on a's side.
func between(a, b int) int {
	if (a+b)%2 == 0 {
		return (a + b) / 2
	}
	return a
}

// motion replaces each pixel by the mean of a line about it, rounded half up.
func (w *sliceWork) motion(plane []uint8, edge int, l line) {
	w.pad(plane, edge, false)
	wide := edge + 2
	a, b := w.padded[l[0][0]*wide+l[0][1]:], w.padded[l[len(l)-1][0]*wide+l[len(l)-1][1]:]
	middle := w.padded[l[1][0]*wide+l[1][1]:]
	for i := range edge {
		out, a, b, middle := plane[i*edge:][:edge], a[i*wide:][:edge], b[i*wide:][:edge], middle[i*wide:][:edge]
		if len(l) == 2 {
			for j := range out {
				out[j] = uint8((uint32(a[j]) + uint32(b[j]) + 1) / 2)
			}
			continue
		}
		for j := range out {
			// With 3 values rounding half up is rounding to the nearest.
			out[j] = uint8((uint32(a[j]) + uint32(b[j]) + uint32(middle[j]) + 1) / 3)
		}
	}
}

// binomial blurs by 1 2 1 along both axes.
func (w *sliceWork) binomial(plane []uint8, edge int) {
	w.pad(plane, edge, false)
	wide := edge + 2
	var room [maxEdge + 2]uint32
	sums := room[:wide]
	for i := range edge {
		a, b, c := w.padded[i*wide:][:wide], w.padded[(i+1)*wide:][:wide], w.padded[(i+2)*wide:][:wide]
		for j := range sums {
			sums[j] = uint32(a[j]) + 2*uint32(b[j]) + uint32(c[j])
		}
		out := plane[i*edge:][:edge]
		for j := range out {
			out[j] = uint8((sums[j] + 2*sums[j+1] + sums[j+2] + 8) / 16)
		}
	}
}

// median replaces each pixel by the median of the 3 x 3 about it. Of three sorted columns it is the median of the largest of the low ones, the
// median of the middle ones and the smallest of the high ones.
func (w *sliceWork) median(plane []uint8, edge int) {
	w.pad(plane, edge, true)
	wide := edge + 2
	// As machine words: comparisons of bytes become branches.
	var room [3][maxEdge + 2]int
	low, mid, high := room[0][:wide], room[1][:wide], room[2][:wide]
	for i := range edge {
		a, b, c := w.padded[i*wide:][:wide], w.padded[(i+1)*wide:][:wide], w.padded[(i+2)*wide:][:wide]
		for j := range a {
			p, q, r := int(a[j]), int(b[j]), int(c[j])
			p, q = min(p, q), max(p, q)
			low[j], r = min(p, r), max(p, r)
			mid[j], high[j] = min(q, r), max(q, r)
		}
		out := plane[i*edge:][:edge]
		for j := range out {
			out[j] = uint8(middleOf(max(low[j], low[j+1], low[j+2]), middleOf(mid[j], mid[j+1], mid[j+2]), min(high[j], high[j+1], high[j+2])))
		}
	}
}

func middleOf(a, b, c int) int { return max(min(a, b), min(max(a, b), c)) }

// normal has the normal distribution's quantiles, in units of 1/4096 deviation.
var normal = func() (q [4096]int32) {
	for i := range q {
		q[i] = int32(math.Round(4096 * math.Sqrt2 * math.Erfinv((2*float64(i)+1)/float64(len(q))-1)))
	}
	return q
}()

// grain adds Gaussian noise of a deviation in grey levels, rounded and cut off at 0 and 255.
func grain(values []uint8, deviation float64, seed uint64) {
	scale := int64(math.Round(deviation * 4096))
	noisy := func(v uint8, bits uint64) uint8 {
		return uint8(max(0, min(255, (int64(v)<<24+int64(normal[bits&4095])*scale+1<<23)>>24)))
	}
	n := len(values) &^ 3
	for i := 0; i < n; i += 4 {
		seed += 0x9e3779b97f4a7c15
		bits := scramble(seed)
		four := values[i : i+4 : i+4]
		four[0], four[1] = noisy(four[0], bits), noisy(four[1], bits>>12)
		four[2], four[3] = noisy(four[2], bits>>24), noisy(four[3], bits>>36)
	}
	for i := n; i < len(values); i++ {
		values[i] = noisy(values[i], scramble(seed+uint64(i)))
	}
}
