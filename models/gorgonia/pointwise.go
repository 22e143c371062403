package gorgonia

import (
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// grain is the least number of elements that a worker is bothered for.
const grain = 1 << 14

// span calls f for stretches of [0, n) side by side. Results must not depend on where it cuts.
func (x *exec) span(n int, f func(from, to int)) {
	pieces := min((n+grain-1)/grain, 4*x.workers.N())
	if pieces <= 1 {
		if n > 0 {
			f(0, n)
		}
		return
	}
	each := (n/pieces + align) / align * align
	x.workers.Do((n+each-1)/each, func(_, i int) { f(i*each, min(n, (i+1)*each)) })
}

// one is the gradient of the loss by itself.
func one(_ *exec, out, _ [][]float32) error {
	out[0][0] = 1
	return nil
}

func copyFirst(x *exec, out, in [][]float32) error {
	x.span(len(in[0]), func(from, to int) { copy(out[0][from:to], in[0][from:to]) })
	return nil
}

// addAll adds any number of equally long inputs, left to right.
func addAll(x *exec, out, in [][]float32) error {
	x.span(len(out[0]), func(from, to int) {
		o := out[0][from:to]
		if len(in) == 2 {
			kernel.Add(o, in[0][from:to], in[1][from:to])
			return
		}
		for lo := 0; lo < len(o); lo += 1024 { // the result may lie on any of the inputs
			hi := min(len(o), lo+1024)
			var sum [1024]float32
			copy(sum[:], in[0][from+lo:from+hi])
			for _, a := range in[1:] {
				kernel.Add(sum[:hi-lo], sum[:hi-lo], a[from+lo:from+hi])
			}
			copy(o[lo:hi], sum[:])
		}
	})
	return nil
}

// function is an elementwise function and its derivative, which takes the result or the argument.
type function struct {
	run func(y, x []float32)
	// grad writes dx for the derivative at y where byResult, at x otherwise.
	grad     func(dx, at, dy []float32)
	byResult bool
}

func functionOf(u *program.Unary) (function, bool) {
	switch u.Func {
	case program.Relu:
		return function{kernel.Relu, kernel.ReluGrad, true}, true
	case program.LeakyRelu:
		a := u.Alpha
		return function{func(y, x []float32) { leaky(y, x, a) }, func(dx, x, dy []float32) { leakyGrad(dx, x, dy, a) }, a > 0}, true
	case program.Sigmoid:
		return function{kernel.Sigmoid, func(dx, y, dy []float32) {
			for i, v := range y {
				dx[i] = dy[i] * (v * (1 - v))
			}
		}, true}, true
	case program.Tanh:
		return function{kernel.Tanh, func(dx, y, dy []float32) {
			for i, v := range y {
				dx[i] = dy[i] * (1 - v*v)
			}
		}, true}, true
	case program.Exp:
		return function{kernel.Exp, kernel.Mul, true}, true
	case program.Silu:
		return function{kernel.Silu, kernel.SiluGrad, false}, true
	case program.Neg:
		neg := func(y, x []float32) { kernel.Affine(y, x, -1, 0) }
		return function{neg, func(dx, _, dy []float32) { neg(dx, dy) }, true}, true
	case program.Sqrt:
		return each(math.Sqrt, func(_, y float64) float64 { return 0.5 / y }, true), true
	case program.Log:
		return each(math.Log, func(x, _ float64) float64 { return 1 / x }, false), true
	case program.Erf:
		return each(math.Erf, func(x, _ float64) float64 { return 2 / math.Sqrt(math.Pi) * math.Exp(-x*x) }, false), true
	case program.Gelu:
		return function{kernel.Gelu, kernel.GeluGrad, false}, true
	case program.GeluTanh:
		const k, c = 0.7978845608028654, 0.044715 // √(2/π)
		return each(func(x float64) float64 { return 0.5 * x * (1 + math.Tanh(k*(x+c*x*x*x))) }, func(x, _ float64) float64 {
			t := math.Tanh(k * (x + c*x*x*x))
			return 0.5*(1+t) + 0.5*x*(1-t*t)*k*(1+3*c*x*x)
		}, false), true
	}
	return function{}, false
}

// each makes a function of one that is computed element by element in float64.
func each(run func(x float64) float64, slope func(x, y float64) float64, byResult bool) function {
	return function{func(y, x []float32) {
		for i, v := range x {
			y[i] = float32(run(float64(v)))
		}
	}, func(dx, at, dy []float32) {
		for i, v := range at {
			dx[i] = float32(float64(dy[i]) * slope(float64(v), float64(v)))
		}
	}, byResult}
}

func leaky(y, x []float32, alpha float32) {
	slope := [2]float32{1, alpha} // by the sign: a branch would be mispredicted half of the time
	for i, v := range x {
		y[i] = v * slope[math.Float32bits(v)>>31]
	}
}

func leakyGrad(dx, at, dy []float32, alpha float32) {
	for i, v := range at {
		if v > 0 {
			dx[i] = dy[i]
		} else {
			dx[i] = dy[i] * alpha
		}
	}
}

func (b *builder) unary(do *program.Unary) {
	fn, ok := functionOf(do)
	if !ok {
		fail("gorgonia: node %s: no function %q", b.op.Node, do.Func)
	}
	name := b.name(string(do.Func))
	b.set(formula{name: string(do.Func), wants: all(1), inPlace: []int{0},
		kernel: func(x *exec, out, in [][]float32) error {
			x.span(len(out[0]), func(from, to int) { fn.run(out[0][from:to], in[0][from:to]) })
			return nil
		},
		grad: func(in []*G.Node, y, dy *G.Node) []*G.Node {
			at := in[0]
			if fn.byResult {
				at = y
			}
			return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{at.Shape()}, inPlace: []int{1, 0},
				kernel: func(x *exec, out, in [][]float32) error {
					x.span(len(out[0]), func(from, to int) { fn.grad(out[0][from:to], in[0][from:to], in[1][from:to]) })
					return nil
				}}, at, dy)}
		},
	}, b.in(0))
}
