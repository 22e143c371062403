package gorgonia

import (
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// norm is a batch normalisation, with the Relu that follows it.
type norm struct {
	batch, channels, n int
	epsilon            float64
	relu               *program.Unary // or nil
}

// batchNorm normalises by the statistics, or in training by the batch. Training keeps the input, not the normalised values.
func (b *builder) batchNorm(do *program.BatchNorm, relu *program.Unary) {
	shape := b.shape(0)
	m := norm{batch: shape[0], channels: shape[1], n: size(shape[2:]), epsilon: do.Epsilon, relu: relu}
	if !b.training {
		b.set(formula{name: "BatchNorm", inPlace: []int{0}, kernel: m.infer}, b.in(0), b.in(1), b.in(2), b.in(3), b.in(4))
		return
	}
	mean, variance := b.fixed[b.op.In[3]], b.fixed[b.op.In[4]]
	c := []int{m.channels}
	name := b.name("BatchNorm")
	moved := make([]float32, 2*m.channels) // the batch's mean and unbiased variance
	b.set(formula{name: "BatchNorm", outs: [][]int{shape, c, c}, wants: all(3),
		kernel: func(x *exec, out, in [][]float32) error {
			m.train(x, out, in, moved)
			x.done = append(x.done, func() {
				for i := range mean {
					mean[i] += float32(do.Share * (float64(moved[i]) - float64(mean[i])))
					variance[i] += float32(do.Share * (float64(moved[m.channels+i]) - float64(variance[i])))
				}
			})
			return nil
		},
		grad: func(in []*G.Node, y, dy *G.Node) []*G.Node {
			args, inPlace := []*G.Node{in[0], in[1], b.part(y, 1), b.part(y, 2), dy}, []int{4}
			if relu != nil {
				args, inPlace = append(args, y), []int{4, 5}
			}
			dx := b.apply(formula{name: name + " gradient", outs: [][]int{shape, c, c}, inPlace: inPlace, kernel: m.grad}, args...)
			return []*G.Node{dx, b.part(dx, 1), b.part(dx, 2)}
		},
	}, b.in(0), b.in(1), b.in(2))
}

// infer takes x, scale, bias, mean and variance.
func (m *norm) infer(x *exec, out, in [][]float32) error {
	x.workers.Do(m.batch*m.channels, func(_, i int) {
		c := i % m.channels
		a := float32(float64(in[1][c]) / math.Sqrt(float64(in[4][c])+m.epsilon))
		m.line(out[0][i*m.n:][:m.n], in[0][i*m.n:][:m.n], a, in[2][c]-a*in[3][c])
	})
	return nil
}

// line writes y = relu(a·x + b).
func (m *norm) line(y, x []float32, a, b float32) {
	switch {
	case m.relu == nil:
		kernel.Affine(y, x, a, b)
	case m.relu.Func == program.Relu:
		kernel.AffineRelu(y, x, a, b)
	default:
		kernel.Affine(y, x, a, b)
		leaky(y, y, m.relu.Alpha)
	}
}

// train takes x, scale and bias, and gives the result, the mean and one over the standard deviation.
func (m *norm) train(x *exec, out, in [][]float32, moved []float32) {
	x.workers.Do(m.channels, func(_, c int) {
		count := float64(m.batch * m.n)
		mean, variance := m.moments(in[0], c)
		inverse := float32(1 / math.Sqrt(variance+m.epsilon))
		out[1][c], out[2][c] = float32(mean), inverse
		moved[c], moved[m.channels+c] = float32(mean), float32(variance*count/max(count-1, 1))
		a := in[1][c] * inverse
		for k := range m.batch {
			i := (k*m.channels + c) * m.n
			m.line(out[0][i:][:m.n], in[0][i:][:m.n], a, in[2][c]-a*out[1][c])
		}
	})
}

// moments returns a channel's mean and biased variance. Sums are of differences from a guess of the mean, so that one pass over the memory
// will do; where the guess was bad, a second one is from the mean itself.
func (m *norm) moments(x []float32, c int) (mean, variance float64) {
	count := float64(m.batch * m.n)
	pass := func(shift float32) {
		sum, square := 0.0, 0.0
		for k := range m.batch {
			s, q := kernel.Moments(x[(k*m.channels+c)*m.n:][:m.n], shift)
			sum, square = sum+s, square+q
		}
		mean, variance = float64(shift)+sum/count, max(0, (square-sum*sum/count)/count)
	}
	first := x[c*m.n:][:min(m.n, 1024)]
	guess := float32(kernel.Sum(first) / float64(len(first)))
	pass(guess)
	if d := mean - float64(guess); d*d > variance {
		pass(float32(mean))
	}
	return mean, variance
}

// stretch is how many elements go through all loops of a pass while they are in the fastest cache. A multiple of what the
// kernels sum in float32.
const stretch = 2048

// grad takes x, scale, mean, one over the deviation, dy and, where Relu follows, the result, and gives the gradients by x, scale and bias.
func (m *norm) grad(x *exec, out, in [][]float32) error {
	x.workers.Do(m.channels, func(_, c int) {
		count := float64(m.batch * m.n)
		mean, inverse := in[2][c], in[3][c]
		a := in[1][c] * inverse
		sum, dot := 0.0, 0.0
		for k := range m.batch {
			i := (k*m.channels + c) * m.n
			for from, end := i, i+m.n; from < end; from += stretch {
				to := min(from+stretch, end)
				dy := in[4][from:to]
				if m.relu != nil {
					dy = out[0][from:to]
					m.mask(dy, in[5][from:to], in[4][from:to])
				}
				s, d := kernel.DotShift(in[0][from:to], dy, mean)
				sum, dot = sum+s, dot+d
			}
		}
		out[1][c], out[2][c] = float32(dot*float64(inverse)), float32(sum)
		// dx = a·(dy − Σdy/count − (x − mean)·Σ(x−mean)dy·inverse²/count)
		slope := -float64(a) * dot * float64(inverse) * float64(inverse) / count
		offset := -float64(a)*sum/count - slope*float64(mean)
		for k := range m.batch {
			i := (k*m.channels + c) * m.n
			dy, dx := in[4][i:][:m.n], out[0][i:][:m.n]
			if m.relu != nil {
				dy = dx
			}
			kernel.Affine2(dx, dy, in[0][i:][:m.n], a, float32(slope), float32(offset))
		}
	})
	return nil
}

// mask writes the gradient before Relu, whose result is y.
func (m *norm) mask(dx, y, dy []float32) {
	if m.relu.Func == program.Relu {
		kernel.ReluGrad(dx, y, dy)
	} else {
		leakyGrad(dx, y, dy, m.relu.Alpha)
	}
}

// layerNorm normalises rows: x, scale and an optional bias.
func (b *builder) layerNorm(do *program.LayerNorm) {
	shape := b.shape(0)
	n := size(shape[do.Axis:])
	rows := size(shape) / max(n, 1)
	name := b.name("LayerNorm")
	in := []*G.Node{b.in(0), b.in(1)}
	if bias := b.in(2); bias != nil {
		in = append(in, bias)
	}
	r := []int{rows}
	b.set(formula{name: "LayerNorm", outs: [][]int{shape, r, r}, wants: all(len(in)),
		kernel: func(x *exec, out, in [][]float32) error {
			x.span(rows*n, func(from, to int) { // rows that begin here
				for k := (from + n - 1) / n; k*n < to; k++ {
					layerNormRow(k, n, do.Epsilon, out, in)
				}
			})
			return nil
		},
		grad: func(in []*G.Node, y, dy *G.Node) []*G.Node {
			w := []int{n}
			dx := b.apply(formula{name: name + " gradient", outs: [][]int{shape, w, w}, kernel: func(x *exec, out, in [][]float32) error {
				layerNormGrad(x, rows, n, out, in)
				return nil
			}}, in[0], in[1], b.part(y, 1), b.part(y, 2), dy)
			grads := []*G.Node{dx, b.part(dx, 1)}
			if len(in) > 2 {
				grads = append(grads, b.part(dx, 2))
			}
			return grads
		},
	}, in...)
}

func layerNormRow(k, n int, epsilon float64, out, in [][]float32) {
	x, y := in[0][k*n:][:n], out[0][k*n:][:n]
	mean := float32(kernel.Sum(x) / float64(n))
	s, q := kernel.Moments(x, mean)
	inverse := float32(1 / math.Sqrt(max(0, (q-s*s/float64(n))/float64(n))+epsilon))
	out[1][k], out[2][k] = mean, inverse
	kernel.Affine(y, x, inverse, -mean*inverse)
	kernel.Mul(y, y, in[1])
	if len(in) > 2 {
		kernel.Add(y, y, in[2])
	}
}

// layerNormGrad takes x, scale, means, inverses and dy, and gives the gradients by x, scale and bias.
func layerNormGrad(x *exec, rows, n int, out, in [][]float32) {
	x.span(rows*n, func(from, to int) {
		for k := (from + n - 1) / n; k*n < to; k++ {
			xs, dy, dx := in[0][k*n:][:n], in[4][k*n:][:n], out[0][k*n:][:n]
			mean, inverse := in[2][k], in[3][k]
			kernel.Mul(dx, dy, in[1])
			sum, dot := kernel.DotShift(xs, dx, mean)
			slope := -float64(inverse) * float64(inverse) * float64(inverse) * dot / float64(n)
			kernel.Affine2(dx, dx, xs, inverse, float32(slope), float32(-float64(inverse)*sum/float64(n)-slope*float64(mean)))
		}
	})
	// By columns, so that each has one worker and one order.
	pieces := min(n, 4*x.workers.N())
	x.workers.Do(pieces, func(_, p int) {
		from, to := p*n/pieces, (p+1)*n/pieces
		scale, bias := make([]float64, to-from), make([]float64, to-from)
		for k := range rows {
			mean, inverse := in[2][k], in[3][k]
			dy := in[4][k*n+from : k*n+to]
			for i, v := range in[0][k*n+from : k*n+to] {
				scale[i] += float64(dy[i]) * float64((v-mean)*inverse)
				bias[i] += float64(dy[i])
			}
		}
		for i := range scale {
			out[1][from+i], out[2][from+i] = float32(scale[i]), float32(bias[i])
		}
	})
}
