package gorgonia

import (
	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// A convolution with kernels of 3 that reads a value in which every element is repeated along each axis does most of its
// products several times. Along one axis it equals a transposed convolution of the value before, with stride 2 and kernels of
// 4: k = (w₂, w₁+w₂, w₀+w₁, w₀). That takes 8 products for 27, forward and in both gradients, and what is repeated is never
// made. Where the convolution reads a concatenation, as in a U-Net's decoder, it is a sum over the parts.

// leastDoubled is the number of output positions from which that pays for making the other kernels. Tests change it.
var leastDoubled = 1024

// part is a stretch of the channels that a convolution reads.
type part struct {
	value          int // of the program
	from, channels int
	doubled        bool
	conv           *kernel.Conv
}

// doubled is a convolution by parts.
type doubled struct {
	parts         []part
	out, channels int // of the weights
	taps, wide    int // elements of a kernel of 3 and of one of 4
	axes          int
	outShape      []int
}

// doubles tells whether an operation repeats every element along each spatial axis.
func (b *builder) doubles(op *program.Op) bool {
	r, ok := op.Do.(*program.Resize)
	if !ok || r.Linear {
		return false
	}
	in, out := b.program.Values[op.In[0]].Shape, b.program.Values[op.Out[0]].Shape
	for a, s := range r.Scales {
		if s != 2 || out[2+a] != 2*in[2+a] {
			return false
		}
	}
	return true
}

// partsOf returns what the value is put together of, doubled parts as they were before; nil where none is.
func (b *builder) partsOf(v int) []part {
	op := b.makers[v]
	if op == nil {
		return nil
	}
	values := []int{v}
	if c, ok := op.Do.(*program.Concat); ok {
		if c.Axis != 1 {
			return nil
		}
		values = op.In
	}
	var parts []part
	any, at := false, 0
	for _, v := range values {
		p := part{value: v, from: at, channels: b.program.Values[v].Shape[1]}
		at += p.channels
		if m := b.makers[v]; m != nil && b.doubles(m) {
			p.value, p.doubled, any = m.In[0], true, true
		}
		parts = append(parts, p)
	}
	if !any {
		return nil
	}
	return parts
}

// convDoubled builds a convolution by parts, or returns false where there is nothing to gain.
func (b *builder) convDoubled(do *program.Conv) bool {
	w, y := b.shape(1), b.outShape()
	axes := len(w) - 2
	if do.Group != 1 || y[0]*size(y[2:]) < leastDoubled {
		return false
	}
	for a := range axes {
		if w[2+a] != 3 || do.Strides[a] != 1 || do.Dilations[a] != 1 || do.PadBegin[a] != 1 || do.PadEnd[a] != 1 {
			return false
		}
	}
	parts := b.partsOf(b.op.In[0])
	if parts == nil {
		return false
	}
	d := &doubled{out: w[0], channels: w[1], taps: 1, wide: 1, axes: axes, outShape: y}
	twos, ones, fours := make([]int, axes), make([]int, axes), []int{1, 1}
	for a := range axes {
		twos[a], ones[a] = 2, 1
		fours = append(fours, 4)
		d.taps, d.wide = 3*d.taps, 4*d.wide
	}
	scratch := [][]int{y} // the result; then kernels by part, and room for a part's share of the result
	var shapes [][]int
	in := []*G.Node{b.in(1)}
	// Plain parts come first: one of them adds the bias.
	for _, plain := range []bool{true, false} {
		for _, p := range parts {
			if p.doubled == plain {
				continue
			}
			x := b.program.Values[p.value].Shape
			if p.doubled {
				p.conv = b.convolution(geometry(y, x, fours, twos, ones, ones, 1))
				scratch = append(scratch, []int{p.channels * d.out * d.wide})
			} else {
				p.conv = b.convolution(geometry(x, y, w, ones, ones, ones, 1))
				scratch = append(scratch, []int{p.channels * d.out * d.taps})
			}
			d.parts = append(d.parts, p)
			shapes = append(shapes, x)
			in = append(in, b.nodes[p.value])
		}
	}
	kernels := scratch[1:]
	if len(parts) > 1 {
		scratch = append(scratch, y)
	}
	n := len(in)
	if bias := b.in(2); bias != nil {
		in = append(in, bias)
	}
	name := b.name("Conv")
	f := formula{name: "Conv", outs: scratch, wants: all(len(in)), kernel: d.run}
	f.grad = func(in []*G.Node, out, dy *G.Node) []*G.Node {
		grads := make([]*G.Node, len(in))
		outs := append([][]int{in[0].Shape()}, kernels...)
		grads[0] = b.apply(formula{name: name + " by weight", outs: outs, kernel: d.byWeight}, append(append([]*G.Node{}, in[1:n]...), dy)...)
		if len(in) > n {
			batch, n := y[0], size(y[2:])
			grads[len(in)-1] = b.apply(formula{name: name + " by bias", outs: [][]int{in[len(in)-1].Shape()},
				kernel: func(x *exec, out, in [][]float32) error {
					sumChannels(x, out[0], in[0], batch, d.out, n)
					return nil
				}}, dy)
		}
		for i := range d.parts {
			p := &d.parts[i]
			grads[1+i] = b.apply(formula{name: name + " by input", outs: [][]int{shapes[i]},
				kernel: func(_ *exec, out, in [][]float32) error {
					if p.doubled {
						p.conv.Forward(out[0], in[1], in[0], nil)
					} else {
						p.conv.GradInput(out[0], in[0], in[1])
					}
					return nil
				}}, b.part(out, 1+i), dy)
		}
		return grads
	}
	b.set(f, in...)
	return true
}

// run takes the weights, the parts and an optional bias, and gives the result and the parts' kernels.
func (d *doubled) run(x *exec, out, in [][]float32) error {
	var bias []float32
	if len(in) > 1+len(d.parts) {
		bias = in[len(in)-1]
	}
	for i := range d.parts {
		p := &d.parts[i]
		k, to := out[1+i], out[0]
		if i > 0 {
			to = out[len(out)-1]
		}
		d.kernels(x, p, k, in[0])
		if p.doubled {
			p.conv.GradInput(to, k, in[1+i])
		} else {
			p.conv.Forward(to, in[1+i], k, bias)
			bias = nil
		}
		if i > 0 {
			x.span(len(to), func(from, end int) { kernel.Add(out[0][from:end], out[0][from:end], to[from:end]) })
		}
	}
	if bias != nil {
		addBias(x, out[0], bias, d.out, size(d.outShape[2:]))
	}
	return nil
}

// addBias adds a bias to y [batch, channels, n].
func addBias(x *exec, y, bias []float32, channels, n int) {
	x.workers.Do(len(y)/n, func(_, i int) {
		at := y[i*n:][:n]
		kernel.Affine(at, at, 1, bias[i%channels])
	})
}

// kernels writes a part's kernels: [out, channels, 3…] of the weights where it is plain, [channels, out, 4…] where it is doubled.
func (d *doubled) kernels(x *exec, p *part, k, w []float32) {
	x.workers.Do(d.out, func(_, o int) {
		for c := range p.channels {
			from := w[(o*d.channels+p.from+c)*d.taps:][:d.taps]
			if !p.doubled {
				copy(k[(o*p.channels+c)*d.taps:], from)
				continue
			}
			var a, b [64]float32
			copy(a[:], from)
			src, dst := &a, &b
			before, after := 1, d.taps/3
			for range d.axes {
				for i := range before {
					for j := range after {
						s, t := i*3*after+j, i*4*after+j
						w0, w1, w2 := src[s], src[s+after], src[s+2*after]
						dst[t], dst[t+after], dst[t+2*after], dst[t+3*after] = w2, w1+w2, w0+w1, w0
					}
				}
				src, dst = dst, src
				before, after = before*4, after/3
			}
			copy(k[(c*d.out+o)*d.wide:], src[:d.wide])
		}
	})
}

// byWeight takes the parts and dy, and gives the gradient by the weights; its other results are those by the parts' kernels.
func (d *doubled) byWeight(x *exec, out, in [][]float32) error {
	dy := in[len(in)-1]
	for i := range d.parts {
		p := &d.parts[i]
		if p.doubled {
			p.conv.GradWeight(out[1+i], dy, in[i])
		} else {
			p.conv.GradWeight(out[1+i], in[i], dy)
		}
		d.unkernels(x, p, out[0], out[1+i])
	}
	return nil
}

// unkernels writes a part's share of the gradient by the weights.
func (d *doubled) unkernels(x *exec, p *part, dw, dk []float32) {
	x.workers.Do(d.out, func(_, o int) {
		for c := range p.channels {
			to := dw[(o*d.channels+p.from+c)*d.taps:][:d.taps]
			if !p.doubled {
				copy(to, dk[(o*p.channels+c)*d.taps:])
				continue
			}
			var a, b [64]float32
			copy(a[:], dk[(c*d.out+o)*d.wide:][:d.wide])
			src, dst := &a, &b
			before, after := d.wide/4, 1
			for range d.axes {
				for i := range before {
					for j := range after {
						s, t := i*4*after+j, i*3*after+j
						k0, k1, k2, k3 := src[s], src[s+after], src[s+2*after], src[s+3*after]
						dst[t], dst[t+after], dst[t+2*after] = k2+k3, k1+k2, k0+k1
					}
				}
				src, dst = dst, src
				before, after = before/4, after*3
			}
			copy(to, src[:d.taps])
		}
	})
}
