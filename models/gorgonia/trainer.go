package gorgonia

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// trainer is a models.Trainer. A run that fails moves nothing that counts: running statistics are moved when a run has succeeded.
type trainer struct {
	inputs, outputs []models.Port
	adamw           models.AdamW
	train, infer    *machine
	exec            *exec
	flat            *flat
	params          map[string]span // in flat
	statistics      map[string][]float32
	sizes           []int // of the loss's targets
	loss            [][]float32

	steps, draws int64
	pending      int // calls of Gradients since the last update
	closed       bool
}

// span is a stretch of a flat slice.
type span struct{ from, to int }

func newTrainer(p *program.Program, o models.TrainingOptions) (*trainer, error) {
	t := &trainer{inputs: ports(p, p.Inputs), outputs: ports(p, p.Outputs), adamw: o.AdamW.WithDefaults(),
		params: map[string]span{}, statistics: map[string][]float32{}, loss: [][]float32{make([]float32, 1)}}
	w := kernel.NewWorkers(threads(o.Threads))
	t.exec = &exec{workers: w, seed: o.Seed}
	err := guard(func() error { return t.build(p, o.Loss, w) })
	if err != nil {
		return nil, unsupported(err)
	}
	return t, nil
}

func (t *trainer) build(p *program.Program, l models.Loss, w *kernel.Workers) error {
	mem := memory{fixed: make([][]float32, len(p.Values)), weights: make([][]float32, len(p.Values)), gradients: make([][]float32, len(p.Values))}
	for v := range p.Values {
		val := &p.Values[v]
		switch val.Role {
		case program.Statistic:
			if t.statistics[val.Name] == nil {
				t.statistics[val.Name] = slices.Clone(val.Data)
			}
			mem.fixed[v] = t.statistics[val.Name]
		case program.Constant:
			mem.fixed[v] = val.Data
		}
	}
	convs := map[kernel.Geometry]*kernel.Conv{}
	b := newBuilder(p, w, convs, true)
	b.fixed = mem.fixed
	b.forward()
	cost, loss, err := b.loss(l)
	if err != nil {
		return err
	}
	for _, term := range loss.terms {
		t.sizes = append(t.sizes, term.size)
	}
	reach := reached(cost)
	values := t.lay(p, &mem, func(v int) bool { return reach[b.nodes[v]] })
	wants := []want{{cost, wanted, 0}}
	var by []*G.Node
	for _, v := range values {
		by = append(by, b.nodes[v])
	}
	if len(by) == 0 {
		return &models.Error{Code: models.CodeUnsupported, Detail: "the loss depends on no parameter of the model"}
	}
	grads, err := G.Grad(cost, by...)
	if err != nil {
		return fmt.Errorf("gorgonia: differentiating: %w", err)
	}
	for i, g := range grads {
		wants = append(wants, want{g, gradient, values[i]})
	}
	of := func(v int) want {
		if p.Values[v].Role == program.Parameter {
			return want{source: weight, index: v}
		}
		return want{source: fixed, index: v}
	}
	training := newPlan(b.leaves(of), wants)

	b = newBuilder(p, w, convs, false)
	b.forward()
	inference := newPlan(b.leaves(of), b.outputs())

	size := max(training.size, inference.size)
	if err := checkMemory(4 * int64(size)); err != nil {
		return err
	}
	mem.arena = make([]float32, size) // one for both: they never run at the same time
	trainMem, inferMem := mem, mem
	if t.train, err = newMachine(training, &trainMem, t.exec, inputShapes(p)); err != nil {
		return err
	}
	t.infer, err = newMachine(inference, &inferMem, t.exec, inputShapes(p))
	return err
}

// reached returns the nodes that a node's gradient goes through.
func reached(from *G.Node) map[*G.Node]bool {
	seen := map[*G.Node]bool{}
	stack := []*G.Node{from}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		if f, ok := n.Op().(*formula); ok && f.wants != nil {
			for i, in := range f.in {
				if f.wants[i] {
					stack = append(stack, in)
				}
			}
		}
	}
	return seen
}

// lay gives every parameter its place in flat slices, those that the loss depends on first: PyTorch leaves the others alone, and so
// does AdamW here. It returns the former.
func (t *trainer) lay(p *program.Program, mem *memory, reached func(v int) bool) (trained []int) {
	n := 0
	var order []int
	for _, first := range []bool{true, false} {
		for v := range p.Values {
			if p.Values[v].Role == program.Parameter && reached(v) == first {
				order = append(order, v)
				t.params[p.Values[v].Name] = span{n, n + p.Values[v].Len()}
				n = (n + p.Values[v].Len() + align - 1) / align * align
			}
		}
		if first {
			trained = slices.Clone(order)
			t.flat = &flat{trained: n}
		}
	}
	t.flat = newFlat(n, t.flat.trained)
	for _, v := range order {
		s := t.params[p.Values[v].Name]
		mem.weights[v], mem.gradients[v] = s.of(t.flat.values), s.of(t.flat.grads)
		copy(mem.weights[v], p.Values[v].Data)
		p.Values[v].Data = nil // formulas keep the program alive, which need not keep the weights twice
	}
	return trained
}

func (s span) of(all []float32) []float32 { return all[s.from:s.to:s.to] }

func (t *trainer) Inputs() []models.Port  { return t.inputs }
func (t *trainer) Outputs() []models.Port { return t.outputs }

func (t *trainer) Gradients(ctx context.Context, b models.Batch) (float32, error) {
	if t.closed {
		return 0, errClosed()
	}
	if err := checkPorts("inputs", t.inputs, b.Inputs); err != nil {
		return 0, err
	}
	var err error
	if t.exec.batch, err = newTargets(&b, t.sizes); err != nil {
		return 0, err
	}
	defer func() { t.exec.batch = nil }()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f := t.flat
	if t.pending > 0 {
		if f.sums == nil {
			f.sums = make([]float32, f.trained)
		}
		if t.pending == 1 {
			copy(f.sums, f.grads)
		}
	}
	t.exec.draw = uint64(t.draws)
	if err := t.train.run(ctx, b.Inputs, t.loss); err != nil {
		if t.pending > 0 {
			copy(f.grads, f.sums)
		}
		return 0, err
	}
	if t.pending > 0 {
		t.exec.span(f.trained, func(from, to int) {
			kernel.Add(f.sums[from:to], f.sums[from:to], f.grads[from:to])
			copy(f.grads[from:to], f.sums[from:to])
		})
	}
	t.pending++
	t.draws++
	return t.loss[0][0], nil
}

func (t *trainer) Update(ctx context.Context, rate float64) (norm float64, err error) {
	if t.closed {
		return 0, errClosed()
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if t.pending == 0 {
		return 0, errors.New("gorgonia: an update without gradients: call Gradients first")
	}
	scale := 1 / float64(t.pending)
	if t.adamw.ClipNorm > 0 {
		norm = t.flat.norm(t.exec.workers) * scale
		scale *= min(1, t.adamw.ClipNorm/(norm+1e-6)) // as PyTorch bounds it
	}
	t.steps++
	t.flat.step(t.exec, t.adamw, rate, t.steps, float32(scale))
	t.pending = 0
	return norm, nil
}

func (t *trainer) Infer(ctx context.Context, inputs, outputs [][]float32) error {
	if t.closed {
		return errClosed()
	}
	if err := checkPorts("inputs", t.inputs, inputs); err != nil {
		return err
	}
	if err := checkPorts("outputs", t.outputs, outputs); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return t.infer.run(ctx, inputs, outputs)
}

func checkPorts(name string, ports []models.Port, have [][]float32) error {
	if len(ports) != len(have) {
		return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("expected %d %s, got %d", len(ports), name, len(have))}
	}
	for i, p := range ports {
		if len(have[i]) != p.Len() {
			return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("%s: %q %v needs %d values, got %d", name, p.Name, p.Shape, p.Len(), len(have[i]))}
		}
	}
	return nil
}

func (t *trainer) GradientOf(name string) ([]float32, error) {
	if t.closed {
		return nil, errClosed()
	}
	s, ok := t.params[name]
	if !ok {
		return nil, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the model has no parameter %q", name)}
	}
	g := make([]float32, s.to-s.from)
	if t.pending > 0 && s.from < t.flat.trained {
		kernel.Affine(g, s.of(t.flat.grads), 1/float32(t.pending), 0)
	}
	return g, nil
}

func (t *trainer) State() (models.State, error) {
	if t.closed {
		return models.State{}, errClosed()
	}
	s := models.State{Steps: t.steps, Draws: t.draws, Weights: map[string][]float32{}, First: map[string][]float32{}, Second: map[string][]float32{}}
	for name, at := range t.params {
		s.Weights[name] = slices.Clone(at.of(t.flat.values))
		s.First[name] = slices.Clone(at.of(t.flat.first))
		s.Second[name] = slices.Clone(at.of(t.flat.second))
	}
	for name, v := range t.statistics {
		s.Weights[name] = slices.Clone(v)
	}
	return s, nil
}

// SetState checks all of a state before it takes any of it.
func (t *trainer) SetState(s models.State) error {
	if t.closed {
		return errClosed()
	}
	type copied struct{ to, from []float32 }
	var all []copied
	for _, part := range []struct {
		name string
		have map[string][]float32
		flat []float32
	}{{"weights", s.Weights, t.flat.values}, {"first moments", s.First, t.flat.first}, {"second moments", s.Second, t.flat.second}} {
		want := map[string][]float32{}
		for name, at := range t.params {
			want[name] = at.of(part.flat)
		}
		if part.name == "weights" {
			maps.Copy(want, t.statistics)
		}
		if len(want) != len(part.have) {
			return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the state has %d %s, the model %d", len(part.have), part.name, len(want))}
		}
		for name, to := range want {
			if len(part.have[name]) != len(to) {
				return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the state's %s of %q have %d values, the model's %d", part.name, name, len(part.have[name]), len(to))}
			}
			all = append(all, copied{to, part.have[name]})
		}
	}
	if s.Steps < 0 || s.Draws < 0 {
		return &models.Error{Code: models.CodePorts, Detail: "the state counts less than no steps"}
	}
	for _, c := range all {
		copy(c.to, c.from)
	}
	t.steps, t.draws, t.pending = s.Steps, s.Draws, 0
	return nil
}

func (t *trainer) Close() error {
	t.closed = true
	t.train, t.infer, t.exec, t.flat = nil, nil, nil, nil
	return nil
}
