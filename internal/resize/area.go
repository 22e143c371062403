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
			dst[k] = uint8(round(float32(s) * share))
		}
	}
}

// cell says which source pixels make up a destination pixel, with which shares: head of pixel first-1, each
// of the pixels from first up to last, tail of pixel last. A share of 0 stands for a pixel that has no part.
type cell struct {
	first, last      int
	head, each, tail float32
}

// cells cuts an axis that shrinks. Slivers of less than a thousandth of a pixel are left out, as in OpenCV.
func (a axis) cells() []cell {
	cells := make([]cell, a.to)
	for d := range cells {
		start := float64(float64(d) * a.scale)
		end := start + a.scale
		width := min(a.scale, float64(a.from)-start)
		last := min(int(math.Floor(end)), a.from-1)
		first := min(int(math.Ceil(start)), last)
		c := cell{first: first, last: last, each: float32(1 / width)}
		if float64(first)-start > 1e-3 {
			c.head = float32((float64(first) - start) / width)
		}
		if end-float64(last) > 1e-3 {
			c.tail = float32(min(end-float64(last), 1, width) / width)
		}
		cells[d] = c
	}
	return cells
}

// areaParts hands weighted means of cells that cut through source pixels to put, row by row. put must not
// keep values.
func areaParts[T sample](src []T, columns int, y, x axis, bias int32, put func(row int, values []float32)) {
	across := x.cells()
	sum := make([]float32, x.to)
	add := func(row int, share float32) {
		if share > 0 {
			addCells(sum, src[row*columns:][:columns], across, bias, share)
		}
	}
	for d, c := range y.cells() {
		clear(sum)
		add(c.first-1, c.head)
		for row := c.first; row < c.last; row++ {
			add(row, c.each)
		}
		add(c.last, c.tail)
		put(d, sum)
	}
}

// addCells adds share of the row's means to sum. Pixels are added from left to right, as OpenCV does.
func addCells[T sample](sum []float32, row []T, cells []cell, bias int32, share float32) {
	for k := range cells {
		c := &cells[k]
		var v float32
		if c.head > 0 {
			v = float32(int32(row[c.first-1])+bias) * c.head
		}
		for _, p := range row[c.first:c.last] {
			v += float32(float32(int32(p)+bias) * c.each)
		}
		if c.tail > 0 {
			v += float32(float32(int32(row[c.last])+bias) * c.tail)
		}
		sum[k] += float32(v * share)
	}
}
