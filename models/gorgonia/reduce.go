package gorgonia

import (
	"math"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// mean averages over axes. Where these are the last ones, as in global pooling, rows are summed as they lie.
func (b *builder) mean(do *program.Mean) {
	shape := b.shape(0)
	kept := slices.Clone(shape)
	count := 1
	for _, a := range do.Axes {
		count *= kept[a]
		kept[a] = 1
	}
	name := b.name("Mean")
	spread := newBroadcast(shape, shape, kept, program.Add)
	share := 1 / float32(max(count, 1))
	b.set(formula{name: "Mean", wants: all(1), kernel: func(x *exec, out, in [][]float32) error {
		// The sum over the axes is what the gradient of a broadcast sum is.
		spread.grad(x, 1, out, [][]float32{nil, nil, in[0]})
		kernel.Affine(out[0], out[0], share, 0)
		return nil
	}, grad: func(_ []*G.Node, _, dy *G.Node) []*G.Node {
		back := newBroadcast(shape, []int{1}, kept, program.Mul)
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, kernel: func(x *exec, out, in [][]float32) error {
			return back.run(x, out, [][]float32{{share}, in[0]})
		}}, dy)}
	}}, b.in(0))
}

func (b *builder) expand() {
	shape, out := b.shape(0), b.outShape()
	c := newBroadcast(out, []int{1}, shape, program.Mul)
	sum := newBroadcast(out, out, shape, program.Add)
	name := b.name("Expand")
	b.set(formula{name: "Expand", wants: all(1), kernel: func(x *exec, out, in [][]float32) error {
		return c.run(x, out, [][]float32{{1}, in[0]})
	}, grad: func(_ []*G.Node, _, dy *G.Node) []*G.Node {
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, kernel: func(x *exec, out, in [][]float32) error {
			sum.grad(x, 1, out, [][]float32{nil, nil, in[0]})
			return nil
		}}, dy)}
	}}, b.in(0))
}

// softmax works on lines of n elements that lie inner apart.
func (b *builder) softmax(do *program.Softmax) {
	shape := b.shape(0)
	n, inner := shape[do.Axis], size(shape[do.Axis+1:])
	lines := size(shape) / max(n, 1)
	each := func(x *exec, f func(at func(k int) int)) {
		per := max(1, grain/max(n, 1))
		x.workers.Do((lines+per-1)/per, func(_, p int) {
			for l := p * per; l < min(lines, (p+1)*per); l++ {
				first := l/inner*inner*n + l%inner
				f(func(k int) int { return first + k*inner })
			}
		})
	}
	name := b.name("Softmax")
	b.set(formula{name: "Softmax", wants: all(1), inPlace: []int{0}, kernel: func(x *exec, out, in [][]float32) error {
		each(x, func(at func(int) int) {
			top := float32(math.Inf(-1))
			for k := range n {
				top = max(top, in[0][at(k)])
			}
			sum := 0.0
			for k := range n {
				e := math.Exp(float64(in[0][at(k)] - top))
				sum += e
				out[0][at(k)] = float32(e)
			}
			for k := range n {
				out[0][at(k)] = float32(float64(out[0][at(k)]) / sum)
			}
		})
		return nil
	}, grad: func(_ []*G.Node, y, dy *G.Node) []*G.Node {
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, inPlace: []int{1}, kernel: func(x *exec, out, in [][]float32) error {
			each(x, func(at func(int) int) {
				dot := 0.0
				for k := range n {
					dot += float64(in[0][at(k)]) * float64(in[1][at(k)])
				}
				for k := range n {
					out[0][at(k)] = in[0][at(k)] * (in[1][at(k)] - float32(dot))
				}
			})
			return nil
		}}, y, dy)}
	}}, b.in(0))
}

// dropout decides for each element by a number that depends on the seed, the call of Gradients, the operation's place and the
// element's alone, so that its gradient needs no memory.
func (b *builder) dropout(do *program.Dropout) {
	zero := 0
	if !b.training || do.Ratio == 0 {
		name, shape := b.name("Dropout"), b.shape(0)
		b.set(formula{name: "Dropout", view: &zero, wants: all(1), grad: func(_ []*G.Node, _, dy *G.Node) []*G.Node {
			return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, view: &zero}, dy)}
		}}, b.in(0))
		return
	}
	number, shape := b.number, b.shape(0)
	limit := uint64(float64(do.Ratio) * (1 << 32)) // drops where 32 random bits are below it
	scale := 1 / (1 - do.Ratio)
	run := func(x *exec, out, in [][]float32) error {
		key := mix(mix(mix(x.seed)+x.draw) + number)
		x.span(len(out[0]), func(from, to int) {
			o := out[0][from:to]
			for i, v := range in[0][from:to] {
				if mix(key+uint64(from+i))>>32 < limit {
					o[i] = 0
				} else {
					o[i] = v * scale
				}
			}
		})
		return nil
	}
	name := b.name("Dropout")
	b.set(formula{name: "Dropout", wants: all(1), inPlace: []int{0}, kernel: run, grad: func(_ []*G.Node, _, dy *G.Node) []*G.Node {
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, inPlace: []int{0}, kernel: run}, dy)}
	}}, b.in(0))
}

// mix is the step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
