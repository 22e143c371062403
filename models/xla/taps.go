package xla

import (
	"slices"

	"github.com/gomlx/gomlx/backends"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas
)

// XLA has fast convolutions for processors in two dimensions only. These are a 3D convolution's three products as one 2D
// convolution for each tap of the kernel's depth, depth slices being the images of a batch; few channels are joined
// into one convolution over all taps.

// few is how many channels over all taps are joined into one convolution.
const few = 192

func (b *build) byTaps(v window) bool { return b.taps && len(v.in) == 3 && v.group == 1 }

// flat is the window of one depth slice.
func (v window) flat() window {
	return window{v.strides[1:], v.dilations[1:], v.begin[1:], v.end[1:], 1, v.in[1:], v.kernel[1:], v.out[1:]}
}

// slices returns for each tap the slices of x it reads, as [N·out,H,W,C].
func (b *build) slices(v window, x *Node) []*Node {
	d := dims(x)
	reach := (v.out[0]-1)*v.strides[0] + 1
	padded := b.pad(x, 1, v.begin[0], reach+(v.kernel[0]-1)*v.dilations[0]-v.in[0]-v.begin[0])
	all := make([]*Node, v.kernel[0])
	for a := range all {
		from := a * v.dilations[0]
		s := Slice(padded, AxisRange(), AxisRange(from, from+reach).Stride(v.strides[0]))
		all[a] = Reshape(s, d[0]*v.out[0], d[2], d[3], d[4])
	}
	return all
}

// pad adds zeros to one axis; negative counts take elements away.
func (b *build) pad(x *Node, axis, begin, end int) *Node {
	if begin == 0 && end == 0 {
		return x
	}
	all := make([]backends.PadAxis, x.Rank())
	all[axis] = backends.PadAxis{Start: begin, End: end}
	return Pad(x, ScalarZero(b.g, x.DType()), all...)
}

// tap is a tap's weights, [M,C,H,W].
func tap(w *Node, a int) *Node {
	d := dims(w)
	return Reshape(Slice(w, AxisRange(), AxisRange(), AxisElem(a)), d[0], d[1], d[3], d[4])
}

func (b *build) tapsProduct(v window, x, w *Node) *Node {
	n, m, k := dims(x)[0], dims(w)[0], v.kernel[0]
	flat, all := v.flat(), b.slices(v, x)
	var y *Node
	if c := dims(x)[4]; k > 1 && k*c <= few {
		joined := Reshape(TransposeAllAxes(w, 0, 2, 1, 3, 4), m, k*c, v.kernel[1], v.kernel[2])
		y = b.product(flat, Concatenate(all, 3), joined)
	} else {
		for a := range k {
			y = sum(y, b.product(flat, all[a], tap(w, a)))
		}
	}
	return Reshape(y, slices.Concat([]int{n}, v.out, []int{m})...)
}

func (b *build) tapsByInput(v window, dy, w *Node, shape []int) *Node {
	n, m, c, k := dims(dy)[0], dims(w)[0], dims(w)[1], v.kernel[0]
	flat := v.flat()
	if k > 1 && k*m <= few && v.strides[0] == 1 {
		// dy's slices are padded so that every slice of x finds k of them.
		reach := (k - 1) * v.dilations[0]
		low := reach - v.begin[0]
		padded := b.pad(dy, 1, low, v.in[0]+reach-v.out[0]-low)
		var all []*Node
		for a := range k {
			from := a * v.dilations[0]
			all = append(all, Reshape(Slice(padded, AxisRange(), AxisRange(from, from+v.in[0])), n*v.in[0], v.out[1], v.out[2], m))
		}
		joined := Reshape(TransposeAllAxes(Reverse(w, 2), 2, 0, 1, 3, 4), k*m, c, v.kernel[1], v.kernel[2])
		return Reshape(b.byInput(flat, Concatenate(all, 3), joined, []int{n * v.in[0], v.in[1], v.in[2], c}), shape...)
	}
	g := Reshape(dy, n*v.out[0], v.out[1], v.out[2], m)
	reach := (v.out[0]-1)*v.strides[0] + 1
	var dx *Node
	for a := range k {
		t := Reshape(b.byInput(flat, g, tap(w, a), []int{n * v.out[0], v.in[1], v.in[2], c}), n, v.out[0], v.in[1], v.in[2], c)
		begin := a*v.dilations[0] - v.begin[0]
		all := make([]backends.PadAxis, 5)
		all[1] = backends.PadAxis{Start: begin, End: v.in[0] - begin - reach, Interior: v.strides[0] - 1}
		dx = sum(dx, Pad(t, ScalarZero(b.g, t.DType()), all...))
	}
	return dx
}

func (b *build) tapsByWeights(v window, x, dy *Node) *Node {
	n, m := dims(x)[0], dims(dy)[4]
	g := Reshape(dy, n*v.out[0], v.out[1], v.out[2], m)
	all := b.slices(v, x)
	for a, s := range all {
		all[a] = InsertAxes(b.byWeights(v.flat(), s, g), 2)
	}
	return Concatenate(all, 2)
}

// sum adds; a may be nil.
func sum(a, c *Node) *Node {
	if a == nil {
		return c
	}
	return Add(a, c)
}
