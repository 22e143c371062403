package gorgonia

import (
	"math"
	"unsafe"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// window says what a pooling reads: three axes, as convolutions have them.
type window struct {
	planes                                  int
	in, out, kernel, stride, dilation, pads [3]int
	ends                                    [3]int // padding at the end
	countPad                                bool
}

// pool takes the largest or mean value of windows. Where a gradient may be asked for, it remembers where the largest stood by its number in
// the window: a byte where windows are small.
func (b *builder) pool(do *program.Pool) {
	b.checkRank()
	shape, outShape := b.shape(0), b.outShape()
	w := window{planes: shape[0] * shape[1], countPad: do.CountPad}
	for a := range 3 {
		w.in[a], w.out[a], w.kernel[a], w.stride[a], w.dilation[a] = 1, 1, 1, 1, 1
		if i := a - (5 - len(shape)); i >= 0 {
			w.in[a], w.out[a], w.kernel[a], w.stride[a] = shape[2+i], outShape[2+i], do.Kernel[i], do.Strides[i]
			w.pads[a], w.ends[a] = do.PadBegin[i], do.PadEnd[i]
			if do.Dilations != nil {
				w.dilation[a] = do.Dilations[i]
			}
		}
	}
	name := b.name("Pool")
	if !do.Max {
		b.set(formula{name: "MeanPool", wants: all(1), kernel: w.mean, grad: func(in []*G.Node, _, dy *G.Node) []*G.Node {
			return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, kernel: w.meanGrad}, dy)}
		}}, b.in(0))
		return
	}
	if !b.learned[b.op.In[0]] {
		b.set(formula{name: "MaxPool", kernel: func(x *exec, out, in [][]float32) error { return w.max(x, out, in) }}, b.in(0))
		return
	}
	kept := size(outShape)
	if w.small() {
		kept = (kept + 3) / 4
	}
	b.set(formula{name: "MaxPool", outs: [][]int{outShape, {kept}}, wants: all(1), kernel: w.max, grad: func(in []*G.Node, y, dy *G.Node) []*G.Node {
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, kernel: w.maxGrad}, b.part(y, 1), dy)}
	}}, b.in(0))
}

func (w *window) small() bool { return w.kernel[0]*w.kernel[1]*w.kernel[2] <= math.MaxUint8 }

// bytesOf and wordsOf see memory as whole numbers, in which the places of the largest values are kept.
func bytesOf(f []float32) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

func wordsOf(f []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}

// each calls f for every output of a plane, with the window's first input position by axis, which may be negative.
func (w *window) each(f func(o int, z, y, x int)) {
	o := 0
	for i := range w.out[0] {
		for j := range w.out[1] {
			for k := range w.out[2] {
				f(o, i*w.stride[0]-w.pads[0], j*w.stride[1]-w.pads[1], k*w.stride[2]-w.pads[2])
				o++
			}
		}
	}
}

// max writes the largest values and, where there is a second result, their places. NaN counts as largest, as in PyTorch.
func (w *window) max(x *exec, out, in [][]float32) error {
	n, m := size(w.in[:]), size(w.out[:])
	var places []float32
	if len(out) > 1 {
		places = out[1]
	}
	// Workers write neighbouring bytes of the places; bytes are memory locations of their own.
	small, large := bytesOf(places), wordsOf(places)
	isSmall := w.small()
	from, to := w.reach()
	x.workers.Do(w.planes, func(_, p int) {
		src, dst := in[0][p*n:][:n], out[0][p*m:][:m]
		if w.halves() {
			var where []uint8
			if places != nil {
				where = small[p*m:][:m]
			}
			w.max2(dst, src, where)
			return
		}
		var at []int32
		if places != nil {
			at = make([]int32, w.out[2])
		}
		for r := range w.out[0] * w.out[1] {
			row := dst[r*w.out[2]:][:w.out[2]]
			w.maxRow(row, at, src, r/w.out[1]*w.stride[0]-w.pads[0], r%w.out[1]*w.stride[1]-w.pads[1], from, to)
			switch {
			case places == nil:
			case isSmall:
				for i, k := range at {
					small[p*m+r*w.out[2]+i] = uint8(k)
				}
			default:
				for i, k := range at {
					large[p*m+r*w.out[2]+i] = uint32(k)
				}
			}
		}
	})
	return nil
}

// reach returns for each tap along the last axis the outputs for which it lies inside.
func (w *window) reach() (from, to []int) {
	for k := range w.kernel[2] {
		first := k*w.dilation[2] - w.pads[2] // input of output 0
		lo, hi := 0, w.out[2]
		if first < 0 {
			lo = (-first + w.stride[2] - 1) / w.stride[2]
		}
		if last := w.in[2] - 1 - first; last < 0 {
			hi = 0
		} else {
			hi = min(hi, last/w.stride[2]+1)
		}
		from, to = append(from, lo), append(to, max(hi, lo))
	}
	return from, to
}

// maxRow writes the largest values of a row of windows, which begin at the plane z and the row y, and the numbers of their taps
// where at isn't nil.
func (w *window) maxRow(row []float32, at []int32, src []float32, z, y int, from, to []int) {
	for i := range row {
		row[i] = float32(math.Inf(-1))
	}
	for i := range at {
		at[i] = -1
	}
	for i := range w.kernel[0] {
		zz := z + i*w.dilation[0]
		if uint(zz) >= uint(w.in[0]) {
			continue
		}
		for j := range w.kernel[1] {
			yy := y + j*w.dilation[1]
			if uint(yy) >= uint(w.in[1]) {
				continue
			}
			line := src[(zz*w.in[1]+yy)*w.in[2]:][:w.in[2]]
			for k := range w.kernel[2] {
				tap := int32((i*w.kernel[1]+j)*w.kernel[2] + k)
				p := from[k]*w.stride[2] + k*w.dilation[2] - w.pads[2]
				best := row[from[k]:to[k]]
				if at == nil {
					if w.stride[2] == 1 && len(best) > 0 {
						kernel.Max(best, best, line[p:])
						continue
					}
					for o, b := range best {
						best[o] = max(b, line[p]) // keeps NaN
						p += w.stride[2]
					}
					continue
				}
				where := at[from[k]:to[k]]
				for o, b := range best {
					v := line[p]
					p += w.stride[2]
					t := where[o]
					if v > b || v != v || t < 0 {
						b, t = v, tap
					}
					best[o], where[o] = b, t
				}
			}
		}
	}
}

// halves tells whether windows are of 2x2x2, lie inside and do not overlap.
func (w *window) halves() bool {
	two := [3]int{2, 2, 2}
	return w.kernel == two && w.stride == two && w.dilation == [3]int{1, 1, 1} && w.pads == [3]int{} && w.inside()
}

// inside tells whether no window reaches beyond the end.
func (w *window) inside() bool {
	for a := range 3 {
		if (w.out[a]-1)*w.stride[a]-w.pads[a]+(w.kernel[a]-1)*w.dilation[a] >= w.in[a] {
			return false
		}
	}
	return true
}

// max2 is max for windows of 2x2x2 that do not overlap.
func (w *window) max2(to, from []float32, where []uint8) {
	o := 0
	for i := range w.out[0] {
		for j := range w.out[1] {
			var rows [4][]float32
			for r := range rows {
				rows[r] = from[((2*i+r>>1)*w.in[1]+2*j+r&1)*w.in[2]:][:2*w.out[2]]
			}
			for k := range w.out[2] {
				best, at := rows[0][2*k], 0
				for r, row := range rows {
					for d := range 2 {
						if v := row[2*k+d]; v > best || v != v {
							best, at = v, 2*r+d
						}
					}
				}
				to[o] = best
				if where != nil {
					where[o] = uint8(at)
				}
				o++
			}
		}
	}
}

// maxGrad takes the places and dy.
func (w *window) maxGrad(x *exec, out, in [][]float32) error {
	n, m := size(w.in[:]), size(w.out[:])
	small, large := bytesOf(in[0]), wordsOf(in[0])
	isSmall := w.small()
	x.workers.Do(w.planes, func(_, p int) {
		dx, dy := out[0][p*n:][:n], in[1][p*m:][:m]
		clear(dx)
		w.each(func(o, z, y, x int) {
			var at int
			if isSmall {
				at = int(small[p*m+o])
			} else {
				at = int(large[p*m+o])
			}
			k := at % w.kernel[2]
			at /= w.kernel[2]
			i, j := at/w.kernel[1], at%w.kernel[1]
			z, y, x = z+i*w.dilation[0], y+j*w.dilation[1], x+k*w.dilation[2]
			if uint(z) < uint(w.in[0]) && uint(y) < uint(w.in[1]) && uint(x) < uint(w.in[2]) {
				dx[(z*w.in[1]+y)*w.in[2]+x] += dy[o]
			}
		})
	})
	return nil
}

// counted returns how many positions of an axis count for the mean of the window that begins at first.
func (w *window) counted(a, first int) int {
	from, to := 0, w.in[a]
	if w.countPad {
		from, to = -w.pads[a], w.in[a]+w.ends[a]
	}
	n := 0
	for k := range w.kernel[a] {
		if p := first + k*w.dilation[a]; p >= from && p < to {
			n++
		}
	}
	return n
}

// walk calls f for every input position that a window reads.
func (w *window) walk(z, y, x int, f func(i int)) {
	for i := range w.kernel[0] {
		zz := z + i*w.dilation[0]
		if uint(zz) >= uint(w.in[0]) {
			continue
		}
		for j := range w.kernel[1] {
			yy := y + j*w.dilation[1]
			if uint(yy) >= uint(w.in[1]) {
				continue
			}
			for k := range w.kernel[2] {
				if xx := x + k*w.dilation[2]; uint(xx) < uint(w.in[2]) {
					f((zz*w.in[1]+yy)*w.in[2] + xx)
				}
			}
		}
	}
}

func (w *window) share(z, y, x int) float32 {
	return 1 / float32(max(w.counted(0, z)*w.counted(1, y)*w.counted(2, x), 1))
}

// pairs tells whether windows are two wide, at most two high and deep, lie inside and do not overlap.
func (w *window) pairs() bool {
	return w.kernel[2] == 2 && max(w.kernel[0], w.kernel[1]) <= 2 && w.stride == w.kernel && w.dilation == [3]int{1, 1, 1} && w.pads == [3]int{} && w.inside()
}

// eachPair calls f for every row of outputs with the rows of inputs that it reads, of which those after the first may be nil.
func (w *window) eachPair(out, in []float32, f func(out []float32, in [4][]float32)) {
	for r := range w.out[0] * w.out[1] {
		z, y := r/w.out[1]*w.kernel[0], r%w.out[1]*w.kernel[1]
		var rows [4][]float32
		for k := range w.kernel[0] * w.kernel[1] {
			rows[k] = in[((z+k/w.kernel[1])*w.in[1]+y+k%w.kernel[1])*w.in[2]:][:w.in[2]]
		}
		f(out[r*w.out[2]:][:w.out[2]], rows)
	}
}

// meanPairs adds in the order in which mean does.
func meanPairs(out []float32, in [4][]float32, share float32) {
	for k, row := range in {
		row = row[:min(len(row), 2*len(out))]
		for i := range out {
			if len(row) < 2 {
				break
			}
			if k == 0 {
				out[i] = row[0] + row[1]
			} else {
				out[i] = out[i] + row[0] + row[1]
			}
			row = row[2:]
		}
	}
	kernel.Affine(out, out, share, 0)
}

func spreadPairs(in [4][]float32, out []float32, share float32) {
	first := in[0]
	for i, v := range out {
		v *= share
		if pair := first[2*i:]; len(pair) >= 2 {
			pair[0], pair[1] = v, v
		}
	}
	clear(first[2*len(out):])
	for _, row := range in[1:] {
		copy(row, first)
	}
}

func (w *window) mean(x *exec, out, in [][]float32) error {
	n, m := size(w.in[:]), size(w.out[:])
	pairs, share := w.pairs(), w.share(0, 0, 0)
	x.workers.Do(w.planes, func(_, p int) {
		from, to := in[0][p*n:][:n], out[0][p*m:][:m]
		if pairs {
			w.eachPair(to, from, func(out []float32, in [4][]float32) { meanPairs(out, in, share) })
			return
		}
		w.each(func(o, z, y, x int) {
			var sum float32
			w.walk(z, y, x, func(i int) { sum += from[i] })
			to[o] = sum * w.share(z, y, x)
		})
	})
	return nil
}

func (w *window) meanGrad(x *exec, out, in [][]float32) error {
	n, m := size(w.in[:]), size(w.out[:])
	pairs, share := w.pairs(), w.share(0, 0, 0)
	x.workers.Do(w.planes, func(_, p int) {
		dx, dy := out[0][p*n:][:n], in[0][p*m:][:m]
		clear(dx)
		if pairs {
			w.eachPair(dy, dx, func(out []float32, in [4][]float32) { spreadPairs(in, out, share) })
			return
		}
		w.each(func(o, z, y, x int) {
			g := dy[o] * w.share(z, y, x)
			w.walk(z, y, x, func(i int) { dx[i] += g })
		})
	})
	return nil
}
