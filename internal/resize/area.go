package resize

import "math"

// sample is a stored element of a plane.
type sample interface{ uint8 | uint16 }

// areaWhole hands the sums of whole cells, y.whole x x.whole source pixels each, to put row by row. put
// must not keep sums.
func areaWhole[T sample](src []T, columns int, y, x axis, put func(row int, sums []int64, cell int)) {
	sums := make([]int64, x.to)
	for d := range y.to {
		clear(sums)
		for r := range y.whole {
			row := src[(d*y.whole+r)*columns:][:columns]
			if x.whole == 4 {
				addFours(sums, row)
				continue
			}
			for k := range sums {
				var s int64
				for _, p := range row[k*x.whole:][:x.whole] {
					s += int64(p)
				}
				sums[k] += s
			}
		}
		put(d, sums, y.whole*x.whole)
	}
}

// addFours is the loop of areaWhole for 512 columns becoming 128.
func addFours[T sample](sums []int64, row []T) {
	for k := range sums {
		p := row[:4]
		sums[k] += int64(p[0]) + int64(p[1]) + int64(p[2]) + int64(p[3])
		row = row[4:]
	}
}

// meanInt turns sums of biased values into rounded means of stored values: half up for 2x2 cells, half to
// even for all others, as OpenCV does.
func meanInt(dst []float32, sums []int64, cell int, bias int64) {
	share := 1 / float32(cell)
	for k, s := range sums {
		s += bias * int64(cell)
		if cell == 4 {
			dst[k] = float32((s + 2) >> 2)
		} else {
			dst[k] = float32(s) * share
		}
	}
}

func meanUint8(dst []uint8, sums []int64, cell int) {
	share := 1 / float32(cell)
	for k, s := range sums {
		if cell == 4 {
			dst[k] = uint8((s + 2) >> 2)
		} else {
			dst[k] = uint8(math.RoundToEven(float64(float32(s) * share)))
		}
	}
}

// part is the share of source pixel si in destination pixel di.
type part struct {
	si, di int
	share  float32
}

// parts cuts an axis that shrinks into the parts of its source pixels, in the order in which OpenCV adds
// them. Slivers of less than a thousandth of a pixel are left out, as there.
func (a axis) parts() []part {
	parts := make([]part, 0, a.from+2*a.to)
	for d := range a.to {
		start := float64(d) * a.scale
		end := start + a.scale
		width := min(a.scale, float64(a.from)-start)
		last := min(int(math.Floor(end)), a.from-1)
		first := min(int(math.Ceil(start)), last)
		if float64(first)-start > 1e-3 {
			parts = append(parts, part{first - 1, d, float32((float64(first) - start) / width)})
		}
		for i := first; i < last; i++ {
			parts = append(parts, part{i, d, float32(1 / width)})
		}
		if end-float64(last) > 1e-3 {
			parts = append(parts, part{last, d, float32(min(end-float64(last), 1, width) / width)})
		}
	}
	return parts
}

// areaParts hands weighted means of cells that cut through source pixels to put, row by row. put must not
// keep values.
func areaParts[T sample](src []T, columns int, y, x axis, bias int32, put func(row int, values []float32)) {
	across := x.parts()
	line, sum := make([]float32, x.to), make([]float32, x.to)
	row := 0
	for _, p := range y.parts() {
		if p.di != row {
			put(row, sum)
			clear(sum)
			row = p.di
		}
		clear(line)
		from := src[p.si*columns:][:columns]
		for _, q := range across {
			line[q.di] += float32(float32(int32(from[q.si])+bias) * q.share)
		}
		for k, v := range line {
			sum[k] += float32(v * p.share)
		}
	}
	put(row, sum)
}
