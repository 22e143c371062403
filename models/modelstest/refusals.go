package modelstest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cspine/cspine/models"
)

func (s trainingSuite) refusesFiles(t *testing.T) {
	c := load(t, small)
	odd := bytes.ReplaceAll(c.model, []byte("MaxPool"), []byte("MaxPoal"))
	for _, r := range []struct {
		name, code string
		model      []byte
	}{
		{"nothing", models.CodeNotONNX, nil},
		{"text", models.CodeNotONNX, []byte("<html>Not Found</html>")},
		{"half a model", models.CodeNotONNX, c.model[:len(c.model)/2]},
		{"an unknown operator", models.CodeUnsupported, odd},
	} {
		s.refused(t, r.name, r.code, r.model, c.options())
	}
}

func (s trainingSuite) refused(t *testing.T, name, code string, model []byte, opts models.TrainingOptions) {
	t.Helper()
	tr, err := s.engine.CompileTraining(t.Context(), model, opts)
	if tr != nil {
		_ = tr.Close()
	}
	wantCode(t, name, code, err)
}

func (s trainingSuite) refusesOptions(t *testing.T) {
	// A graph refuses shapes by the node at which they clash: the ports are at fault, or what the graph can do.
	const ill = models.CodePorts + " or " + models.CodeUnsupported
	c := load(t, small)
	term := models.LossTerm{Output: "out0", Kind: models.Dice, Weight: 1, Smooth: 1}
	with := func(change func(*models.LossTerm)) models.Loss {
		other := term
		change(&other)
		return models.Loss{Terms: []models.LossTerm{term, other}}
	}
	for _, r := range []struct {
		name, code string
		change     func(*models.TrainingOptions)
	}{
		{"a loss of an output that is not there", models.CodePorts, func(o *models.TrainingOptions) { o.Loss = with(func(l *models.LossTerm) { l.Output = "out9" }) }},
		{"a loss of no output", models.CodePorts, func(o *models.TrainingOptions) { o.Loss = with(func(l *models.LossTerm) { l.Output = "" }) }},
		{"no loss", models.CodePorts, func(o *models.TrainingOptions) { o.Loss = models.Loss{} }},
		{"an unknown kind of loss", models.CodeUnsupported, func(o *models.TrainingOptions) { o.Loss = with(func(l *models.LossTerm) { l.Kind = "dise" }) }},
		{"an image in place of a volume", ill, func(o *models.TrainingOptions) { o.InputShapes = [][]int{{2, 1, 16, 16}} }},
		{"no axes", models.CodePorts, func(o *models.TrainingOptions) { o.InputShapes = [][]int{{}} }},
		{"an empty axis", models.CodePorts, func(o *models.TrainingOptions) { o.InputShapes = [][]int{{0, 1, 16, 16, 16}} }},
		{"a negative axis", models.CodePorts, func(o *models.TrainingOptions) { o.InputShapes = [][]int{{2, 1, -16, 16, 16}} }},
		{"a volume of petabytes", ill, func(o *models.TrainingOptions) { o.InputShapes = [][]int{{2, 1, 1 << 16, 1 << 16, 1 << 16}} }},
		{"a volume whose size overflows", ill, func(o *models.TrainingOptions) { o.InputShapes = [][]int{{2, 1, 1 << 21, 1 << 21, 1 << 22}} }},
		{"two channels in place of one", ill, func(o *models.TrainingOptions) { o.InputShapes = [][]int{{2, 2, 16, 16, 16}} }},
		{"sides that skips do not fit", ill, func(o *models.TrainingOptions) { o.InputShapes = [][]int{{2, 1, 17, 16, 16}} }},
		{"shapes for two inputs", models.CodePorts, func(o *models.TrainingOptions) { o.InputShapes = append(o.InputShapes, o.InputShapes[0]) }},
		{"an unknown precision", models.CodePrecision, func(o *models.TrainingOptions) { o.Precision = "f3" }},
	} {
		opts := c.options()
		r.change(&opts)
		s.refused(t, r.name, r.code, c.model, opts)
	}
}

func (s trainingSuite) refusesBatches(t *testing.T) {
	c := load(t, small)
	tr := s.trainer(t, c, c.options())
	good := c.Batches[0].batch()
	in, target := good.Inputs[0], good.Targets[0]
	before := stateOf(t, tr)
	for _, r := range []struct {
		name  string
		batch models.Batch
	}{
		{"nothing", models.Batch{}},
		{"no targets", models.Batch{Inputs: good.Inputs}},
		{"a target too few", models.Batch{Inputs: good.Inputs, Targets: good.Targets[:1]}},
		{"a target too many", models.Batch{Inputs: good.Inputs, Targets: append(slices.Clone(good.Targets), target)}},
		{"a short target", models.Batch{Inputs: good.Inputs, Targets: [][]float32{target, target[1:]}}},
		{"a short input", models.Batch{Inputs: [][]float32{in[1:]}, Targets: good.Targets}},
		{"an input too many", models.Batch{Inputs: [][]float32{in, in}, Targets: good.Targets}},
		{"short weights", models.Batch{Inputs: good.Inputs, Targets: good.Targets, Weights: [][]float32{nil, target[1:]}}},
		{"weights for one term", models.Batch{Inputs: good.Inputs, Targets: good.Targets, Weights: [][]float32{nil}}},
		{"a short second target", models.Batch{Inputs: good.Inputs, Targets: good.Targets, Mixed: [][]float32{target, target[1:]}, Lambda: .5}},
		{"a second target too few", models.Batch{Inputs: good.Inputs, Targets: good.Targets, Mixed: [][]float32{target}, Lambda: .5}},
	} {
		_, err := tr.Gradients(t.Context(), r.batch)
		wantCode(t, r.name, models.CodePorts, err)
	}
	wantCode(t, "inference without outputs", models.CodePorts, tr.Infer(t.Context(), good.Inputs, nil))
	wantCode(t, "inference with a short input", models.CodePorts, tr.Infer(t.Context(), [][]float32{in[1:]}, buffers(tr.Outputs())))
	if !sameBits(stateOf(t, tr), before) {
		t.Error("a refused batch changed the state")
	}
	c.compare(t, "loss", []float32{gradients(t, tr, good)})
}

func (s trainingSuite) refusesStates(t *testing.T) {
	c := load(t, "course_clipped")
	tr := s.trainer(t, c, c.options())
	train(t, tr, c.batches(), 0, 1)
	for _, name := range []string{"", "9.weight", "in0", "out0"} {
		_, err := tr.GradientOf(name)
		wantCode(t, "gradient of "+name, models.CodePorts, err)
	}
	before := stateOf(t, tr)
	for _, r := range []struct {
		name  string
		spoil func(*models.State)
	}{
		{"a weight is missing", func(st *models.State) { delete(st.Weights, "0.weight") }},
		{"a weight is short", func(st *models.State) { st.Weights["0.weight"] = st.Weights["0.weight"][1:] }},
		{"a weight of another model", func(st *models.State) { st.Weights["9.weight"] = []float32{1} }},
		{"a moment is missing", func(st *models.State) { delete(st.First, "0.weight") }},
		{"a moment is short", func(st *models.State) { st.Second["2.bias"] = nil }},
		{"steps are negative", func(st *models.State) { st.Steps = -1 }},
		{"nothing", func(st *models.State) { *st = models.State{} }},
	} {
		state := stateOf(t, tr)
		r.spoil(&state)
		wantCode(t, r.name, models.CodePorts, tr.SetState(state))
		if !sameBits(stateOf(t, tr), before) {
			t.Fatalf("%s: the refused state changed the trainer's", r.name)
		}
	}
}
