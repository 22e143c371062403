package xla

import (
	"math"

	"github.com/gomlx/gomlx/backends"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models/program"
)

// pool takes the windows apart: one axis after the other, the last first, so that of equal largest values the first in C order wins,
// as in PyTorch. It needs no scatter, which GPUs add in no fixed order.
func (b *build) pool(op *program.Pool, in tensor, shape []int) (tensor, backward) {
	x := b.last(in)
	dtype := x.DType()
	if !op.Max {
		x = f32(x)
	}
	out := lastShape(shape)
	type stage struct {
		line
		back func(dy *Node) *Node
	}
	var stages []stage
	for i := len(op.Kernel) - 1; i >= 0; i-- {
		l := line{axis: i + 1, in: dims(x)[i+1], out: out[i+1], kernel: op.Kernel[i], stride: op.Strides[i], dilation: op.Dilations[i], begin: op.PadBegin[i], end: op.PadEnd[i]}
		if l.kernel == 1 && l.stride == 1 && l.begin == 0 && l.in == l.out {
			continue
		}
		var back func(dy *Node) *Node
		if op.Max {
			x, back = b.largest(l, x)
		} else {
			x, back = b.mean(l, x, op.CountPad)
		}
		stages = append(stages, stage{l, back})
	}
	return tensor{ConvertDType(x, dtype), true}, func(dy tensor, _ []bool) []tensor {
		g := ConvertDType(b.last(dy), x.DType())
		for k := len(stages) - 1; k >= 0; k-- {
			g = stages[k].back(g)
		}
		return []tensor{{g, true}}
	}
}

// line is a window along one axis.
type line struct {
	axis, in, out                        int
	kernel, stride, dilation, begin, end int
}

// over is how many elements of padding the windows reach beyond the end; it may be negative.
func (l line) over() int {
	return (l.out-1)*l.stride + (l.kernel-1)*l.dilation + 1 - l.in - l.begin
}

// taps returns for each place of the window what all windows have there.
func (l line) taps(b *build, x *Node, fill *Node) []*Node {
	pads := make([]backends.PadAxis, x.Rank())
	pads[l.axis] = backends.PadAxis{Start: l.begin, End: l.over()}
	if l.begin != 0 || l.over() != 0 {
		x = Pad(x, fill, pads...)
	}
	all := make([]*Node, l.kernel)
	for k := range all {
		from := k * l.dilation
		all[k] = SliceAxis(x, l.axis, AxisRange(from, from+(l.out-1)*l.stride+1).Stride(l.stride))
	}
	return all
}

// spread is the gradient of one tap.
func (l line) spread(b *build, g *Node, k int) *Node {
	pads := make([]backends.PadAxis, g.Rank())
	begin := k*l.dilation - l.begin
	pads[l.axis] = backends.PadAxis{Start: begin, End: l.in - begin - ((l.out-1)*l.stride + 1), Interior: l.stride - 1}
	return Pad(g, ScalarZero(b.g, g.DType()), pads...)
}

func (b *build) largest(l line, x *Node) (*Node, func(dy *Node) *Node) {
	taps := l.taps(b, x, Infinity(b.g, x.DType(), -1))
	y := taps[0]
	for _, t := range taps[1:] {
		y = Max(y, t)
	}
	return y, func(dy *Node) *Node {
		var dx, taken *Node
		zero := ZerosLike(dy)
		for k, t := range taps {
			hit := Equal(t, y)
			if taken == nil {
				taken = hit
			} else {
				hit, taken = LogicalAnd(hit, LogicalNot(taken)), LogicalOr(hit, taken)
			}
			dx = sum(dx, l.spread(b, Where(hit, dy, zero), k))
		}
		return dx
	}
}

func (b *build) mean(l line, x *Node, countPad bool) (*Node, func(dy *Node) *Node) {
	low, high := 0, l.in // positions that count
	if countPad {
		low, high = -l.begin, l.in+l.end
	}
	share := make([]float32, l.out)
	for o := range share {
		n := 0
		for k := range l.kernel {
			if p := o*l.stride + k*l.dilation - l.begin; p >= low && p < high {
				n++
			}
		}
		share[o] = float32(1 / math.Max(1, float64(n)))
	}
	shape := ones(x.Rank())
	shape[l.axis] = l.out
	factor := b.constant(share, shape...)
	var y *Node
	for _, t := range l.taps(b, x, b.scalar(0)) {
		y = sum(y, t)
	}
	return Mul(y, factor), func(dy *Node) *Node {
		g := Mul(dy, factor)
		var dx *Node
		for k := range l.kernel {
			dx = sum(dx, l.spread(b, g, k))
		}
		return dx
	}
}

// average is ReduceMean.
func (b *build) average(op *program.Mean, in tensor, shape []int) (tensor, backward) {
	t := in
	dropped := len(shape) < in.n.Rank()
	if dropped && !(t.last && len(op.Axes) == in.n.Rank()-2 && op.Axes[0] == 2) {
		t = tensor{n: b.order(in)} // what is left has no channels last
	}
	axes := make([]int, len(op.Axes))
	count := 1
	for i, a := range op.Axes {
		axes[i] = t.axis(a)
		count *= dims(t.n)[axes[i]]
	}
	y := DivScalar(b.meanSum(f32(t.n), axes), float64(count))
	kept := dims(y)
	out := tensor{ConvertDType(y, in.n.DType()), t.last}
	if dropped {
		out = tensor{n: Reshape(out.n, shape...)}
	}
	return out, func(dy tensor, _ []bool) []tensor {
		g := f32(b.like(dy, out))
		g = BroadcastToDims(DivScalar(Reshape(g, kept...), float64(count)), dims(t.n)...)
		return []tensor{{ConvertDType(g, in.n.DType()), t.last}}
	}
}

// meanSum sums over axes and keeps them. Sums over all of [N,…,C] between its ends are made like those of columns.
func (b *build) meanSum(x *Node, axes []int) *Node {
	r := x.Rank()
	if b.host && r > 2 && len(axes) == r-2 && axes[0] == 1 {
		d := dims(x)
		n := product(d[1 : r-1])
		flat := Reshape(x, d[0], n, d[r-1])
		kept := ones(r)
		kept[0], kept[r-1] = d[0], d[r-1]
		return Reshape(DotGeneral(flat, []int{1}, nil, Ones(b.g, shape32(n)), []int{0}, nil), kept...)
	}
	return b.sumOf(x, axes...)
}
