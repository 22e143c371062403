package augment

import (
	"math"
	"sync"
)

// sliceWork is memory that is used again, and what a slice's draw was.
type sliceWork struct {
	// pixels says for each pixel of the result where it comes from: the place of the upper left of four pixels in 16 bits, and the weights
	// of the lower and the right ones, of 256, in 8 bits each. Still is true where each comes from its own place.
	pixels []uint32
	still  bool
	tones  [256]uint8
	hole   hole
	padded []uint8
	two    [maxEdge*maxEdge + 512]uint16 // two planes side by side, and what may be read beyond
	bends  [2][]float64
}

var sliceWorks = sync.Pool{New: func() any { return new(sliceWork) }}

// hole is a part of a slice.
type hole struct{ row, column, rows, columns int }

// move is one draw of everything that moves pixels.
type move struct {
	flipRows, flipColumns, transpose bool
	angle, scale                     float64    // degrees, counter-clockwise; factor
	shift                            [2]float64 // rows, columns, in pixels
	optical                          float64
	bends                            [2][]float64 // of rows and columns; nil where there is no grid
}

// draw draws a map and a hole.
func (w *sliceWork) draw(o *Slices, edge int, seed uint64) {
	m := move{scale: 1}
	flips := stream(seed, flipping)
	m.flipRows, m.flipColumns, m.transpose = flips.Float64() < o.FlipRows, flips.Float64() < o.FlipColumns, flips.Float64() < o.Transpose
	if r := stream(seed, translating); r.Float64() < o.MoveP {
		m.angle, m.scale = within(r, o.Rotate), 1+within(r, o.Scale)
		m.shift[1], m.shift[0] = within(r, o.Shift*float64(edge)), within(r, o.Shift*float64(edge))
	}
	if r := stream(seed, bending); r.Float64() < o.DistortP {
		switch pick(r, min(1, math.Ceil(o.Optical)), min(1, math.Ceil(o.Grid))) {
		case 0:
			m.optical = within(r, o.Optical)
		case 1:
			for axis := range m.bends {
				bend := w.bends[axis][:0]
				for i := range edge {
					bend = append(bend, float64(i))
				}
				distort(bend, o.GridCells, o.Grid, r)
				w.bends[axis], m.bends[axis] = bend, bend
			}
		}
	}
	w.follow(m, edge)
	w.hole = hole{}
	if r := stream(seed, cutting); r.Float64() < o.CutoutP {
		side := int(o.Cutout * float64(edge))
		w.hole.row, w.hole.rows = cut(r.IntN(edge+1), side, edge)
		w.hole.column, w.hole.columns = cut(r.IntN(edge+1), side, edge)
	}
}

// cut is where a hole about a place begins and how long it is: Cutout clips its begin to the slice, and then its end.
func cut(middle, side, edge int) (from, n int) {
	from = max(0, middle-side/2)
	return from, min(side, edge-from)
}

// The fraction of a place that is told apart: OpenCV's remap has 1/32 of a pixel.
const part = 256

// follow makes the table of pixels. A slice is flipped, then moved about its middle, then distorted, and is mirrored at its borders before
// and after the distortion, as though each were done by itself.
func (w *sliceWork) follow(m move, edge int) {
	if cap(w.pixels) < edge*edge {
		w.pixels = make([]uint32, edge*edge)
	}
	w.pixels = w.pixels[:edge*edge]
	distorted := m.optical != 0 || m.bends[0] != nil
	w.still = !distorted && !m.flipRows && !m.flipColumns && !m.transpose && m.angle == 0 && m.scale == 1 && m.shift == [2]float64{}
	if w.still {
		return
	}
	last := float64(edge - 1)
	middle := last / 2
	sin, cos := math.Sincos(m.angle * math.Pi / 180)
	sin, cos = sin/m.scale, cos/m.scale
	for i := range edge {
		for j := range edge {
			// Explicit conversions: no fused operation may take part, or machines would differ.
			y, x := float64(i), float64(j)
			if m.bends[0] != nil {
				y, x = m.bends[0][i], m.bends[1][j]
			}
			if m.optical != 0 {
				u, v := (x-middle)/float64(edge), (y-middle)/float64(edge)
				square := float64(u*u) + float64(v*v)
				f := 1 + float64(m.optical*(square+float64(square*square)))
				x, y = middle+float64((x-middle)*f), middle+float64((y-middle)*f)
			}
			if distorted {
				x, y = mirrored(x, last), mirrored(y, last)
			}
			x, y = x-middle-m.shift[1], y-middle-m.shift[0]
			x, y = float64(cos*x)-float64(sin*y)+middle, float64(sin*x)+float64(cos*y)+middle
			if m.transpose {
				x, y = y, x
			}
			if m.flipColumns {
				x = last - x
			}
			if m.flipRows {
				y = last - y
			}
			column, row := place(x, edge), place(y, edge)
			w.pixels[i*edge+j] = uint32(row/part*edge+column/part) | uint32(column%part)<<16 | uint32(row%part)<<24
		}
	}
}

// mirrored brings a coordinate between 0 and last, mirroring about both.
func mirrored(v, last float64) float64 {
	if v >= 0 && v <= last {
		return v
	}
	v = math.Mod(math.Abs(v), 2*last)
	return min(v, 2*last-v)
}

// place is a coordinate in parts of a pixel, within the slice.
func place(v float64, edge int) int {
	last := (edge - 1) * part
	p := int(math.Floor(float64(v*part) + 0.5))
	if p < 0 || p > last {
		p = max(p, -p) % (2 * last)
		p = min(p, 2*last-p)
	}
	return p
}

// resample makes a slice of another by the table of pixels, and changes tones in all planes but the last.
func (w *sliceWork) resample(dst, src []uint8, edge int) {
	n := edge * edge
	if w.still {
		for i, v := range src[:(Planes-1)*n] {
			dst[i] = w.tones[v]
		}
		copy(dst[(Planes-1)*n:], src[(Planes-1)*n:])
		return
	}
	for plane := 0; plane < Planes; plane += 2 {
		tones := &w.tones
		if plane == Planes-2 {
			tones = &straight
		}
		w.interleave(src[plane*n:][:n], src[(plane+1)*n:][:n])
		w.pair(dst[plane*n:][:n], dst[(plane+1)*n:][:n], edge, tones)
	}
}

var straight = func() (t [256]uint8) {
	for i := range t {
		t[i] = uint8(i)
	}
	return t
}()

// interleave puts two planes side by side, 16 bits a pixel. What lies beyond has no weight, but is read.
func (w *sliceWork) interleave(a, b []uint8) {
	two := w.two[:len(a)]
	for i, v := range a {
		two[i] = uint16(v) | uint16(b[i])<<8
	}
}

// pair makes two planes at a time, each in one half of a word: the weights' sum is 1<<16, so that 24 bits hold the result.
func (w *sliceWork) pair(outA, outB []uint8, edge int, tonesB *[256]uint8) {
	const low, half = 0x000000ff_000000ff, 0x00008000_00008000
	outA, outB = outA[:len(w.pixels)], outB[:len(w.pixels)]
	two, tonesA, below := &w.two, &w.tones, edge&511
	for k, p := range w.pixels {
		at, right, down := int(p&0xffff), uint64(p>>16&0xff), uint64(p>>24)
		a, b := uint64(two[at]), uint64(two[at+1])
		c, d := uint64(two[at+below]), uint64(two[at+below+1])
		top := (a|a<<24)&low*(part-right) + (b|b<<24)&low*right
		bottom := (c|c<<24)&low*(part-right) + (d|d<<24)&low*right
		v := top*(part-down) + bottom*down + half
		outA[k], outB[k] = tonesA[uint8(v>>16)], tonesB[uint8(v>>48)]
	}
}
