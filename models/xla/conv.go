package xla

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models/program"
)

// window is a convolution's geometry, and knows its three products: of input and weights, and of the gradient of its result with
// either. x is [N,…,C], weights are ONNX's [M,C/group,…], y is [N,…,M].
type window struct {
	strides, dilations, begin, end []int
	group                          int
	in, kernel, out                []int // spatial
}

func windowOf(strides, dilations, begin, end []int, group int, x, w, y []int) window {
	return window{strides, dilations, begin, end, max(group, 1), x[1 : len(x)-1], w[2:], y[1 : len(y)-1]}
}

func (b *build) conv(op *program.Conv, in []tensor, shape []int) (tensor, backward) {
	x, w := ConvertDType(b.last(in[0]), b.compute), ConvertDType(in[1].n, b.compute)
	v := windowOf(op.Strides, op.Dilations, op.PadBegin, op.PadEnd, op.Group, dims(x), dims(w), lastShape(shape))
	y := b.product(v, x, w)
	y, bias := b.bias(y, in)
	return tensor{y, true}, func(dy tensor, need []bool) []tensor {
		g := b.last(dy)
		c := ConvertDType(g, b.compute)
		dx := make([]tensor, len(in))
		if need[0] {
			dx[0] = tensor{b.byInput(v, c, w, dims(x)), true}
		}
		if need[1] {
			dx[1].n = b.byWeights(v, x, c)
		}
		bias(dx, g)
		return dx
	}
}

// convTranspose is the gradient of a convolution by its input: what is x here is the result there.
func (b *build) convTranspose(op *program.ConvTranspose, in []tensor, shape []int) (tensor, backward) {
	x, w := ConvertDType(b.last(in[0]), b.compute), ConvertDType(in[1].n, b.compute)
	large := lastShape(shape)
	v := windowOf(op.Strides, op.Dilations, op.PadBegin, op.PadEnd, op.Group, large, dims(w), dims(x))
	y := b.byInput(v, x, w, large)
	y, bias := b.bias(y, in)
	return tensor{y, true}, func(dy tensor, need []bool) []tensor {
		g := b.last(dy)
		c := ConvertDType(g, b.compute)
		dx := make([]tensor, len(in))
		if need[0] {
			dx[0] = tensor{b.product(v, c, w), true}
		}
		if need[1] {
			dx[1].n = b.byWeights(v, c, x)
		}
		bias(dx, g)
		return dx
	}
}

// bias adds the optional third input to y, and gives its gradient's rule.
func (b *build) bias(y *Node, in []tensor) (*Node, func(dx []tensor, dy *Node)) {
	if len(in) < 3 || in[2].n == nil {
		return y, func([]tensor, *Node) {}
	}
	row := make([]int, y.Rank())
	for i := range row {
		row[i] = 1
	}
	row[len(row)-1] = -1
	y = Add(y, ConvertDType(Reshape(in[2].n, row...), y.DType()))
	return y, func(dx []tensor, dy *Node) {
		dx[2].n = Reshape(b.columns(rows(f32(dy))), -1)
	}
}

// rows flattens [N,…,C] to [M,C].
func rows(x *Node) *Node { return Reshape(x, -1, dims(x)[x.Rank()-1]) }

// lastShape is ONNX's shape with the channels last.
func lastShape(s []int) []int {
	return append(append([]int{s[0]}, s[2:]...), s[1])
}

// pointwise tells whether the window is a single position that visits all.
func (v window) pointwise() bool {
	if v.group != 1 {
		return false
	}
	for i := range v.in {
		if v.kernel[i] != 1 || v.strides[i] != 1 || v.begin[i] != 0 || v.end[i] != 0 {
			return false
		}
	}
	return true
}

// product is the convolution itself.
func (b *build) product(v window, x, w *Node) *Node {
	m := dims(w)[0]
	switch {
	case v.pointwise():
		y := DotGeneral(rows(x), []int{1}, nil, Reshape(w, m, -1), []int{1}, nil)
		return Reshape(y, slices.Concat(dims(x)[:1], v.out, []int{m})...)
	case b.byTaps(v):
		return b.tapsProduct(v, x, w)
	}
	r := len(v.in)
	axes := backends.ConvolveAxesConfig{InputBatch: 0, InputChannels: r + 1, InputSpatial: axesFrom(1, r),
		KernelOutputChannels: 0, KernelInputChannels: 1, KernelSpatial: axesFrom(2, r),
		OutputBatch: 0, OutputChannels: r + 1, OutputSpatial: axesFrom(1, r)}
	pad := make([][2]int, r)
	for i := range pad { // the result's length counts; what lies beyond it is not visited
		pad[i] = [2]int{v.begin[i], (v.out[i]-1)*v.strides[i] + (v.kernel[i]-1)*v.dilations[i] + 1 - v.in[i] - v.begin[i]}
	}
	return ConvGeneral(x, w, axes, v.strides, pad, ones(r), v.dilations, v.group, 1)
}

// byInput is the gradient by x, which has the given shape, channels last.
func (b *build) byInput(v window, dy, w *Node, shape []int) *Node {
	m, r := dims(w)[0], len(v.in)
	switch {
	case v.pointwise():
		return Reshape(DotGeneral(rows(dy), []int{1}, nil, Reshape(w, m, -1), []int{0}, nil), shape...)
	case b.byTaps(v):
		return b.tapsByInput(v, dy, w, shape)
	}
	kernel := Reverse(w, axesFrom(2, r)...)
	in, out := 0, 1 // kernel's axes of dy's and x's channels
	if g := v.group; g > 1 {
		d := dims(w)
		kernel = Reshape(kernel, slices.Concat([]int{g, m / g, d[1]}, v.kernel)...)
		perm := append([]int{1, 0}, axesFrom(2, r+1)...)
		kernel = Reshape(TransposeAllAxes(kernel, perm...), slices.Concat([]int{m / g, g * d[1]}, v.kernel)...)
	}
	axes := backends.ConvolveAxesConfig{InputBatch: 0, InputChannels: r + 1, InputSpatial: axesFrom(1, r),
		KernelInputChannels: in, KernelOutputChannels: out, KernelSpatial: axesFrom(2, r),
		OutputBatch: 0, OutputChannels: r + 1, OutputSpatial: axesFrom(1, r)}
	return ConvGeneral(dy, kernel, axes, ones(r), v.inputPads(), v.strides, v.dilations, v.group, 1)
}

// inputPads pads dy, spread by the strides, so that the reversed kernel gives x's length.
func (v window) inputPads() [][2]int {
	pad := make([][2]int, len(v.in))
	for i := range pad {
		reach := (v.kernel[i] - 1) * v.dilations[i]
		low := reach - v.begin[i]
		pad[i] = [2]int{low, v.in[i] + reach - ((v.out[i]-1)*v.strides[i] + 1) - low}
	}
	return pad
}

// weightPads pads x so that dy, spread by the strides, slides over it kernel times.
func (v window) weightPads() [][2]int {
	pad := make([][2]int, len(v.in))
	for i := range pad {
		reach := (v.out[i]-1)*v.strides[i] + 1
		pad[i] = [2]int{v.begin[i], (v.kernel[i]-1)*v.dilations[i] + reach - v.in[i] - v.begin[i]}
	}
	return pad
}

// byWeights is the gradient by the weights, in ONNX's layout and float32.
func (b *build) byWeights(v window, x, dy *Node) *Node {
	c, m, r := dims(x)[x.Rank()-1], dims(dy)[dy.Rank()-1], len(v.in)
	switch {
	case v.pointwise():
		return f32(Reshape(DotGeneral(rows(dy), []int{0}, nil, rows(x), []int{0}, nil), slices.Concat([]int{m, c}, v.kernel)...))
	case b.byTaps(v):
		return f32(b.tapsByWeights(v, x, dy))
	}
	axes := backends.ConvolveAxesConfig{InputBatch: r + 1, InputChannels: 0, InputSpatial: axesFrom(1, r),
		KernelInputChannels: 0, KernelOutputChannels: r + 1, KernelSpatial: axesFrom(1, r),
		OutputBatch: 1, OutputChannels: 0, OutputSpatial: axesFrom(2, r)}
	return f32(ConvGeneral(x, dy, axes, v.dilations, v.weightPads(), ones(r), v.strides, 1, v.group))
}

func axesFrom(first, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = first + i
	}
	return all
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }
