package gorgonia

import (
	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// geometry describes a convolution from x to y with kernels of w's spatial shape. Missing axes come first.
func geometry(x, y, w, strides, dilations, begin []int, group int) kernel.Geometry {
	g := kernel.Geometry{Batch: x[0], In: x[1], Out: y[1], Group: group}
	for a := range 3 {
		g.InSize[a], g.OutSize[a], g.Kernel[a], g.Stride[a], g.Dilation[a] = 1, 1, 1, 1, 1
		if i := a - (5 - len(x)); i >= 0 {
			g.InSize[a], g.OutSize[a], g.Kernel[a] = x[2+i], y[2+i], w[2+i]
			g.Stride[a], g.Dilation[a], g.PadBegin[a] = strides[i], dilations[i], begin[i]
		}
	}
	return g
}

// convolution returns the kernels of a geometry. Equal ones share their scratch.
func (b *builder) convolution(g kernel.Geometry) *kernel.Conv {
	if c := b.convs[g]; c != nil {
		return c
	}
	c, err := kernel.NewConv(g, b.workers)
	if err != nil {
		fail("gorgonia: node %s: %w", b.op.Node, err)
	}
	b.convs[g] = c
	return c
}

// checkRank refuses what the convolution kernels have no axes for.
func (b *builder) checkRank() {
	if r := len(b.shape(0)); r < 3 || r > 5 {
		fail("gorgonia: node %s: convolutions and pooling take 1 to 3 spatial axes, not %d", b.op.Node, r-2)
	}
}

func (b *builder) conv(do *program.Conv) {
	b.checkRank()
	if b.convDoubled(do) {
		return
	}
	c := b.convolution(geometry(b.shape(0), b.outShape(), b.shape(1), do.Strides, do.Dilations, do.PadBegin, do.Group))
	b.convLike("Conv", func(_ *exec, y, x, w, bias []float32) { c.Forward(y, x, w, bias) }, c.GradInput, c.GradWeight)
}

// convTranspose is the convolution from its output to its input, backwards.
func (b *builder) convTranspose(do *program.ConvTranspose) {
	b.checkRank()
	x, y, w := b.shape(0), b.outShape(), b.shape(1)
	c := b.convolution(geometry(y, x, w, do.Strides, do.Dilations, do.PadBegin, do.Group))
	channels, n := y[1], size(y[2:])
	b.convLike("ConvTranspose", func(e *exec, y, x, w, bias []float32) {
		c.GradInput(y, w, x)
		if bias != nil {
			addBias(e, y, bias, channels, n)
		}
	}, func(dx, w, dy []float32) { c.Forward(dx, dy, w, nil) }, func(dw, x, dy []float32) { c.GradWeight(dw, dy, x) })
}

func (b *builder) convLike(name string, forward func(e *exec, y, x, w, bias []float32), gradInput, gradWeight func(d, a, dy []float32)) {
	x, w, bias := b.in(0), b.in(1), b.in(2)
	y := b.outShape()
	batch, channels, n := y[0], y[1], size(y[2:])
	f := formula{name: name, wants: all(2), kernel: func(x *exec, out, in [][]float32) error {
		var bias []float32
		if len(in) > 2 {
			bias = in[2]
		}
		forward(x, out[0], in[0], in[1], bias)
		return nil
	}}
	name = b.name(name)
	f.grad = func(in []*G.Node, _, dy *G.Node) []*G.Node {
		grads := make([]*G.Node, len(in))
		grads[1] = b.apply(formula{name: name + " by weight", outs: [][]int{in[1].Shape()},
			kernel: func(_ *exec, out, in [][]float32) error {
				gradWeight(out[0], in[0], in[1])
				return nil
			}}, in[0], dy)
		if len(in) > 2 {
			grads[2] = b.apply(formula{name: name + " by bias", outs: [][]int{in[2].Shape()},
				kernel: func(x *exec, out, in [][]float32) error {
					sumChannels(x, out[0], in[0], batch, channels, n)
					return nil
				}}, dy)
		}
		grads[0] = b.apply(formula{name: name + " by input", outs: [][]int{in[0].Shape()},
			kernel: func(_ *exec, out, in [][]float32) error {
				gradInput(out[0], in[0], in[1])
				return nil
			}}, in[1], dy)
		return grads
	}
	if bias == nil {
		b.set(f, x, w)
		return
	}
	f.wants = all(3)
	b.set(f, x, w, bias)
}

// sumChannels sums x [batch, channels, n] over batch and positions.
func sumChannels(x *exec, out, in []float32, batch, channels, n int) {
	x.workers.Do(channels, func(_, c int) {
		total := 0.0
		for k := range batch {
			total += kernel.Sum(in[(k*channels+c)*n:][:n])
		}
		out[c] = float32(total)
	})
}
