package xla

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/program"
	"github.com/cspine/cspine/models/xla/backend"
	"github.com/cspine/cspine/models/xla/pjrt"
)

// read compiles an ONNX file to a program. The error is a *models.Error.
func read(file []byte, shapes [][]int, training bool) (*program.Program, error) {
	return models.Program(file, &program.Options{InputShapes: shapes, Training: training})
}

// array is a tensor on each device.
type array []*pjrt.Buffer

func (a array) free() {
	for _, b := range a {
		_ = b.Destroy() // it fails only where the device has failed
	}
}

func freeAll(lists ...[]array) {
	for _, l := range lists {
		for _, a := range l {
			a.free()
		}
	}
}

// model is a program whose weights lie on devices.
type model struct {
	engine  *Engine
	p       *program.Program
	devices int
	compute dtypes.DType

	parameters, statistics, constants []int // indices into p.Values; constants are those too large to stand in a program's text
	weights, running, fixed           []array
}

// inText is how many elements a constant may have to be written into a program.
const inText = 64

func newModel(e *Engine, p *program.Program, precision models.Precision, devices int) (*model, error) {
	m := &model{engine: e, p: p, devices: devices, compute: dtypes.Float32}
	if precision == models.BF16 {
		m.compute = dtypes.BFloat16
	}
	for i := range p.Values {
		v := &p.Values[i]
		var list *[]int
		var arrays *[]array
		switch {
		case v.Role == program.Parameter:
			list, arrays = &m.parameters, &m.weights
		case v.Role == program.Statistic:
			list, arrays = &m.statistics, &m.running
		case v.Role == program.Constant && len(v.Data) > inText:
			list, arrays = &m.constants, &m.fixed
		default:
			continue
		}
		a, err := m.upload(v.Data, v.Shape, false)
		if err != nil {
			m.free()
			return nil, fmt.Errorf("xla: putting %s on the device: %w", v.Name, err)
		}
		*list, *arrays = append(*list, i), append(*arrays, a)
	}
	return m, nil
}

func (m *model) free() { freeAll(m.weights, m.running, m.fixed) }

// upload copies a tensor to all devices, or a share of its first axis to each.
func (m *model) upload(values []float32, shape []int, split bool) (array, error) {
	a := make(array, m.devices)
	for d := range a {
		part, s := values, shape
		if split && m.devices > 1 {
			n := len(values) / m.devices
			part, s = values[d*n:(d+1)*n], slices.Clone(shape)
			s[0] /= m.devices
		}
		b, err := pjrt.Upload(m.engine.client, d, pjrt.F32, part, s)
		if err != nil {
			a.free()
			return nil, err
		}
		a[d] = b
	}
	return a, nil
}

// state uploads the generator's state.
func (m *model) state(words [3]uint64) (array, error) {
	a := make(array, m.devices)
	for d := range a {
		b, err := pjrt.Upload(m.engine.client, d, pjrt.U64, words[:], []int{3})
		if err != nil {
			a.free()
			return nil, err
		}
		a[d] = b
	}
	return a, nil
}

// download copies a tensor from the first device.
func download(a array, n int) ([]float32, error) {
	values := make([]float32, n)
	return values, pjrt.Download(a[0], values)
}

// run runs a program on arguments and returns its results.
func (m *model) run(p *backend.Program, arguments []array) ([]array, error) {
	lists := make([][]*pjrt.Buffer, m.devices)
	for d := range lists {
		for _, a := range arguments {
			lists[d] = append(lists[d], a[d])
		}
	}
	results, err := p.Run(lists)
	if err != nil {
		return nil, err
	}
	all := make([]array, len(results[0]))
	for i := range all {
		for d := range results {
			all[i] = append(all[i], results[d][i])
		}
	}
	return all, nil
}

// Names of a graph's arguments begin with one of these.
const (
	given    = "v" // parameters, constants, and what is used up: statistics and sums of gradients
	batch    = "x" // inputs, targets and element weights, which are split over the devices
	consumed = "d"
	setting  = "s"
)

// begin begins a graph, and names the program's values in it: those on the device, and the inputs.
func (m *model) begin(name string, train bool) (b *build, values map[int]*Node, back *backend.Backend) {
	back = backend.New(m.engine.client, m.graphOptions())
	b = &build{g: NewGraph(back, name), p: m.p, taps: m.engine.form == Taps, host: m.engine.host(), compute: m.compute, train: train}
	values = map[int]*Node{}
	for k, list := range [][]int{m.parameters, m.statistics, m.constants, m.p.Inputs} {
		kind := given
		switch {
		case k == 1 && train:
			kind = consumed
		case k == 3:
			kind = batch
		}
		for _, i := range list {
			values[i] = parameter(b.g, fmt.Sprint(kind, i), dtypes.Float32, m.p.Values[i].Shape...)
		}
	}
	return b, values, back
}

func (m *model) graphOptions() backend.Options {
	return backend.Options{Devices: m.devices, Flags: m.engine.flags(),
		Donate: func(name string) bool { return strings.HasPrefix(name, consumed) },
		Split:  func(name string) bool { return strings.HasPrefix(name, batch) }}
}

// flags are XLA's options for programs. GPUs are held to algorithms that give equal bits each time.
func (e *Engine) flags() map[string]any {
	if e.host() {
		return nil
	}
	return map[string]any{"xla_gpu_deterministic_ops": true}
}

// inference compiles the program that computes the outputs.
func (m *model) inference() (p *backend.Program, err error) {
	var b *build
	defer func() { err = b.refuse(recover(), err) }()
	b, values, back := m.begin("infer", false)
	b.forward(values)
	outputs := make([]*Node, len(m.p.Outputs))
	for k, o := range m.p.Outputs {
		outputs[k] = Identity(f32(b.order(b.values[o])))
	}
	b.g.Compile(outputs...)
	return back.Program(), nil
}

// infer runs that program.
func (m *model) infer(p *backend.Program, inputs, outputs [][]float32) error {
	arguments := slices.Concat(m.weights, m.running, m.fixed)
	own := len(arguments)
	defer func() { freeAll(arguments[own:]) }()
	for k, i := range m.p.Inputs {
		a, err := m.upload(inputs[k], m.p.Values[i].Shape, true)
		if err != nil {
			return err
		}
		arguments = append(arguments, a)
	}
	results, err := m.run(p, arguments)
	if err != nil {
		return err
	}
	defer freeAll(results)
	for k, out := range outputs {
		if err := pjrt.Download(results[k][0], out); err != nil {
			return err
		}
	}
	return nil
}

func (m *model) ports(list []int) []models.Port {
	all := make([]models.Port, len(list))
	for k, i := range list {
		all[k] = models.Port{Name: m.p.Values[i].Name, Shape: m.p.Values[i].Shape}
	}
	return all
}
