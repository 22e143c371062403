package program

import (
	"math"
	"slices"
)

func unary(f Func) func(*node) {
	return func(n *node) { n.give(0, n.emit(&Unary{Func: f}, n.in[0].shape, n.in[0])) }
}

func (n *node) apply(f Func, x *value) *value { return n.part(&Unary{Func: f}, x.shape, x) }

func leakyRelu(n *node) {
	n.give(0, n.emit(&Unary{Func: LeakyRelu, Alpha: float32(n.float("alpha", 0.01))}, n.in[0].shape, n.in[0]))
}

func gelu(n *node) {
	f := Gelu
	switch kind := n.text("approximate", "none"); kind {
	case "none":
	case "tanh":
		f = GeluTanh
	default:
		n.refuse("approximate is %s", quote(kind))
	}
	n.give(0, n.emit(&Unary{Func: f}, n.in[0].shape, n.in[0]))
}

// prelu is Relu(x) − slope·Relu(−x).
func prelu(n *node) {
	x, slope := n.in[0], n.in[1]
	if shape, ok := broadcast(x.shape, slope.shape); !ok || !slices.Equal(shape, x.shape) {
		n.refuse("the slope has the shape %v, the input %v", slope.shape, x.shape)
	}
	below := n.part(&Binary{Mul}, x.shape, n.apply(Relu, n.apply(Neg, x)), slope)
	n.give(0, n.emit(&Binary{Sub}, x.shape, n.apply(Relu, x), below))
}

// elu is Relu(x) + alpha·(exp(−Relu(−x)) − 1).
func elu(n *node) {
	x := n.in[0]
	e := n.apply(Exp, n.apply(Neg, n.apply(Relu, n.apply(Neg, x))))
	e = n.part(&Binary{Sub}, x.shape, e, n.number(1))
	e = n.part(&Binary{Mul}, x.shape, e, n.number(n.float("alpha", 1)))
	n.give(0, n.emit(&Binary{Add}, x.shape, n.apply(Relu, x), e))
}

// abs is Relu(x) + Relu(−x).
func abs(n *node) {
	x := n.in[0]
	n.give(0, n.emit(&Binary{Add}, x.shape, n.apply(Relu, x), n.apply(Relu, n.apply(Neg, x))))
}

func reciprocal(n *node) {
	n.give(0, n.emit(&Binary{Div}, n.in[0].shape, n.number(1), n.in[0]))
}

// clip is made of two Relus. The sum with a bound rounds to the bound's last place, so that only small bounds are served.
func clip(n *node) {
	low, high := math.Inf(-1), math.Inf(1)
	if n.c.version < 11 {
		low, high = n.float("min", low), n.float("max", high)
	} else {
		low, high = n.scalar(1, "min", low), n.scalar(2, "max", high)
	}
	// The ends of float32 are how some exporters write "no bound".
	if low <= -math.MaxFloat32 {
		low = math.Inf(-1)
	}
	if high >= math.MaxFloat32 {
		high = math.Inf(1)
	}
	n.give(0, n.between(n.in[0], low, high))
}

func (n *node) between(x *value, low, high float64) *value {
	const most = 32
	if low > high || math.IsNaN(low) || math.IsNaN(high) {
		n.refuse("its bounds are %v and %v", low, high)
	}
	if !math.IsInf(low, -1) {
		if math.Abs(low) > most {
			n.refuse("its bound is %v; up to %d are served", low, most)
		}
		if low == 0 {
			x = n.apply(Relu, x)
		} else {
			x = n.apply(Relu, n.part(&Binary{Sub}, x.shape, x, n.number(low)))
			x = n.part(&Binary{Add}, x.shape, x, n.number(low))
		}
	}
	if !math.IsInf(high, 1) {
		if math.Abs(high) > most {
			n.refuse("its bound is %v; up to %d are served", high, most)
		}
		x = n.apply(Relu, n.part(&Binary{Sub}, x.shape, n.number(high), x))
		x = n.part(&Binary{Sub}, x.shape, n.number(high), x)
	}
	return x
}

func (n *node) hardSigmoid(x *value, alpha, beta float64) *value {
	y := n.part(&Binary{Mul}, x.shape, x, n.number(alpha))
	return n.between(n.part(&Binary{Add}, x.shape, y, n.number(beta)), 0, 1)
}

func hardSigmoid(n *node) {
	n.give(0, n.hardSigmoid(n.in[0], n.float("alpha", 0.2), n.float("beta", 0.5)))
}

func hardSwish(n *node) {
	x := n.in[0]
	n.give(0, n.emit(&Binary{Mul}, x.shape, x, n.hardSigmoid(x, 1.0/6, 0.5)))
}

// broadcast returns the shape that numpy's rules give two shapes.
func broadcast(a, b []int) ([]int, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		at := len(a) - len(b) + i
		switch {
		case out[at] == 1:
			out[at] = d
		case d != 1 && d != out[at]:
			return nil, false
		}
	}
	return out, true
}

// together returns the broadcast shape of two inputs.
func (n *node) together(a, b *value) []int {
	shape, ok := broadcast(a.shape, b.shape)
	if !ok {
		n.refuse("the shapes %v and %v don't fit together", a.shape, b.shape)
	}
	return shape
}

func binary(f Arithmetic) func(*node) {
	return func(n *node) {
		a, b := n.in[0], n.in[1]
		n.ignore("axis", "broadcast") // of versions before 7
		shape := n.together(a, b)
		if f == Pow && !(a.known && b.known && !a.trained()) {
			if !b.known || b.len() != 1 {
				n.refuse("the exponent must be one number that doesn't depend on the model's inputs")
			}
			if b.integer || b.trained() {
				b = n.number(b.number(0))
			}
			b = n.named(n.floatsOf([]float32{float32(b.number(0))}))
			if len(shape) != len(a.shape) {
				a = n.part(&Reshape{}, shape, a)
			}
		}
		n.give(0, n.emit(&Binary{f}, shape, a, b))
	}
}

func sum(n *node) {
	total := n.in[0]
	for i, v := range n.in[1:] {
		if v == nil {
			n.refuse("input %d is left out", i+1)
		}
		shape := n.together(total, v)
		if i == len(n.in)-2 {
			total = n.emit(&Binary{Add}, shape, total, v)
		} else {
			total = n.part(&Binary{Add}, shape, total, v)
		}
	}
	n.give(0, total)
}

func gemm(n *node) {
	a, b, c := n.in[0], n.in[1], n.input(2)
	do := &MatMul{TransA: n.flag("transA"), TransB: n.flag("transB"), Alpha: float32(n.float("alpha", 1)), Beta: float32(n.float("beta", 1))}
	if len(a.shape) != 2 || len(b.shape) != 2 {
		n.refuse("the matrices have the shapes %v and %v", a.shape, b.shape)
	}
	rows, inner := a.shape[0], a.shape[1]
	if do.TransA {
		rows, inner = inner, rows
	}
	innerB, columns := b.shape[0], b.shape[1]
	if do.TransB {
		innerB, columns = columns, innerB
	}
	if inner != innerB {
		n.refuse("the matrices have the shapes %v and %v: %d and %d must be equal", a.shape, b.shape, inner, innerB)
	}
	shape := []int{rows, columns}
	if do.Beta == 0 {
		c = nil
	}
	if c == nil {
		do.Beta = 0
	} else if wide, ok := broadcast(shape, c.shape); !ok || !slices.Equal(wide, shape) {
		n.refuse("the bias has the shape %v, the product %v", c.shape, shape)
	}
	n.give(0, n.emit(do, shape, a, b, c))
}

func matMul(n *node) {
	a, b := n.in[0], n.in[1]
	if len(a.shape) == 0 || len(b.shape) == 0 {
		n.refuse("an input is a scalar")
	}
	// Vectors are matrices of one row or one column, which the result loses.
	rowA, columnB := len(a.shape) == 1, len(b.shape) == 1
	if rowA {
		a = n.part(&Reshape{}, []int{1, a.shape[0]}, a)
	}
	if columnB {
		b = n.part(&Reshape{}, []int{b.shape[0], 1}, b)
	}
	ra, rb := len(a.shape), len(b.shape)
	batch, ok := broadcast(a.shape[:ra-2], b.shape[:rb-2])
	if !ok || a.shape[ra-1] != b.shape[rb-2] {
		n.refuse("the matrices have the shapes %v and %v", a.shape, b.shape)
	}
	do, shape := &MatMul{Alpha: 1}, append(slices.Clone(batch), a.shape[ra-2], b.shape[rb-1])
	if !rowA && !columnB {
		n.give(0, n.emit(do, shape, a, b))
		return
	}
	y := n.part(do, shape, a, b)
	final := slices.Clone(batch)
	if !rowA {
		final = append(final, a.shape[ra-2])
	}
	if !columnB {
		final = append(final, b.shape[rb-1])
	}
	n.give(0, n.emit(&Reshape{}, final, y))
}
