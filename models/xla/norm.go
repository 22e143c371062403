package xla

import (
	"fmt"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models/program"
)

// batchNorm is Ioffe & Szegedy's (arXiv 1502.03167), in float32. The gradient is written out, on the normalised values that the forward
// pass had: GoMLX's own takes the variance apart again, and loses digits.
func (b *build) batchNorm(op *program.BatchNorm, in []tensor, indices []int) (tensor, backward) {
	x := b.last(in[0])
	last := x.Rank() > 2
	c := dims(x)[x.Rank()-1]
	row := func(t tensor) *Node { return Reshape(t.n, 1, c) }
	flat := f32(rows(x))
	give := func(y *Node) *Node { return Reshape(ConvertDType(y, x.DType()), dims(x)...) }
	scale, bias := row(in[1]), row(in[2])
	if !b.train {
		factor := Mul(scale, Rsqrt(AddScalar(row(in[4]), op.Epsilon)))
		return tensor{give(Add(Mul(Sub(flat, row(in[3])), factor), bias)), last}, nil
	}
	n := dims(flat)[0]
	if n < 2 {
		panic(fmt.Errorf("training needs more than one value for each channel, the batch has one"))
	}
	mean := DivScalar(b.columns(flat), float64(n))
	centred := Sub(flat, mean)
	variance := DivScalar(b.columns(Square(centred)), float64(n))
	inverse := Rsqrt(AddScalar(variance, op.Epsilon))
	normal := Mul(centred, inverse)
	move := func(k int, now *Node) {
		if b.stats == nil {
			return
		}
		old := in[k].n
		b.stats[indices[k]] = Add(MulScalar(old, 1-op.Share), MulScalar(Reshape(now, dims(old)...), op.Share))
	}
	move(3, mean)
	move(4, MulScalar(variance, float64(n)/float64(n-1)))
	y := give(Add(Mul(normal, scale), bias))
	return tensor{y, last}, func(dy tensor, _ []bool) []tensor {
		g := f32(rows(b.last(dy)))
		dBias, dScale := b.columns(g), b.columns(Mul(g, normal))
		dx := Sub(Sub(g, DivScalar(dBias, float64(n))), Mul(normal, DivScalar(dScale, float64(n))))
		return []tensor{{give(Mul(dx, Mul(scale, inverse))), last}, {n: Reshape(dScale, c)}, {n: Reshape(dBias, c)}, {}, {}}
	}
}

// layerNorm is Ba, Kiros & Hinton's (arXiv 1607.06450), in float32.
func (b *build) layerNorm(op *program.LayerNorm, in []tensor) (tensor, backward) {
	x := b.order(in[0])
	d := dims(x)
	n := product(d[op.Axis:])
	flat := Reshape(f32(x), -1, n)
	// wide repeats a scale or bias that is shorter than the normalised axes.
	wide := func(t tensor) *Node {
		return Reshape(BroadcastToDims(Reshape(t.n, raise(dims(t.n), len(d)-op.Axis)...), d[op.Axis:]...), 1, n)
	}
	narrow := func(g *Node, t tensor) tensor {
		full := Reshape(g, d[op.Axis:]...)
		return tensor{n: b.unbroadcast(full, dims(t.n))}
	}
	mean := DivScalar(ReduceAndKeep(flat, ReduceSum, 1), float64(n))
	centred := Sub(flat, mean)
	inverse := Rsqrt(AddScalar(DivScalar(ReduceAndKeep(Square(centred), ReduceSum, 1), float64(n)), op.Epsilon))
	normal := Mul(centred, inverse)
	scale := wide(in[1])
	y := Mul(normal, scale)
	biased := len(in) > 2 && in[2].n != nil
	if biased {
		y = Add(y, wide(in[2]))
	}
	give := func(y *Node) *Node { return Reshape(ConvertDType(y, x.DType()), d...) }
	return tensor{n: give(y)}, func(dy tensor, _ []bool) []tensor {
		g := Reshape(f32(b.order(dy)), -1, n)
		h := Mul(g, scale)
		m1 := DivScalar(ReduceAndKeep(h, ReduceSum, 1), float64(n))
		m2 := DivScalar(ReduceAndKeep(Mul(h, normal), ReduceSum, 1), float64(n))
		dx := Mul(Sub(Sub(h, m1), Mul(normal, m2)), inverse)
		all := []tensor{{n: give(dx)}, narrow(b.columns(Mul(g, normal)), in[1])}
		if biased {
			all = append(all, narrow(b.columns(g), in[2]))
		}
		return all
	}
}

// softmax normalises exponentials over one axis, in float32.
func (b *build) softmax(op *program.Softmax, in []tensor) (tensor, backward) {
	x := f32(in[0].n)
	a := in[0].axis(op.Axis)
	e := Exp(Sub(x, ReduceAndKeep(x, ReduceMax, a)))
	y := Div(e, ReduceAndKeep(e, ReduceSum, a))
	out := tensor{ConvertDType(y, in[0].n.DType()), in[0].last}
	return out, func(dy tensor, _ []bool) []tensor {
		g := f32(b.like(dy, out))
		return []tensor{{Mul(y, Sub(g, ReduceAndKeep(Mul(g, y), ReduceSum, a))), out.last}}
	}
}

// dropout zeroes elements by the graph's generator.
func (b *build) dropout(op *program.Dropout, in []tensor) (tensor, backward) {
	if !b.train || op.Ratio == 0 {
		return in[0], func(dy tensor, _ []bool) []tensor { return []tensor{dy} }
	}
	var draw *Node
	b.random, draw = RandomUniform(b.random, shape32(dims(in[0].n)...))
	keep := GreaterOrEqual(draw, b.scalar(float64(op.Ratio)))
	drop := func(t tensor) tensor {
		n := b.like(t, in[0])
		scaled := n
		if op.Ratio < 1 {
			scaled = MulScalar(n, 1/(1-float64(op.Ratio)))
		}
		return tensor{Where(keep, scaled, ZerosLike(n)), in[0].last}
	}
	return drop(in[0]), func(dy tensor, _ []bool) []tensor { return []tensor{drop(dy)} }
}
