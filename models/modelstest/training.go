package modelstest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cspine/cspine/models"
)

// RunTraining runs the suite of models.TrainingEngine: outputs, loss, every gradient and the running statistics of a small
// network around each operator and for each loss, whole networks followed through updates, and the promises of models.Trainer.
// It doesn't repeat Run, which an engine must pass too.
func RunTraining(t *testing.T, e models.TrainingEngine) {
	s := trainingSuite{e}
	followed := cases(t, "course_", "net_")
	for _, name := range cases(t) {
		if !slices.Contains(followed, name) {
			t.Run(name, func(t *testing.T) { s.step(t, load(t, name)) })
		}
	}
	// An engine that compiles for long keeps the last programs. So what trains one network follows on each other, and those come last with which the
	// promises begin.
	last := []string{"net_slices", small}
	for _, name := range append(slices.DeleteFunc(followed, func(name string) bool { return slices.Contains(last, name) }), last...) {
		t.Run(name, func(t *testing.T) { s.step(t, load(t, name)) })
		t.Run(name+" followed", func(t *testing.T) { s.course(t, load(t, name)) })
	}
	s.promises(t)
}

type trainingSuite struct{ engine models.TrainingEngine }

func (s trainingSuite) trainer(t *testing.T, c *stored, opts models.TrainingOptions) models.Trainer {
	t.Helper()
	tr, err := s.engine.CompileTraining(t.Context(), c.model, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// step compares one call of Gradients, and inference before and after it.
func (s trainingSuite) step(t *testing.T, c *stored) {
	tr := s.trainer(t, c, c.options())
	b := c.Batches[0].batch()
	infer := func(kind string) {
		t.Helper()
		if len(c.keys(kind)) == 0 {
			return
		}
		out := buffers(tr.Outputs())
		if err := tr.Infer(t.Context(), b.Inputs, out); err != nil {
			t.Fatal(err)
		}
		for k := range out {
			c.compare(t, fmt.Sprintf("%s%d", kind, k), out[k])
		}
	}
	infer("eval")
	if c.answers["loss"] == nil {
		return // random, or beyond what PyTorch computes well: promises sees to it
	}
	loss, err := tr.Gradients(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	c.compare(t, "loss", []float32{loss})
	for _, name := range c.keys("grad.") {
		g, err := tr.GradientOf(name)
		if err != nil {
			t.Errorf("gradient of %s: %v", name, err)
			continue
		}
		c.compare(t, "grad."+name, g)
	}
	state, err := tr.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.keys("stat.") {
		c.compare(t, "stat."+name, state.Weights[name])
	}
	if parameters := c.keys("grad."); len(state.Weights) != len(parameters)+len(c.keys("stat.")) {
		t.Errorf("the state has %d tensors, want %d parameters and %d statistics", len(state.Weights), len(parameters), len(c.keys("stat.")))
	}
	infer("after")
}

// course follows PyTorch through a sequence of updates. Losses stay within 1 %: errors of rounding grow from update to update, in
// PyTorch too. Where weights are stored the network is one in which they hardly grow, and the weights must agree to some
// steps of float32.
func (s trainingSuite) course(t *testing.T, c *stored) {
	tr := s.trainer(t, c, c.options())
	batches := make([]models.Batch, len(c.Batches))
	for k := range batches {
		batches[k] = c.Batches[k].batch()
	}
	losses, norms := c.answers["course.loss"], c.answers["course.norm"]
	rates := 0.0
	for k, u := range c.Course.Updates {
		for _, b := range u.Batches {
			loss, err := tr.Gradients(t.Context(), batches[b])
			if err != nil {
				t.Fatal(err)
			}
			if e := math.Abs(float64(loss/losses[0]) - 1); !(e <= .01) {
				t.Errorf("update %d: loss is %g, PyTorch's %g", k, loss, losses[0])
			}
			losses = losses[1:]
		}
		norm, err := tr.Update(t.Context(), u.Rate)
		if err != nil {
			t.Fatal(err)
		}
		if norms != nil {
			if e := math.Abs(norm/float64(norms[k]) - 1); !(e <= 1e-4) {
				t.Errorf("update %d: the gradients' norm is %g, PyTorch's %g", k, norm, norms[k])
			}
		}
		rates += u.Rate
	}
	state, err := tr.State()
	if err != nil {
		t.Fatal(err)
	}
	if state.Steps != int64(len(c.Course.Updates)) {
		t.Errorf("the state counts %d updates, want %d", state.Steps, len(c.Course.Updates))
	}
	for _, part := range []struct {
		kind string
		have map[string][]float32
	}{{"weight", state.Weights}, {"first", state.First}, {"second", state.Second}} {
		for _, name := range c.keys("course." + part.kind + ".") {
			got, want := part.have[name], c.answers["course."+part.kind+"."+name]
			if len(got) != len(want) {
				t.Errorf("%s of %s has %d values, want %d", part.kind, name, len(got), len(want))
				continue
			}
			top := 0.0
			for _, w := range want {
				top = max(top, math.Abs(float64(w)))
			}
			// A weight: some rounding errors of its own and 1e-4 of the way it went. A moment: as its gradient.
			limit := 2 * exact * top
			if part.kind == "weight" {
				limit = 4e-7*top + 1e-4*rates
			}
			if at := worst(got, want); !(math.Abs(float64(got[at])-float64(want[at])) <= limit) {
				t.Errorf("%s of %s: value %d is %g, PyTorch's %g, allowed is %.2g", part.kind, name, at, got[at], want[at], limit)
			}
		}
	}
}
