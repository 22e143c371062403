package gorgonia

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"runtime/debug"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/cspine/cspine/models/gorgonia/kernel"
)

// exec is what kernels know of the run they are part of.
type exec struct {
	ctx     context.Context
	workers *kernel.Workers
	// seed and draw decide what Dropout drops.
	seed, draw uint64
	batch      *targets
	// done are changes that a run makes when all of it has succeeded.
	done []func()
}

// memory is what plans' regions lie in.
type memory struct {
	arena                     []float32
	weights, gradients, fixed [][]float32
	given, wanted             [][]float32
}

// at returns a place's memory.
func (m *memory) at(p place) []float32 {
	if p.region == nil {
		return nil
	}
	p = p.root()
	i := p.region.index
	switch p.region.source {
	case weight:
		return m.weights[i][p.at:][:p.size:p.size]
	case gradient:
		return m.gradients[i][p.at:][:p.size:p.size]
	case fixed:
		return m.fixed[i][p.at:][:p.size:p.size]
	case given:
		return m.given[i][p.at:][:p.size:p.size]
	case wanted:
		return m.wanted[i][p.at:][:p.size:p.size]
	}
	return m.arena[p.region.offset+p.at:][:p.size:p.size]
}

// machine runs a plan with Gorgonia's tape machine. It must be used by one goroutine at a time.
type machine struct {
	plan   *plan
	memory *memory
	exec   *exec
	ops    []*stepOp
	vm     G.VM
	inputs []*G.Node // of the caller
	err    error     // what stopped the last run
}

// newMachine makes the graph that runs the plan: a node for a step, each of which also depends on the step before it, so that there is one
// order alone. inputs are the shapes of what the caller gives.
func newMachine(p *plan, m *memory, x *exec, inputs [][]int) (*machine, error) {
	for salt := range uint64(8) {
		mach := &machine{plan: p, memory: m, exec: x}
		if mach.build(salt, inputs) {
			return mach, nil
		}
	}
	return nil, errors.New("gorgonia: the graph's hashes collide whatever they are salted with")
}

// build reports false where two nodes' hashes are equal: the tape machine's compiler would take one for the other.
func (m *machine) build(salt uint64, inputs [][]int) bool {
	s := symbols{graph: G.NewGraph(), salt: salt}
	root := s.input("start", []int{1})
	_ = G.Let(root, tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(1)))
	for i, shape := range inputs {
		m.inputs = append(m.inputs, s.input(fmt.Sprint("input ", i), shape))
	}
	nodes := make([]*G.Node, len(m.plan.steps))
	for k, st := range m.plan.steps {
		op := &stepOp{step: st, machine: m, id: uint64(k) | salt<<32}
		m.ops = append(m.ops, op)
		children := []*G.Node{root}
		if k > 0 {
			children = []*G.Node{nodes[k-1]}
		}
		for _, a := range st.after {
			if a != k-1 {
				children = append(children, nodes[a])
			}
		}
		op.children = children
		n, err := G.ApplyOp(op, children...)
		if err != nil {
			fail("gorgonia: planning %s: %w", st.name, err)
		}
		nodes[k] = n
	}
	hashes := map[uint32]bool{}
	for _, n := range s.graph.AllNodes() {
		if hashes[n.Hashcode()] {
			return false
		}
		hashes[n.Hashcode()] = true
	}
	m.vm = G.NewTapeMachine(s.graph)
	return true
}

// run runs all steps. given and wanted are the caller's inputs and outputs.
func (m *machine) run(ctx context.Context, given, wanted [][]float32) (err error) {
	m.memory.given, m.memory.wanted = given, wanted
	m.exec.ctx, m.exec.done, m.err = ctx, m.exec.done[:0], nil
	defer func() {
		m.memory.given, m.memory.wanted, m.exec.ctx = nil, nil, nil
	}()
	for _, op := range m.ops {
		op.bind()
	}
	for i, n := range m.inputs {
		if err := G.Let(n, dense(n.Shape(), given[i])); err != nil {
			return fmt.Errorf("gorgonia: input %d: %w", i, err)
		}
	}
	defer m.vm.Reset()
	if err := m.vm.RunAll(); err != nil {
		if m.err != nil {
			return m.err
		}
		return fmt.Errorf("gorgonia: %w", err)
	}
	for _, f := range m.exec.done {
		f()
	}
	return nil
}

func dense(shape []int, data []float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

// stepOp is a step as the tape machine sees it. It reads and writes the planned memory; the values that it hands on
// are views of that.
type stepOp struct {
	step     *step
	machine  *machine
	id       uint64
	children []*G.Node
	in, out  [][]float32
	value    *tensor.Dense
}

// bind finds the step's memory. That of the arena and of weights stays; the caller's may be another at each run.
func (o *stepOp) bind() {
	m := o.machine.memory
	if o.in == nil {
		o.in, o.out = make([][]float32, len(o.step.in)), make([][]float32, len(o.step.out))
	}
	for i, p := range o.step.in {
		if o.in[i] == nil || moves(p) {
			o.in[i] = m.at(p)
		}
	}
	for i, p := range o.step.out {
		if o.out[i] == nil || moves(p) {
			o.out[i] = m.at(p)
		}
	}
	if o.value == nil || moves(o.step.out[0]) {
		o.value = dense(o.step.shape, o.out[0])
	}
}

func moves(p place) bool {
	if p.region == nil {
		return false
	}
	s := p.root().region.source
	return s == given || s == wanted
}

// Do runs the step. It recovers panics: the tape machine runs in a goroutine of its own.
func (o *stepOp) Do(...G.Value) (v G.Value, err error) {
	m := o.machine
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("gorgonia: %v: %v\n%s", o.step, e, debug.Stack())
		}
		if err != nil {
			m.err = err
		}
	}()
	if err := m.exec.ctx.Err(); err != nil {
		return nil, err
	}
	if err := o.step.kernel(m.exec, o.out, o.in); err != nil {
		return nil, fmt.Errorf("gorgonia: %v: %w", o.step, err)
	}
	return o.value, nil
}

func (o *stepOp) Arity() int { return len(o.children) }

func (o *stepOp) Type() hm.Type {
	types := make([]hm.Type, 0, len(o.children)+1)
	for _, n := range o.children {
		types = append(types, n.Type())
	}
	return hm.NewFnType(append(types, G.TensorType{Dims: len(o.step.shape), Of: tensor.Float32})...)
}

func (o *stepOp) InferShape(...G.DimSizer) (tensor.Shape, error) {
	return slices.Clone(o.step.shape), nil
}

func (o *stepOp) ReturnsPtr() bool      { return false }
func (o *stepOp) CallsExtern() bool     { return false }
func (o *stepOp) OverwritesInput() int  { return -1 }
func (o *stepOp) WriteHash(h hash.Hash) { fmt.Fprintf(h, "step %d", o.id) }
func (o *stepOp) Hashcode() uint32      { return hashcode(o) }
func (o *stepOp) String() string        { return o.step.name }
