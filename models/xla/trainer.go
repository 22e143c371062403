package xla

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/program"
	"github.com/cspine/cspine/models/xla/backend"
)

// trainer is a models.Trainer. Sums of gradients lie on the device beside the weights; programs take over the memory of what they replace.
type trainer struct {
	*model
	opts            models.TrainingOptions
	inputs, outputs []models.Port
	targets         []models.Port // by term

	sums, first, second []array // by parameter
	calls               int     // of Gradients since the last Update
	steps, draws        int64

	gradients map[kind]*backend.Program
	update    *backend.Program
	inferring *backend.Program
	closed    bool
	broken    error // what used up the weights without giving new ones
}

// kind is what a batch has; each has its own program.
type kind struct {
	weights, mixedWeights uint64 // a bit for each term
	mixed                 bool
}

func newTrainer(e *Engine, p *program.Program, opts models.TrainingOptions, precision models.Precision) (*trainer, error) {
	opts.AdamW = opts.AdamW.WithDefaults()
	if len(opts.Loss.Terms) == 0 || len(opts.Loss.Terms) > 64 {
		return nil, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the loss has %d terms, 1 to 64 are possible", len(opts.Loss.Terms))}
	}
	t := &trainer{opts: opts, gradients: map[kind]*backend.Program{}}
	for _, term := range opts.Loss.Terms {
		if _, _, err := subject(p, term); err != nil {
			return nil, err
		}
		for _, o := range p.Outputs {
			if v := &p.Values[o]; v.Name == term.Output {
				t.targets = append(t.targets, models.Port{Name: v.Name, Shape: v.Shape})
			}
		}
	}
	for _, op := range p.Ops {
		if _, ok := op.Do.(*program.BatchNorm); ok {
			if s := p.Values[op.In[0]].Shape; product(s) == s[1] {
				return nil, &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("node %s: training needs more than one value for each channel, shape %v has one", op.Node, s),
					Remedy: "train with a larger batch"}
			}
		}
	}
	for _, i := range p.Inputs {
		if err := splits(p.Values[i].Shape, e.devices, p.Values[i].Name); err != nil {
			return nil, err
		}
	}
	for _, port := range t.targets {
		if err := splits(port.Shape, e.devices, port.Name); err != nil {
			return nil, err
		}
	}
	m, err := newModel(e, p, precision, e.devices)
	if err != nil {
		return nil, err
	}
	t.model = m
	t.inputs, t.outputs = m.ports(p.Inputs), m.ports(p.Outputs)
	for _, list := range []*[]array{&t.sums, &t.first, &t.second} {
		for _, i := range m.parameters {
			v := &p.Values[i]
			a, err := m.upload(make([]float32, v.Len()), v.Shape, false)
			if err != nil {
				_ = t.Close() // never fails
				return nil, fmt.Errorf("xla: room on the device for the optimiser: %w", err)
			}
			*list = append(*list, a)
		}
	}
	return t, nil
}

// splits tells whether a tensor's first axis can be shared out.
func splits(shape []int, devices int, name string) error {
	if devices == 1 || len(shape) > 0 && shape[0]%devices == 0 {
		return nil
	}
	return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("%s: the first axis of %v can't be split over %d devices", name, shape, devices),
		Remedy: "take a batch that is a multiple of the devices"}
}

func (t *trainer) Inputs() []models.Port  { return t.inputs }
func (t *trainer) Outputs() []models.Port { return t.outputs }

// ready tells why nothing can be done.
func (t *trainer) ready(ctx context.Context) error {
	if t.closed {
		return errClosed()
	}
	if t.broken != nil {
		return fmt.Errorf("xla: an earlier step failed and took the weights with it; go on from the last checkpoint: %w", t.broken)
	}
	return ctx.Err()
}

func (t *trainer) Gradients(ctx context.Context, b models.Batch) (float32, error) {
	if err := t.ready(ctx); err != nil {
		return 0, err
	}
	k, err := t.check(b)
	if err != nil {
		return 0, err
	}
	p := t.gradients[k]
	if p == nil {
		if p, err = t.compileGradients(k); err != nil {
			return 0, err
		}
		t.gradients[k] = p
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	arguments := slices.Concat(t.weights, t.running, t.fixed)
	var own []array // to be freed
	defer func() { freeAll(own) }()
	send := func(values []float32, shape []int, split bool) error {
		a, err := t.upload(values, shape, split)
		if err != nil {
			return fmt.Errorf("xla: bringing a batch to the device: %w", err)
		}
		own, arguments = append(own, a), append(arguments, a)
		return nil
	}
	for i, port := range t.inputs {
		if err := send(b.Inputs[i], port.Shape, true); err != nil {
			return 0, err
		}
	}
	for _, side := range []struct{ targets, weights [][]float32 }{{b.Targets, b.Weights}, {b.Mixed, b.MixedWeights}} {
		for i, target := range side.targets {
			if err := send(target, t.targets[i].Shape, true); err != nil {
				return 0, err
			}
			if side.weights != nil && side.weights[i] != nil {
				if err := send(side.weights[i], t.targets[i].Shape, true); err != nil {
					return 0, err
				}
			}
		}
	}
	if k.mixed {
		if err := send([]float32{b.Lambda}, nil, false); err != nil {
			return 0, err
		}
	}
	if t.random() {
		a, err := t.state([3]uint64{mix(mix(t.opts.Seed) ^ uint64(t.draws)), 0, 0})
		if err != nil {
			return 0, fmt.Errorf("xla: bringing a batch to the device: %w", err)
		}
		own, arguments = append(own, a), append(arguments, a)
	}
	results, err := t.run(p, append(arguments, t.sums...))
	if err != nil {
		t.broken = err
		return 0, fmt.Errorf("xla: computing gradients: %w", err)
	}
	freeAll(t.running, t.sums)
	s := len(t.statistics)
	t.running, t.sums = results[1:1+s], results[1+s:]
	loss, err := download(results[0], 1)
	results[0].free()
	if err != nil {
		t.broken = err
		return 0, fmt.Errorf("xla: computing gradients: %w", err)
	}
	t.calls++
	t.draws++
	return loss[0], nil
}

// mix is the finaliser of SplitMix64 (Steele, Lea & Flood 2014): close numbers become unlike keys.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// random tells whether something draws.
func (t *trainer) random() bool {
	for _, op := range t.p.Ops {
		if d, ok := op.Do.(*program.Dropout); ok && d.Ratio > 0 {
			return true
		}
	}
	return false
}

// check compares a batch with the ports.
func (t *trainer) check(b models.Batch) (kind, error) {
	wrong := func(format string, args ...any) (kind, error) {
		return kind{}, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf(format, args...)}
	}
	lengths := func(what string, ports []models.Port, have [][]float32, some bool) (mask uint64, err error) {
		if len(have) != len(ports) {
			_, err = wrong("expected %d %s, got %d", len(ports), what, len(have))
			return 0, err
		}
		for i, p := range ports {
			if some && have[i] == nil {
				continue
			}
			if len(have[i]) != p.Len() {
				_, err = wrong("%s: %q %v needs %d values, got %d", what, p.Name, p.Shape, p.Len(), len(have[i]))
				return 0, err
			}
			mask |= 1 << min(i, 63)
		}
		return mask, nil
	}
	var k kind
	if _, err := lengths("inputs", t.inputs, b.Inputs, false); err != nil {
		return k, err
	}
	if _, err := lengths("targets", t.targets, b.Targets, false); err != nil {
		return k, err
	}
	var err error
	if b.Weights != nil {
		if k.weights, err = lengths("weights", t.targets, b.Weights, true); err != nil {
			return k, err
		}
	}
	if k.mixed = b.Mixed != nil; k.mixed {
		if _, err := lengths("mixed targets", t.targets, b.Mixed, false); err != nil {
			return k, err
		}
	}
	if b.MixedWeights != nil {
		if !k.mixed {
			return wrong("there are weights of mixed targets, but none of these")
		}
		if k.mixedWeights, err = lengths("weights of mixed targets", t.targets, b.MixedWeights, true); err != nil {
			return k, err
		}
	}
	return k, nil
}

func (t *trainer) Update(ctx context.Context, rate float64) (float64, error) {
	if err := t.ready(ctx); err != nil {
		return 0, err
	}
	if t.calls == 0 {
		return 0, &models.Error{Code: models.CodeUnsupported, Detail: "an update without gradients", Remedy: "call Gradients first"}
	}
	if t.update == nil {
		p, err := t.compileUpdate()
		if err != nil {
			return 0, err
		}
		t.update = p
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	a, n := t.opts.AdamW, float64(t.steps+1)
	settings := []float32{
		settingShare: float32(1 / float64(t.calls)),
		settingKeep:  float32(1 - rate*a.WeightDecay),
		settingStep:  float32(rate / (1 - math.Pow(a.Beta1, n))),
		settingRoot:  float32(math.Sqrt(1 - math.Pow(a.Beta2, n))),
	}
	s, err := t.upload(settings, []int{len(settings)}, false)
	if err != nil {
		return 0, fmt.Errorf("xla: bringing the learning rate to the device: %w", err)
	}
	defer s.free()
	results, err := t.run(t.update, slices.Concat([]array{s}, t.weights, t.first, t.second, t.sums))
	if err != nil {
		t.broken = err
		return 0, fmt.Errorf("xla: updating weights: %w", err)
	}
	freeAll(t.weights, t.first, t.second, t.sums)
	k := len(t.parameters)
	t.weights, t.first, t.second, t.sums = results[1:1+k], results[1+k:1+2*k], results[1+2*k:1+3*k], results[1+3*k:]
	norm, err := download(results[0], 1)
	results[0].free()
	if err != nil {
		t.broken = err
		return 0, fmt.Errorf("xla: updating weights: %w", err)
	}
	t.calls = 0
	t.steps++
	return float64(norm[0]), nil
}

func (t *trainer) Infer(ctx context.Context, inputs, outputs [][]float32) error {
	if err := models.CheckBuffers(t, inputs, outputs); err != nil {
		return err
	}
	if err := t.ready(ctx); err != nil {
		return err
	}
	if t.inferring == nil {
		p, err := t.inference()
		if err != nil {
			return err
		}
		t.inferring = p
	}
	if err := t.infer(t.inferring, inputs, outputs); err != nil {
		return fmt.Errorf("xla: inference: %w", err)
	}
	return ctx.Err()
}

func (t *trainer) GradientOf(name string) ([]float32, error) {
	if err := t.ready(context.Background()); err != nil {
		return nil, err
	}
	for k, i := range t.parameters {
		v := &t.p.Values[i]
		if v.Name != name {
			continue
		}
		g, err := download(t.sums[k], v.Len())
		if err != nil {
			return nil, fmt.Errorf("xla: gradient of %s: %w", name, err)
		}
		for j := range g {
			g[j] /= float32(max(t.calls, 1))
		}
		return g, nil
	}
	return nil, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("%q is no parameter of the model", name)}
}

func (t *trainer) State() (models.State, error) {
	if err := t.ready(context.Background()); err != nil {
		return models.State{}, err
	}
	s := models.State{Steps: t.steps, Draws: t.draws, Weights: map[string][]float32{}, First: map[string][]float32{}, Second: map[string][]float32{}}
	for _, part := range t.parts(&s) {
		for k, i := range part.indices {
			v := &t.p.Values[i]
			values, err := download((*part.arrays)[k], v.Len())
			if err != nil {
				return models.State{}, fmt.Errorf("xla: copying %s from the device: %w", v.Name, err)
			}
			part.values[v.Name] = values
		}
	}
	return s, nil
}

// part is a list of a trainer's tensors and where a state has them.
type part struct {
	name    string
	indices []int
	arrays  *[]array
	values  map[string][]float32
}

func (t *trainer) parts(s *models.State) []part {
	return []part{{"weights", t.parameters, &t.weights, s.Weights}, {"weights", t.statistics, &t.running, s.Weights},
		{"first moments", t.parameters, &t.first, s.First}, {"second moments", t.parameters, &t.second, s.Second}}
}

func (t *trainer) SetState(s models.State) error {
	if t.closed {
		return errClosed()
	}
	if s.Steps < 0 || s.Draws < 0 {
		return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the state counts %d updates and %d batches", s.Steps, s.Draws)}
	}
	parts := t.parts(&s)
	known := map[string]int{}
	for _, part := range parts { // all is checked before anything is changed
		known[part.name] += len(part.indices)
		for _, i := range part.indices {
			v := &t.p.Values[i]
			if have, ok := part.values[v.Name]; !ok || len(have) != v.Len() {
				return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the state's %s have %d values for %s, the model has %d", part.name, len(have), v.Name, v.Len()),
					Remedy: "take the state of a training of this model"}
			}
		}
	}
	for _, part := range parts {
		if len(part.values) != known[part.name] {
			return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the state's %s have %d tensors, the model has %d", part.name, len(part.values), known[part.name]),
				Remedy: "take the state of a training of this model"}
		}
	}
	fresh := make([][]array, len(parts)+1)
	fill := func(k, i int, values []float32) error {
		a, err := t.upload(values, t.p.Values[i].Shape, false)
		if err != nil {
			freeAll(fresh...)
			return fmt.Errorf("xla: putting %s on the device: %w", t.p.Values[i].Name, err)
		}
		fresh[k] = append(fresh[k], a)
		return nil
	}
	for k, part := range parts {
		for _, i := range part.indices {
			if err := fill(k, i, part.values[t.p.Values[i].Name]); err != nil {
				return err
			}
		}
	}
	for _, i := range t.parameters {
		if err := fill(len(parts), i, make([]float32, t.p.Values[i].Len())); err != nil {
			return err
		}
	}
	for k, part := range parts {
		freeAll(*part.arrays)
		*part.arrays = fresh[k]
	}
	freeAll(t.sums)
	t.sums = fresh[len(parts)]
	t.steps, t.draws, t.calls, t.broken = s.Steps, s.Draws, 0, nil
	return nil
}

func (t *trainer) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	for _, p := range t.gradients {
		p.Finalize()
	}
	for _, p := range []*backend.Program{t.update, t.inferring} {
		if p != nil {
			p.Finalize()
		}
	}
	t.free()
	freeAll(t.sums, t.first, t.second)
	return nil
}
