package program

import (
	"math"
	"slices"
)

// fuse replaces operations by one that does what several did, each in the place of the last of the several; what nothing reads
// any more is dropped later. Patterns are those that PyTorch's exporters and timm's networks write.
func (c *compiler) fuse() {
	for _, s := range c.steps {
		switch do := s.do.(type) {
		case *Binary:
			s.fuseBinary(do.Func)
		case *Reshape:
			s.fuseReshape()
		}
	}
}

// fuseReshape skips another Reshape before it.
func (s *step) fuseReshape() {
	if before := s.in[0].maker; before != nil {
		if _, ok := before.do.(*Reshape); ok {
			s.in = before.in
		}
	}
}

func (s *step) fuseBinary(f Arithmetic) {
	a, b := s.in[0], s.in[1]
	switch f {
	case Mul:
		for _, pair := range [][2]*value{{a, b}, {b, a}} {
			if s.silu(pair[0], pair[1]) {
				return
			}
		}
		if s.gelu() {
			return
		}
		for _, pair := range [][2]*value{{a, b}, {b, a}} {
			if s.scaleNorm(pair[0], pair[1]) {
				return
			}
		}
	case Add:
		for _, pair := range [][2]*value{{a, b}, {b, a}} {
			if s.shiftNorm(pair[0], pair[1]) || s.biasProduct(pair[0], pair[1]) {
				return
			}
		}
	case Div:
		s.layerNorm(a, b)
	}
}

// become makes a step another operation.
func (s *step) become(do Operation, in ...*value) { s.do, s.in = do, in }

func (v *value) unary(f Func) (of *value, ok bool) {
	if v.maker == nil {
		return nil, false
	}
	u, ok := v.maker.do.(*Unary)
	if !ok || u.Func != f {
		return nil, false
	}
	return v.maker.in[0], true
}

func (v *value) binary(f Arithmetic) (a, b *value, ok bool) {
	if v.maker == nil {
		return nil, nil, false
	}
	do, ok := v.maker.do.(*Binary)
	if !ok || do.Func != f {
		return nil, nil, false
	}
	return v.maker.in[0], v.maker.in[1], true
}

// with returns the other side of a commutative operation of which one side is the number x.
func (v *value) with(f Arithmetic, x float64) (other *value, ok bool) {
	a, b, ok := v.binary(f)
	switch {
	case !ok:
		return nil, false
	case b.is(x):
		return a, true
	case a.is(x):
		return b, true
	}
	return nil, false
}

// silu is x·Sigmoid(x).
func (s *step) silu(x, gate *value) bool {
	of, ok := gate.unary(Sigmoid)
	if !ok || of != x {
		return false
	}
	s.become(&Unary{Func: Silu}, x)
	return true
}

// gelu is x·½·(1 + Erf(x/√2)), the three factors multiplied in any order.
func (s *step) gelu() bool {
	factors := make([]*value, 0, 3)
	for i, v := range s.in {
		if a, b, ok := v.binary(Mul); ok && len(factors) == i {
			factors = append(factors, a, b)
		} else {
			factors = append(factors, v)
		}
	}
	if len(factors) == 4 { // both sides are products: one of them is the pair with ½
		return s.geluOf(factors[0], factors[1], s.in[1]) || s.geluOf(factors[2], factors[3], s.in[0])
	}
	return len(factors) == 3 && s.geluOf(factors...)
}

func (s *step) geluOf(factors ...*value) bool {
	var x, gate *value
	half := false
	for _, v := range factors {
		of, isGate := v.erfGate()
		switch {
		case !half && v.is(0.5):
			half = true
		case gate == nil && isGate:
			gate = of
		default:
			x = v
		}
	}
	if !half || gate == nil || x != gate || !slices.Equal(x.shape, s.out[0].shape) {
		return false
	}
	s.become(&Unary{Func: Gelu}, x)
	return true
}

// erfGate finds the x of 1 + Erf(x/√2).
func (v *value) erfGate() (x *value, ok bool) {
	if v.maker == nil {
		return nil, false
	}
	sum, ok := v.with(Add, 1)
	if !ok {
		return nil, false
	}
	scaled, ok := sum.unary(Erf)
	if !ok {
		return nil, false
	}
	if x, by, ok := scaled.binary(Div); ok && by.is(math.Sqrt2) {
		return x, true
	}
	return scaled.with(Mul, 1/math.Sqrt2)
}

// layerNorm is (x − mean) / Sqrt(mean of (x − mean)² + ε) over the last axes: a LayerNorm without scale and bias.
func (s *step) layerNorm(centred, deviation *value) bool {
	x, mean, ok := centred.binary(Sub)
	if !ok {
		return false
	}
	axis, ok := mean.lastMean(x)
	if !ok {
		return false
	}
	sum, ok := deviation.unary(Sqrt)
	if !ok {
		return false
	}
	variance, epsilon, ok := sum.binary(Add)
	if !ok {
		return false
	}
	if variance.maker == nil {
		variance, epsilon = epsilon, variance
	}
	if !epsilon.known || epsilon.integer || epsilon.len() != 1 || variance.maker == nil {
		return false
	}
	square := variance.maker.in[0]
	if again, ok := variance.lastMean(square); !ok || again != axis {
		return false
	}
	base, by, ok := square.binary(Pow)
	if ok = ok && base == centred && by.is(2); !ok {
		a, b, product := square.binary(Mul)
		ok = product && a == centred && b == centred
	}
	if !ok {
		return false
	}
	shape := slices.Clone(x.shape[axis:])
	if product(shape) > foldGrowth { // not worth a constant
		return false
	}
	ones := &value{name: s.out[0].name + "/ones", plain: true, shape: shape, role: Constant, known: true, floats: slices.Repeat([]float32{1}, product(shape))}
	s.become(&LayerNorm{Axis: axis, Epsilon: epsilon.number(0)}, x, ones, nil)
	return true
}

// lastMean tells whether v is the mean of x over its last axes, kept with length 1, and returns the first of them.
func (v *value) lastMean(x *value) (axis int, ok bool) {
	if v.maker == nil {
		return 0, false
	}
	m, ok := v.maker.do.(*Mean)
	if !ok || v.maker.in[0] != x || len(v.shape) != len(x.shape) || len(m.Axes) == 0 || m.Axes[len(m.Axes)-1] != len(x.shape)-1 {
		return 0, false
	}
	axis = m.Axes[0]
	return axis, axis == len(x.shape)-len(m.Axes)
}

// scaleNorm gives a LayerNorm without scale the one that it is multiplied by.
func (s *step) scaleNorm(y, scale *value) bool {
	n := y.layerNorm()
	if n == nil || scale.maker != nil || !scale.known || !n.in[1].plain || n.input(2) != nil || !slices.Equal(scale.shape, n.in[1].shape) {
		return false
	}
	s.become(n.do, n.in[0], scale, nil)
	return true
}

// shiftNorm gives a LayerNorm without bias the one that is added.
func (s *step) shiftNorm(y, bias *value) bool {
	n := y.layerNorm()
	if n == nil || bias.maker != nil || !bias.known || n.input(2) != nil || !slices.Equal(bias.shape, n.in[1].shape) {
		return false
	}
	s.become(n.do, n.in[0], n.in[1], bias)
	return true
}

func (v *value) layerNorm() *step {
	if v.maker != nil {
		if _, ok := v.maker.do.(*LayerNorm); ok {
			return v.maker
		}
	}
	return nil
}

func (s *step) input(i int) *value {
	if i < len(s.in) {
		return s.in[i]
	}
	return nil
}

// biasProduct takes the bias that is added to a matrix product into it.
func (s *step) biasProduct(y, bias *value) bool {
	if y.maker == nil || bias.maker != nil || !bias.known || !slices.Equal(y.shape, s.out[0].shape) {
		return false
	}
	m, ok := y.maker.do.(*MatMul)
	if !ok || y.maker.input(2) != nil {
		return false
	}
	s.become(&MatMul{TransA: m.TransA, TransB: m.TransB, Alpha: m.Alpha, Beta: 1}, y.maker.in[0], y.maker.in[1], bias)
	return true
}
