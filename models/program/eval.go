package program

import "math"

// evaluate computes an operation on known values, or returns nil where that isn't served: it is for what exporters leave to be
// computed, not for networks.
func (n *node) evaluate(do Operation, shape []int, in []*value) *value {
	x := in[0]
	switch do := do.(type) {
	case *Reshape:
		return &value{shape: shape, role: Constant, known: true, integer: x.integer, floats: x.floats, ints: x.ints}
	case *Transpose:
		from, strides := steps(x.shape), make([]int, len(shape))
		for i, axis := range do.Perm {
			strides[i] = from[axis]
		}
		return viewed(x, shape, strides, 0)
	case *Slice:
		strides, offset := steps(x.shape), 0
		for i := range strides {
			offset += do.Start[i] * strides[i]
			strides[i] *= do.Step[i]
		}
		return viewed(x, shape, strides, offset)
	case *Expand:
		return stretched(x, shape)
	case *Concat:
		out := &value{shape: shape, role: Constant, known: true, integer: x.integer}
		if x.integer {
			out.ints = joined(in, do.Axis, product(shape), func(v *value) []int64 { return v.ints })
		} else {
			out.floats = joined(in, do.Axis, product(shape), func(v *value) []float32 { return v.floats })
		}
		return out
	case *Binary:
		return n.calculate(do.Func, stretched(x, shape), stretched(in[1], shape))
	case *Unary:
		return applied(do, x)
	}
	return nil
}

// steps returns how far apart neighbours on each axis lie in C order.
func steps(shape []int) []int {
	out, step := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = step
		step *= shape[i]
	}
	return out
}

// stretched repeats a known value by numpy's broadcasting. The result is a copy.
func stretched(x *value, shape []int) *value {
	strides, from := make([]int, len(shape)), steps(x.shape)
	lead := len(shape) - len(x.shape)
	for i, d := range x.shape {
		if d != 1 {
			strides[lead+i] = from[i]
		}
	}
	return viewed(x, shape, strides, 0)
}

// viewed copies elements that lie strides apart from offset on.
func viewed(x *value, shape, strides []int, offset int) *value {
	out := &value{shape: shape, role: Constant, known: true, integer: x.integer}
	if x.integer {
		out.ints = view(x.ints, shape, strides, offset)
	} else {
		out.floats = view(x.floats, shape, strides, offset)
	}
	return out
}

func view[T any](data []T, shape, strides []int, offset int) []T {
	out := make([]T, product(shape))
	at := make([]int, len(shape))
	for i := range out {
		out[i] = data[offset]
		for axis := len(shape) - 1; axis >= 0; axis-- {
			at[axis]++
			offset += strides[axis]
			if at[axis] < shape[axis] {
				break
			}
			offset -= at[axis] * strides[axis]
			at[axis] = 0
		}
	}
	return out
}

// joined concatenates along an axis.
func joined[T any](in []*value, axis, size int, data func(*value) []T) []T {
	out := make([]T, 0, size)
	for row := range product(in[0].shape[:axis]) {
		for _, v := range in {
			each := product(v.shape[axis:])
			out = append(out, data(v)[row*each:(row+1)*each]...)
		}
	}
	return out
}

// picked gathers known elements.
func picked(x *value, axis int, at []int, shape []int) *value {
	out := &value{shape: shape, role: Constant, known: true, integer: x.integer}
	if x.integer {
		out.ints = pick(x.ints, x.shape, axis, at)
	} else {
		out.floats = pick(x.floats, x.shape, axis, at)
	}
	return out
}

func pick[T any](data []T, shape []int, axis int, at []int) []T {
	each, length := product(shape[axis+1:]), shape[axis]
	var out []T
	for row := range product(shape[:axis]) {
		for _, i := range at {
			from := (row*length + i) * each
			out = append(out, data[from:from+each]...)
		}
	}
	return out
}

// calculate combines values of one shape.
func (n *node) calculate(f Arithmetic, a, b *value) *value {
	for i := range a.ints {
		x, y := a.ints[i], b.ints[i]
		switch f {
		case Add:
			x += y
		case Sub:
			x -= y
		case Mul:
			x *= y
		case Div:
			if y == 0 {
				n.refuse("it divides by zero")
			}
			x /= y
		case Pow:
			p := math.Pow(float64(x), float64(y))
			if !(math.Abs(p) < 1<<53) {
				n.refuse("%d to the power of %d is too large", x, y)
			}
			x = int64(p)
		}
		a.ints[i] = x
	}
	for i := range a.floats {
		x, y := a.floats[i], b.floats[i]
		switch f {
		case Add:
			x += y
		case Sub:
			x -= y
		case Mul:
			x *= y
		case Div:
			x /= y
		case Pow:
			x = float32(math.Pow(float64(x), float64(y)))
		}
		a.floats[i] = x
	}
	return a
}

var functions = map[Func]func(float64) float64{
	Relu:    func(x float64) float64 { return math.Max(x, 0) },
	Sigmoid: func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	Erf:     math.Erf, Tanh: math.Tanh, Exp: math.Exp, Log: math.Log, Sqrt: math.Sqrt,
	Neg: func(x float64) float64 { return -x },
}

func applied(do *Unary, x *value) *value {
	out := &value{shape: x.shape, role: Constant, known: true, integer: x.integer}
	if x.integer {
		if do.Func != Neg {
			return nil
		}
		for _, v := range x.ints {
			out.ints = append(out.ints, -v)
		}
		return out
	}
	f := functions[do.Func]
	if f == nil {
		return nil
	}
	out.floats = make([]float32, len(x.floats))
	for i, v := range x.floats {
		out.floats[i] = float32(f(float64(v)))
	}
	return out
}
