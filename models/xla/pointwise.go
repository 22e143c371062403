package xla

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models/program"
)

// unary computes a function of each element, other than the rectifiers in float32.
func (b *build) unary(op *program.Unary, in tensor, output bool) (tensor, backward) {
	dtype := in.n.DType()
	// rule makes the pair of y and dy/dx.
	rule := func(f func(x *Node) (y *Node, slope func() *Node)) (tensor, backward) {
		y, slope := f(f32(in.n))
		if !output { // a model's result keeps its digits
			y = ConvertDType(y, dtype)
		}
		t := tensor{y, in.last}
		return t, func(dy tensor, _ []bool) []tensor {
			return []tensor{{Mul(f32(b.like(dy, in)), slope()), in.last}}
		}
	}
	rectify := func(low float64) (tensor, backward) {
		positive := GreaterThan(in.n, ScalarZero(b.g, dtype))
		pick := func(n *Node) *Node { return Where(positive, n, MulScalar(n, low)) }
		if low == 0 {
			pick = func(n *Node) *Node { return Where(positive, n, ZerosLike(n)) }
		}
		y := pick(in.n)
		if low == 0 {
			y = Max(in.n, ScalarZero(b.g, dtype)) // a NaN stays one
		}
		return tensor{y, in.last}, func(dy tensor, _ []bool) []tensor {
			return []tensor{{pick(b.like(dy, in)), in.last}}
		}
	}
	switch op.Func {
	case program.Relu:
		return rectify(0)
	case program.LeakyRelu:
		return rectify(float64(op.Alpha))
	case program.Neg:
		return tensor{Neg(in.n), in.last}, func(dy tensor, _ []bool) []tensor { return []tensor{{Neg(dy.n), dy.last}} }
	case program.Sigmoid:
		return rule(func(x *Node) (*Node, func() *Node) {
			y := Sigmoid(x)
			return y, func() *Node { return Mul(y, OneMinus(y)) }
		})
	case program.Silu:
		return rule(func(x *Node) (*Node, func() *Node) {
			s := Sigmoid(x)
			y := Mul(x, s)
			return y, func() *Node { return Add(s, Mul(y, OneMinus(s))) }
		})
	case program.Gelu:
		return rule(func(x *Node) (*Node, func() *Node) {
			phi := MulScalar(OnePlus(Erf(MulScalar(x, math.Sqrt2/2))), .5)
			return Mul(x, phi), func() *Node {
				return Add(phi, Mul(x, MulScalar(Exp(MulScalar(Square(x), -.5)), 1/math.Sqrt(2*math.Pi))))
			}
		})
	case program.GeluTanh:
		return rule(func(x *Node) (*Node, func() *Node) {
			const c, k = .7978845608028654, .044715 // √(2/π)
			t := Tanh(MulScalar(Add(x, MulScalar(Mul(x, Square(x)), k)), c))
			half := MulScalar(OnePlus(t), .5)
			return Mul(x, half), func() *Node {
				inner := MulScalar(OnePlus(MulScalar(Square(x), 3*k)), c)
				return Add(half, Mul(MulScalar(x, .5), Mul(OneMinus(Square(t)), inner)))
			}
		})
	case program.Erf:
		return rule(func(x *Node) (*Node, func() *Node) {
			return Erf(x), func() *Node { return MulScalar(Exp(Neg(Square(x))), 2/math.Sqrt(math.Pi)) }
		})
	case program.Tanh:
		return rule(func(x *Node) (*Node, func() *Node) {
			y := Tanh(x)
			return y, func() *Node { return OneMinus(Square(y)) }
		})
	case program.Exp:
		return rule(func(x *Node) (*Node, func() *Node) {
			y := Exp(x)
			return y, func() *Node { return y }
		})
	case program.Log:
		return rule(func(x *Node) (*Node, func() *Node) { return Log(x), func() *Node { return Inverse(x) } })
	case program.Sqrt:
		return rule(func(x *Node) (*Node, func() *Node) {
			y := Sqrt(x)
			return y, func() *Node { return Div(b.scalar(.5), y) }
		})
	}
	panic(fmt.Errorf("function %s is not known", op.Func))
}

// binary combines two values with numpy's broadcasting. exponent is Pow's.
func (b *build) binary(op *program.Binary, in []tensor, exponent float64) (tensor, backward) {
	shapes := [2][]int{dims(b.order(in[0])), dims(b.order(in[1]))}
	if op.Func == program.Pow {
		return b.pow(in[0], exponent, shapes)
	}
	pair := wider(b.level(in, max(len(shapes[0]), len(shapes[1])))...)
	x, y, last := pair[0].n, pair[1].n, pair[0].last
	var z *Node
	switch op.Func {
	case program.Add:
		z = Add(x, y)
	case program.Sub:
		z = Sub(x, y)
	case program.Mul:
		z = Mul(x, y)
	case program.Div:
		z = Div(x, y)
	default:
		panic(fmt.Errorf("arithmetic %s is not known", op.Func))
	}
	out := tensor{z, last}
	return out, func(dy tensor, need []bool) []tensor {
		g := b.like(dy, out)
		dx := make([]tensor, 2)
		// give sums a gradient over the axes along which its input was repeated.
		give := func(k int, n *Node) {
			if !need[k] {
				return
			}
			var axes []int
			for a, d := range dims(pair[k].n) {
				if d != dims(n)[a] {
					axes = append(axes, a)
				}
			}
			t := tensor{b.sumOf(n, axes...), last}
			if len(shapes[k]) < n.Rank() {
				t = tensor{n: Reshape(b.order(t), shapes[k]...)}
			}
			dx[k] = t
		}
		if g.DType() != x.DType() {
			g = ConvertDType(g, x.DType())
		}
		switch op.Func {
		case program.Add:
			give(0, g)
			give(1, g)
		case program.Sub:
			give(0, g)
			give(1, Neg(g))
		case program.Mul:
			give(0, Mul(g, y))
			give(1, Mul(g, x))
		case program.Div:
			q := Div(g, y)
			give(0, q)
			give(1, Neg(Mul(q, Div(x, y))))
		}
		return dx
	}
}

// level gives operands the same rank, by axes of length 1 in front, and the same order.
func (b *build) level(in []tensor, rank int) []tensor {
	all := make([]tensor, len(in))
	for i, t := range in {
		if t.n.Rank() == rank {
			all[i] = t
			continue
		}
		n := b.order(t)
		all[i] = tensor{n: Reshape(n, raise(dims(n), rank)...)}
	}
	return b.together(all...)
}

// raise puts axes of length 1 in front of a shape.
func raise(shape []int, rank int) []int {
	return append(ones(rank-len(shape)), shape...)
}

// unbroadcast sums a gradient in ONNX's order to the shape that was broadcast to it.
func (b *build) unbroadcast(g *Node, shape []int) *Node {
	wide := raise(shape, g.Rank())
	var axes []int
	for a, d := range wide {
		if d != dims(g)[a] {
			axes = append(axes, a)
		}
	}
	return Reshape(b.sumOf(g, axes...), shape...)
}

func (b *build) pow(in tensor, e float64, shapes [2][]int) (tensor, backward) {
	if len(shapes[1]) > len(shapes[0]) {
		panic(fmt.Errorf("an exponent of shape %v for a value of shape %v", shapes[1], shapes[0]))
	}
	power := func(x *Node, e float64) *Node {
		switch e {
		case 0:
			return OnesLike(x)
		case 1:
			return x
		case 2:
			return Square(x)
		case .5:
			return Sqrt(x)
		}
		return Pow(x, b.scalar(e))
	}
	x := f32(in.n)
	return tensor{ConvertDType(power(x, e), in.n.DType()), in.last}, func(dy tensor, _ []bool) []tensor {
		if e == 0 {
			return []tensor{{ZerosLike(in.n), in.last}, {}}
		}
		return []tensor{{Mul(f32(b.like(dy, in)), MulScalar(power(x, e-1), e)), in.last}, {}}
	}
}
