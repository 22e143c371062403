package xla

import (
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models/program"
)

// lstm is Hochreiter & Schmidhuber's cell with forget gates, unrolled in time, both directions in one product for each step. The
// gradient is written out: inside the recurrence it has one product a step, and the weights' gradients are one product each at
// the end. All gates come from one tanh, sigmoid(x) being tanh(x/2)/2 + 1/2.
func (b *build) lstm(op *program.LSTM, in []tensor) (tensor, backward) {
	x, w, r := ConvertDType(b.order(in[0]), b.compute), ConvertDType(in[1].n, b.compute), ConvertDType(in[2].n, b.compute)
	c := cell{b: b, steps: dims(x)[0], batch: dims(x)[1], input: dims(x)[2], hidden: op.Hidden, ways: dims(w)[0]}
	c.turned = make([]bool, c.ways)
	c.turned[c.ways-1] = op.Bidirectional || op.Reverse
	h4 := 4 * c.hidden
	// What the inputs add to the gates, in the order in which each direction goes: [T,D,B,4H].
	flat := Reshape(x, c.steps*c.batch, c.input)
	gates := f32(DotGeneral(flat, []int{1}, nil, w, []int{2}, nil)) // [T·B,D,4H]
	if len(in) > 3 && in[3].n != nil {
		two := Reshape(in[3].n, 1, c.ways, 2, h4)
		gates = Add(gates, ReduceSum(two, 2))
	}
	gates = c.turn(TransposeAllAxes(Reshape(gates, c.steps, c.batch, c.ways, h4), 0, 2, 1, 3))
	all := c.run(gates, r)
	y := c.turn(Concatenate(all.h, 0))
	return tensor{n: ConvertDType(y, b.compute)}, func(dy tensor, need []bool) []tensor {
		da := c.back(all, c.turn(f32(b.order(dy))), r) // [T,D,B,4H], in each direction's order
		dx := make([]tensor, len(in))
		if need[2] {
			if c.steps > 1 {
				before := ConvertDType(Concatenate(all.h[:c.steps-1], 0), b.compute)
				after := ConvertDType(Slice(da, AxisRange(1)), b.compute)
				dx[2].n = f32(DotGeneral(after, []int{0, 2}, []int{1}, before, []int{0, 2}, []int{1}))
			} else {
				dx[2].n = ZerosLike(in[2].n)
			}
		}
		da = c.turn(da)
		if len(in) > 3 && need[3] {
			half := Reshape(b.columns(Reshape(TransposeAllAxes(da, 0, 2, 1, 3), c.steps*c.batch, c.ways*h4)), c.ways, 1, h4)
			dx[3].n = Reshape(BroadcastToDims(half, c.ways, 2, h4), c.ways, 2*h4)
		}
		d := ConvertDType(Reshape(TransposeAllAxes(da, 0, 2, 1, 3), c.steps*c.batch, c.ways, h4), b.compute)
		if need[0] {
			dx[0].n = Reshape(DotGeneral(d, []int{1, 2}, nil, w, []int{0, 1}, nil), dims(x)...)
		}
		if need[1] {
			dx[1].n = f32(DotGeneral(d, []int{0}, nil, flat, []int{0}, nil))
		}
		return dx
	}
}

// cell is an LSTM's sizes.
type cell struct {
	b                                 *build
	steps, batch, input, hidden, ways int
	turned                            []bool // the direction runs backwards in time
}

// course is what each step leaves for the gradient: [1,D,B,H], and tanh of all gates.
type course struct{ h, t, c, tc []*Node }

// turn reverses time for the directions that run backwards: x is [T,D,…].
func (c *cell) turn(x *Node) *Node {
	if c.ways == 1 {
		if c.turned[0] {
			return Reverse(x, 0)
		}
		return x
	}
	return Concatenate([]*Node{SliceAxis(x, 1, AxisRange(0, 1)), Reverse(SliceAxis(x, 1, AxisRange(1, 2)), 0)}, 1)
}

// The gates' order is ONNX's: input, output, forget, cell.
const (
	gateInput = iota
	gateOutput
	gateForget
	gateCell
)

// row is a constant with one value for the three sigmoids and one for the tanh.
func (c *cell) row(sigmoid, tanh float32) *Node {
	data := make([]float32, 4*c.hidden)
	for i := range data {
		data[i] = sigmoid
		if i/c.hidden == gateCell {
			data[i] = tanh
		}
	}
	return c.b.constant(data, 1, 1, 1, 4*c.hidden)
}

func (c *cell) gate(a *Node, k int) *Node {
	return SliceAxis(a, 3, AxisRange(k*c.hidden, (k+1)*c.hidden))
}

func (c *cell) run(gates, r *Node) course {
	scale, offset := c.row(.5, 1), c.row(.5, 0)
	var all course
	for k := range c.steps {
		a := SliceAxis(gates, 0, AxisRange(k, k+1))
		if k > 0 {
			h := ConvertDType(Reshape(all.h[k-1], c.ways, c.batch, c.hidden), c.b.compute)
			a = Add(a, Reshape(f32(DotGeneral(h, []int{2}, []int{0}, r, []int{2}, []int{0})), dims(a)...))
		}
		t := Tanh(Mul(a, scale))
		g := Add(Mul(t, scale), offset)
		state := Mul(c.gate(g, gateInput), c.gate(g, gateCell))
		if k > 0 {
			state = Add(state, Mul(c.gate(g, gateForget), all.c[k-1]))
		}
		tc := Tanh(state)
		all.t, all.c, all.tc = append(all.t, t), append(all.c, state), append(all.tc, tc)
		all.h = append(all.h, Mul(c.gate(g, gateOutput), tc))
	}
	return all
}

// back returns the gradient by the gates' sums, [T,D,B,4H], of a gradient by the hidden states.
func (c *cell) back(all course, dy, r *Node) *Node {
	scale, offset := c.row(.5, 1), c.row(.5, 0)
	square := Square(scale)
	da := make([]*Node, c.steps)
	var dh, dc *Node
	for k := c.steps - 1; k >= 0; k-- {
		g := Add(Mul(all.t[k], scale), offset)
		h := sum(dh, SliceAxis(dy, 0, AxisRange(k, k+1)))
		state := sum(dc, Mul(Mul(h, c.gate(g, gateOutput)), OneMinus(Square(all.tc[k]))))
		forget := ZerosLike(state)
		if k > 0 {
			forget = Mul(state, all.c[k-1])
			dc = Mul(state, c.gate(g, gateForget))
		}
		a := Concatenate([]*Node{Mul(state, c.gate(g, gateCell)), Mul(h, all.tc[k]), forget, Mul(state, c.gate(g, gateInput))}, 3)
		// d sigmoid(s)/ds is (1 − t²)/4, d tanh(s)/ds is 1 − t².
		da[k] = Mul(a, Mul(OneMinus(Square(all.t[k])), square))
		if k > 0 {
			d := ConvertDType(Reshape(da[k], c.ways, c.batch, 4*c.hidden), c.b.compute)
			dh = Reshape(f32(DotGeneral(d, []int{2}, []int{0}, r, []int{1}, []int{0})), 1, c.ways, c.batch, c.hidden)
		}
	}
	return Concatenate(da, 0)
}
