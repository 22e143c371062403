package gorgonia

import (
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// formula is an operation of the symbolic graph: what it computes, and what its gradient is. It is never run: once
// Gorgonia has derived the gradients, a plan makes steps of the formulas that something needs.
type formula struct {
	id   uint64
	name string // the operator, and the node it comes from
	// outs are the shapes of the results. The first is the node's; the others are had with symbols.part.
	outs [][]int
	// scalar makes the node one that Gorgonia differentiates.
	scalar bool
	kernel routine
	// grad returns the gradients by the inputs, nil where wants says that there is none. A nil grad means that nothing is differentiable.
	wants []bool
	grad  func(in []*G.Node, out, dy *G.Node) []*G.Node

	// How the result lies in memory. At most one of view, joined and partOf is set.
	view    *int   // the result is the first input's memory, from this element on
	joined  bool   // the inputs lie one after the other in the result, if that can be arranged
	part    int    // the result is this one of the first input's results
	within  *int   // the result is zero, but for the only input, which lies together from this element on
	inPlace []int  // inputs whose memory the result may take where nothing else reads them; the first that can be is taken
	reads   []bool // whether the kernel reads an input's values at all; nil means that it reads all

	in []*G.Node
}

// routine computes an operation. out and in are the planned memory of the results and the inputs; results are overwritten and overlap with
// inputs only as the formula allows.
type routine func(x *exec, out, in [][]float32) error

// symbols builds a symbolic graph. Its methods panic with a failure, which compile recovers.
type symbols struct {
	graph *G.ExprGraph
	// salt makes other hashes of the same graph: Gorgonia takes nodes whose 32-bit hashes are equal for one.
	salt, next uint64
}

// failure is an error on its way through Gorgonia's code to the compiler's entry.
type failure struct{ err error }

func fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// apply adds an operation to the graph.
func (s *symbols) apply(f formula, in ...*G.Node) *G.Node {
	s.next++
	f.id = s.next | s.salt<<32
	f.in = in
	n, err := G.ApplyOp(&f, in...)
	if err != nil {
		fail("gorgonia: applying %s: %w", f.name, err)
	}
	return n
}

// part returns the k-th result of an operation with several.
func (s *symbols) part(n *G.Node, k int) *G.Node {
	f := n.Op().(*formula)
	return s.apply(formula{name: f.name + " part", outs: [][]int{f.outs[k]}, part: k}, n)
}

// input adds a value that comes from outside.
func (s *symbols) input(name string, shape []int) *G.Node {
	shape = ranked(shape)
	return G.NewTensor(s.graph, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(fmt.Sprintf("%s #%d", name, s.salt)))
}

// ranked gives a scalar the shape [1]: Gorgonia's scalars are no tensors.
func ranked(shape []int) []int {
	if len(shape) == 0 {
		return []int{1}
	}
	return shape
}

func (f *formula) Arity() int { return len(f.in) }

func (f *formula) Type() hm.Type {
	types := make([]hm.Type, 0, len(f.in)+1)
	for _, n := range f.in {
		types = append(types, n.Type())
	}
	if f.scalar {
		return hm.NewFnType(append(types, tensor.Float32)...)
	}
	return hm.NewFnType(append(types, G.TensorType{Dims: len(ranked(f.outs[0])), Of: tensor.Float32})...)
}

func (f *formula) InferShape(...G.DimSizer) (tensor.Shape, error) {
	if f.scalar {
		return tensor.ScalarShape(), nil
	}
	return slices.Clone(ranked(f.outs[0])), nil
}

func (f *formula) Do(...G.Value) (G.Value, error) {
	return nil, fmt.Errorf("gorgonia: %s is a formula, which nothing runs", f.name)
}

func (f *formula) ReturnsPtr() bool      { return false }
func (f *formula) CallsExtern() bool     { return false }
func (f *formula) OverwritesInput() int  { return -1 }
func (f *formula) WriteHash(h hash.Hash) { fmt.Fprintf(h, "formula %d", f.id) }
func (f *formula) Hashcode() uint32      { return hashcode(f) }
func (f *formula) String() string        { return f.name }

func hashcode(op interface{ WriteHash(hash.Hash) }) uint32 {
	h := fnv.New32a()
	op.WriteHash(h)
	return h.Sum32()
}

// DiffWRT tells which inputs have gradients.
func (f *formula) DiffWRT(inputs int) []bool {
	if f.wants == nil {
		return make([]bool, inputs)
	}
	return f.wants
}

// SymDiff returns the nodes of the gradients.
func (f *formula) SymDiff(in G.Nodes, out, dy *G.Node) (G.Nodes, error) {
	if f.grad == nil {
		return nil, fmt.Errorf("gorgonia: %s has no gradient", f.name)
	}
	return f.grad(in, out, dy), nil
}

// size returns the number of elements of a shape.
func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
