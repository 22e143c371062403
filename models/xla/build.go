package xla

import (
	"fmt"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/program"
)

// tensor is a value of a program in a graph. Activations of rank 3 and more may have their channels last, which is what
// convolutions want: [N,…,C] where ONNX has [N,C,…]. float32, or bfloat16 where a product has made it.
type tensor struct {
	n    *Node
	last bool
}

// backward turns the gradient of an operation's result into those of its inputs; those that aren't needed, or that have none,
// are empty tensors. need tells which are.
type backward func(dy tensor, need []bool) []tensor

// build makes the graph of a program. It panics as GoMLX does; whoever calls it recovers with refuse.
type build struct {
	g       *Graph
	p       *program.Program
	taps    bool         // a 3D convolution is one 2D convolution for each tap of depth
	host    bool         // sums are made as a processor adds well, not as a GPU does
	compute dtypes.DType // of convolutions and products
	train   bool

	values []tensor
	random *Node         // the generator's state
	stats  map[int]*Node // the statistics' new values
	tape   []step
	at     *program.Op // for errors
}

// step is an operation of the tape.
type step struct {
	op   *program.Op
	back backward
}

// forward computes all values. given has the nodes of inputs, parameters, statistics and large constants.
func (b *build) forward(given map[int]*Node) {
	b.values = make([]tensor, len(b.p.Values))
	b.stats = map[int]*Node{}
	for i := range b.p.Values {
		v := &b.p.Values[i]
		if n := given[i]; n != nil {
			b.values[i].n = n
		} else if v.Role == program.Constant {
			b.values[i].n = b.constant(v.Data, v.Shape...)
		}
	}
	for i := range b.p.Ops {
		op := &b.p.Ops[i]
		b.at = op
		in := make([]tensor, len(op.In))
		for k, v := range op.In {
			if v >= 0 {
				in[k] = b.values[v]
			}
		}
		y, back := b.apply(op, in)
		b.check(y, op.Out[0])
		b.values[op.Out[0]] = y
		if b.train {
			b.tape = append(b.tape, step{op, back})
		}
	}
	b.at = nil
}

// check compares a result's shape with the program's.
func (b *build) check(y tensor, v int) {
	want := b.p.Values[v].Shape
	have := b.order(y).Shape().Dimensions
	if len(have) != len(want) {
		panic(fmt.Errorf("made shape %v, the program has %v", have, want))
	}
	for i := range have {
		if have[i] != want[i] {
			panic(fmt.Errorf("made shape %v, the program has %v", have, want))
		}
	}
}

// reverse turns gradients of some values into gradients of all parameters, nil where a parameter has none.
func (b *build) reverse(gradients map[int]tensor) map[int]*Node {
	need := make([]bool, len(b.p.Values))
	for i := range b.p.Values {
		need[i] = b.p.Values[i].Role == program.Parameter
	}
	for _, s := range b.tape {
		for _, v := range s.op.In {
			if v >= 0 && need[v] {
				need[s.op.Out[0]] = true
			}
		}
	}
	for k := len(b.tape) - 1; k >= 0; k-- {
		s := b.tape[k]
		dy, ok := gradients[s.op.Out[0]]
		if !ok || !need[s.op.Out[0]] {
			continue
		}
		b.at = s.op
		wanted := make([]bool, len(s.op.In))
		for i, v := range s.op.In {
			wanted[i] = v >= 0 && need[v]
		}
		for i, dx := range s.back(dy, wanted) {
			if dx.n == nil || !wanted[i] {
				continue
			}
			v := s.op.In[i]
			dx.n = ConvertDType(dx.n, b.values[v].n.DType())
			gradients[v] = b.add(gradients[v], dx)
		}
		delete(gradients, s.op.Out[0])
	}
	b.at = nil
	all := map[int]*Node{}
	for i, g := range gradients {
		if b.p.Values[i].Role == program.Parameter {
			all[i] = b.order(g)
		}
	}
	return all
}

// add sums two gradients of one value; a may be empty.
func (b *build) add(a, c tensor) tensor {
	if a.n == nil {
		return c
	}
	if a.last || c.last {
		return tensor{Add(b.last(a), b.last(c)), true}
	}
	return tensor{Add(a.n, c.n), false}
}

// order returns a tensor with ONNX's order of axes.
func (b *build) order(t tensor) *Node {
	if !t.last {
		return t.n
	}
	r := t.n.Rank()
	perm := []int{0, r - 1}
	for i := 1; i < r-1; i++ {
		perm = append(perm, i)
	}
	return TransposeAllAxes(t.n, perm...)
}

// last returns a tensor with its channels last.
func (b *build) last(t tensor) *Node {
	r := t.n.Rank()
	if t.last || r < 3 {
		return t.n
	}
	perm := []int{0}
	for i := 2; i < r; i++ {
		perm = append(perm, i)
	}
	return TransposeAllAxes(t.n, append(perm, 1)...)
}

// like returns a tensor in the order of another.
func (b *build) like(t tensor, other tensor) *Node {
	if other.last {
		return b.last(t)
	}
	return b.order(t)
}

// axis maps an axis of ONNX's to one of a tensor's.
func (t tensor) axis(a int) int {
	if !t.last || a == 0 {
		return a
	}
	if a == 1 {
		return t.n.Rank() - 1
	}
	return a - 1
}

// permuted puts a value for each of ONNX's axes into a tensor's order.
func permuted[T any](t tensor, byAxis []T) []T {
	all := make([]T, len(byAxis))
	for a, v := range byAxis {
		all[t.axis(a)] = v
	}
	return all
}

func (b *build) constant(data []float32, shape ...int) *Node {
	if len(data) == 1 {
		return Reshape(Const(b.g, data[0]), shape...)
	}
	return Reshape(Const(b.g, data), shape...)
}

// scalar is a float32 constant.
func (b *build) scalar(v float64) *Node { return Scalar(b.g, dtypes.Float32, v) }

func f32(n *Node) *Node { return ConvertDType(n, dtypes.Float32) }

// wider converts tensors to one type: float32 unless all are bfloat16.
func wider(all ...tensor) []tensor {
	to := all[0].n.DType()
	for _, t := range all {
		if t.n.DType() != to {
			to = dtypes.Float32
		}
	}
	out := make([]tensor, len(all))
	for i, t := range all {
		out[i] = tensor{ConvertDType(t.n, to), t.last}
	}
	return out
}

// together gives tensors one order: channels last if one has them last and all have the same rank.
func (b *build) together(all ...tensor) []tensor {
	last := false
	for _, t := range all {
		last = last || t.last
	}
	for _, t := range all {
		last = last && t.n.Rank() == all[0].n.Rank()
	}
	out := make([]tensor, len(all))
	for i, t := range all {
		if last {
			out[i] = tensor{b.last(t), true}
		} else {
			out[i] = tensor{b.order(t), false}
		}
	}
	return out
}

// dims are a node's dimensions.
func dims(n *Node) []int { return n.Shape().Dimensions }

func product(of []int) int {
	n := 1
	for _, d := range of {
		n *= d
	}
	return n
}

// parameter adds an argument of the program's.
func parameter(g *Graph, name string, dtype dtypes.DType, shape ...int) *Node {
	return Parameter(g, name, shapes.Make(dtype, shape...))
}

// refuse turns what a graph's construction panicked with into an error; without a panic, it is err.
func (b *build) refuse(r any, err error) error {
	if r == nil {
		return err
	}
	cause, ok := r.(error)
	if !ok {
		cause = fmt.Errorf("%v", r)
	}
	where := "the graph"
	if b != nil && b.at != nil {
		where = fmt.Sprintf("node %s (%T)", b.at.Node, b.at.Do)
	}
	return &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("xla: %s: %v", where, cause), Err: cause}
}
