package xla

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"github.com/cspine/cspine/models/program"
)

func shape32(d ...int) shapes.Shape { return shapes.Make(dtypes.Float32, d...) }

func (b *build) concat(op *program.Concat, in []tensor) (tensor, backward) {
	all := wider(b.together(in...)...)
	axis := all[0].axis(op.Axis)
	nodes := make([]*Node, len(all))
	for i, t := range all {
		nodes[i] = t.n
	}
	out := tensor{Concatenate(nodes, axis), all[0].last}
	return out, func(dy tensor, _ []bool) []tensor {
		g := b.like(dy, out)
		dx := make([]tensor, len(in))
		from := 0
		for i, n := range nodes {
			to := from + dims(n)[axis]
			dx[i] = tensor{SliceAxis(g, axis, AxisRange(from, to)), out.last}
			from = to
		}
		return dx
	}
}

// slice takes elements at regular distances, backwards where a step is negative.
func (b *build) slice(op *program.Slice, in tensor, shape []int) (tensor, backward) {
	start, step, n := permuted(in, op.Start), permuted(in, op.Step), permuted(in, shape)
	d := dims(in.n)
	specs := make([]SliceAxisSpec, len(d))
	pads := make([]backends.PadAxis, len(d))
	var turned []int
	for a := range d {
		low, s := start[a], step[a]
		if s < 0 {
			turned = append(turned, a)
			low, s = start[a]+(n[a]-1)*s, -s
		}
		high := low + (n[a]-1)*s + 1
		specs[a] = AxisRange(low, high).Stride(s)
		pads[a] = backends.PadAxis{Start: low, End: d[a] - high, Interior: s - 1}
	}
	turn := func(n *Node) *Node {
		if len(turned) == 0 {
			return n
		}
		return Reverse(n, turned...)
	}
	out := tensor{turn(Slice(in.n, specs...)), in.last}
	return out, func(dy tensor, _ []bool) []tensor {
		g := turn(b.like(dy, out))
		return []tensor{{Pad(g, ScalarZero(b.g, g.DType()), pads...), in.last}}
	}
}

func (b *build) padding(op *program.Pad, in tensor) (tensor, backward) {
	begin, end := permuted(in, op.Begin), permuted(in, op.End)
	d := dims(in.n)
	pads, specs := make([]backends.PadAxis, len(d)), make([]SliceAxisSpec, len(d))
	for a := range d {
		pads[a] = backends.PadAxis{Start: begin[a], End: end[a]}
		specs[a] = AxisRange(begin[a], begin[a]+d[a])
	}
	fill := Scalar(b.g, in.n.DType(), op.Value)
	out := tensor{Pad(in.n, fill, pads...), in.last}
	return out, func(dy tensor, _ []bool) []tensor {
		return []tensor{{Slice(b.like(dy, out), specs...), in.last}}
	}
}

func (b *build) reshape(in tensor, shape []int) (tensor, backward) {
	x := b.order(in)
	return tensor{n: Reshape(x, shape...)}, func(dy tensor, _ []bool) []tensor {
		return []tensor{{n: Reshape(b.order(dy), dims(x)...)}}
	}
}

func (b *build) transpose(op *program.Transpose, in tensor) (tensor, backward) {
	inverse := make([]int, len(op.Perm))
	for i, p := range op.Perm {
		inverse[p] = i
	}
	return tensor{n: TransposeAllAxes(b.order(in), op.Perm...)}, func(dy tensor, _ []bool) []tensor {
		return []tensor{{n: TransposeAllAxes(b.order(dy), inverse...)}}
	}
}

func (b *build) expand(in tensor, shape []int) (tensor, backward) {
	x := b.order(in)
	return tensor{n: BroadcastToDims(Reshape(x, raise(dims(x), len(shape))...), shape...)}, func(dy tensor, _ []bool) []tensor {
		return []tensor{{n: b.unbroadcast(b.order(dy), dims(x))}}
	}
}

func (b *build) resize(op *program.Resize, in tensor, shape []int) (tensor, backward) {
	x, out := b.last(in), lastShape(shape)
	if !op.Linear {
		return b.repeat(x, out)
	}
	dtype := x.DType()
	x = f32(x)
	var matrices []*Node // [out,in] by spatial axis; nil where nothing changes
	for i, s := range op.Scales {
		from, to := dims(x)[i+1], out[i+1]
		if from == to && s == 1 {
			matrices = append(matrices, nil)
			continue
		}
		matrices = append(matrices, b.constant(interpolation(from, to, s, op.AlignCorners), to, from))
	}
	along := func(x *Node, sum int) *Node {
		for i, m := range matrices {
			if m != nil {
				x = alongAxis(m, sum, x, i+1)
			}
		}
		return x
	}
	return tensor{ConvertDType(along(x, 1), dtype), true}, func(dy tensor, _ []bool) []tensor {
		return []tensor{{along(f32(b.last(dy)), 0), true}}
	}
}

// alongAxis multiplies a matrix, summed over its axis sum, with one axis of x.
func alongAxis(m *Node, sum int, x *Node, axis int) *Node {
	// As [before, axis, after], so that the product leaves the axis in place but for one transposition.
	d := dims(x)
	before, after := product(d[:axis]), product(d[axis+1:])
	flat := Reshape(x, before, d[axis], after)
	y := TransposeAllAxes(DotGeneral(m, []int{sum}, nil, flat, []int{1}, nil), 1, 0, 2)
	shape := slices.Clone(d)
	shape[axis] = dims(m)[1-sum]
	return Reshape(y, shape...)
}

// interpolation is the matrix of linear resizing along an axis: two entries a row at most.
func interpolation(from, to int, scale float64, alignCorners bool) []float32 {
	m := make([]float32, to*from)
	for o := range to {
		at := (float64(o)+.5)/scale - .5
		if alignCorners {
			at = 0
			if to > 1 {
				at = float64(o) * float64(from-1) / float64(to-1)
			}
		}
		at = min(max(at, 0), float64(from-1))
		low := int(math.Floor(at))
		share := float32(at - float64(low))
		m[o*from+low] += 1 - share
		if share > 0 {
			m[o*from+low+1] += share
		}
	}
	return m
}

// repeat is resizing by whole numbers to the nearest element, rounding down.
func (b *build) repeat(x *Node, out []int) (tensor, backward) {
	d := dims(x)
	last := len(d) - 1
	apart, wide := []int{d[0]}, []int{d[0]}
	var repeated []int
	for i := 1; i < last; i++ {
		if out[i]%d[i] != 0 {
			panic(fmt.Errorf("resizing %d to %d: the scale is no whole number", d[i], out[i]))
		}
		if out[i] == d[i] {
			apart, wide = append(apart, d[i]), append(wide, d[i])
			continue
		}
		apart, wide = append(apart, d[i], 1), append(wide, d[i], out[i]/d[i])
		repeated = append(repeated, len(apart)-1)
	}
	apart, wide = append(apart, d[last]), append(wide, d[last])
	if len(repeated) == 0 {
		return tensor{x, true}, func(dy tensor, _ []bool) []tensor { return []tensor{dy} }
	}
	y := Reshape(BroadcastToDims(Reshape(x, apart...), wide...), out...)
	return tensor{y, true}, func(dy tensor, _ []bool) []tensor {
		g := ReduceSum(Reshape(f32(b.last(dy)), wide...), repeated...)
		return []tensor{{Reshape(g, d...), true}}
	}
}
