package modelstest

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/cspine/cspine/models"
)

// promises checks what models.Trainer promises besides numbers.
func (s trainingSuite) promises(t *testing.T) {
	// Those that train one network and no other come first, and while they do an engine may keep what it compiled for it.
	t.Run("equal runs give equal bits, side by side too", s.equalRuns)
	t.Run("inference leaves gradients alone", s.inferBetween)
	t.Run("one thread", s.oneThread)
	t.Run("refuses batches", s.refusesBatches)
	t.Run("refuses names and states", s.refusesStates)
	t.Run("honours contexts", s.contexts)
	t.Run("training goes on from a state as if it had not stopped", s.resumes)
	t.Run("states are copies", s.copies)
	t.Run("close", s.close)
	t.Run("other input shapes than the file's", s.shapes)
	t.Run("bf16", s.bf16)
	for _, name := range cases(t, "dropout") {
		t.Run(name+" drops its share", func(t *testing.T) { s.dropout(t, load(t, name)) })
	}
	t.Run("extreme probabilities give finite losses and gradients", s.extremes)
	t.Run("a term whose weights are all 0 adds nothing", s.nothingCounts)
	t.Run("refuses files", s.refusesFiles)
	t.Run("refuses options", s.refusesOptions)
}

// small is a network with convolutions, normalisations, pools and skips.
const small = "net_unet"

func gradients(t *testing.T, tr models.Trainer, b models.Batch) float32 {
	t.Helper()
	loss, err := tr.Gradients(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return loss
}

func update(t *testing.T, tr models.Trainer) {
	t.Helper()
	if _, err := tr.Update(t.Context(), 1e-3); err != nil {
		t.Fatal(err)
	}
}

func gradientOf(t *testing.T, tr models.Trainer, name string) []float32 {
	t.Helper()
	g, err := tr.GradientOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func stateOf(t *testing.T, tr models.Trainer) models.State {
	t.Helper()
	state, err := tr.State()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// dropout reads the masks off the gradients: the case has a weight of 1 for every element and inputs of 1, so that an
// element that is dropped has a gradient of 0, and one that is kept s/(N·k), where k is the share kept and s the sigmoid of 1/k.
func (s trainingSuite) dropout(t *testing.T, c *stored) {
	const ratio, parameters = .3, 2
	opts := c.options()
	b := c.Batches[0].batch()
	names := []string{"a", "b"}
	masks := func(tr models.Trainer) [parameters][]bool {
		gradients(t, tr, b)
		var all [parameters][]bool
		for k, name := range names {
			g := gradientOf(t, tr, name)
			kept := 1 / (1 - ratio)
			want := kept / (1 + math.Exp(-kept)) / float64(len(g))
			for _, v := range g {
				if e := math.Abs(float64(v)/want - 1); v != 0 && e > 1e-5 {
					t.Fatalf("a kept element's gradient is %g, want %g", v, want)
				}
				all[k] = append(all[k], v != 0)
			}
		}
		update0(t, tr)
		return all
	}
	same := func(a, b []bool) float64 {
		n := 0
		for i := range a {
			if a[i] == b[i] {
				n++
			}
		}
		return float64(n) / float64(len(a))
	}
	// independent fails where two masks agree more or less often than independent ones: five standard deviations.
	independent := func(what string, a, b []bool) {
		t.Helper()
		want := ratio*ratio + (1-ratio)*(1-ratio)
		if got := same(a, b); math.Abs(got-want) > 5*math.Sqrt(want*(1-want)/float64(len(a))) {
			t.Errorf("%s agree in %.3f of their elements, want about %.3f", what, got, want)
		}
	}
	tr := s.trainer(t, c, opts)
	first := masks(tr)
	state := stateOf(t, tr)
	second := masks(tr)
	for k, m := range first {
		share := 0.0
		for _, kept := range m {
			if !kept {
				share += 1 / float64(len(m))
			}
		}
		if math.Abs(share-ratio) > 5*math.Sqrt(ratio*(1-ratio)/float64(len(m))) {
			t.Errorf("Dropout %d drops %.3f, want about %g", k, share, ratio)
		}
		independent("two draws", m, second[k])
		independent("neighbours", m[1:], m[:len(m)-1])
		independent("channels", m[len(m)/2:], m[:len(m)/2])
	}
	independent("two Dropouts of a network", first[0], first[1])

	again := s.trainer(t, c, opts)
	if got := masks(again); same(got[0], first[0]) != 1 || same(got[1], first[1]) != 1 {
		t.Error("the same seed and draw drop other elements")
	}
	resumed := s.trainer(t, c, opts)
	if err := resumed.SetState(state); err != nil {
		t.Fatal(err)
	}
	if got := masks(resumed); same(got[0], second[0]) != 1 || same(got[1], second[1]) != 1 {
		t.Error("after SetState other elements are dropped than before")
	}
	opts.Seed++
	independent("two seeds", masks(s.trainer(t, c, opts))[0], first[0])
}

// update0 takes a step that changes no weight.
func update0(t *testing.T, tr models.Trainer) {
	t.Helper()
	if _, err := tr.Update(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

func (s trainingSuite) extremes(t *testing.T) {
	c := load(t, "loss_bce_extreme")
	tr := s.trainer(t, c, c.options())
	loss := gradients(t, tr, c.Batches[0].batch())
	// Logits lie within ±100, so that no logarithm exceeds the bound.
	if !(loss > 0 && loss <= 100) {
		t.Errorf("the loss is %g", loss)
	}
	for _, v := range gradientOf(t, tr, "w") {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			t.Errorf("a gradient is %g", v)
		}
	}
}

// nothingCounts: a batch of unknown labels alone must not make gradients of NaN.
func (s trainingSuite) nothingCounts(t *testing.T) {
	for _, name := range []string{"loss_logits_masked", "loss_bce_positive_soft_weighted", "loss_bce_softmax_weighted"} {
		c := load(t, name)
		tr := s.trainer(t, c, c.options())
		b := c.Batches[0].batch()
		b.Weights = make([][]float32, len(b.Targets))
		for i, target := range b.Targets {
			b.Weights[i] = make([]float32, len(target))
		}
		if loss := gradients(t, tr, b); loss != 0 {
			t.Errorf("%s: the loss is %g", name, loss)
		}
		for _, weight := range c.keys("grad.") {
			for _, g := range gradientOf(t, tr, weight) {
				if g != 0 {
					t.Fatalf("%s: the gradient of %s has %g", name, weight, g)
				}
			}
		}
	}
}

// train takes the steps from..to over the case's batches in turn.
func train(t *testing.T, tr models.Trainer, batches []models.Batch, from, to int) []float32 {
	t.Helper()
	var losses []float32
	for k := from; k < to; k++ {
		losses = append(losses, gradients(t, tr, batches[k%len(batches)]))
		update(t, tr)
	}
	return losses
}

func (c *stored) batches() []models.Batch {
	all := make([]models.Batch, len(c.Batches))
	for k := range all {
		all[k] = c.Batches[k].batch()
	}
	return all
}

// sameBits reports whether two states are equal in every bit.
func sameBits(a, b models.State) bool {
	equal := func(x, y map[string][]float32) bool {
		return maps.EqualFunc(x, y, func(v, w []float32) bool {
			return slices.EqualFunc(v, w, func(p, q float32) bool { return math.Float32bits(p) == math.Float32bits(q) })
		})
	}
	return a.Steps == b.Steps && a.Draws == b.Draws && equal(a.Weights, b.Weights) && equal(a.First, b.First) && equal(a.Second, b.Second)
}

func (s trainingSuite) equalRuns(t *testing.T) {
	c := load(t, small)
	batches := c.batches()
	alone := s.trainer(t, c, c.options())
	losses := train(t, alone, batches, 0, 3)
	want := stateOf(t, alone)
	var trainers [2]models.Trainer
	for k := range trainers {
		trainers[k] = s.trainer(t, c, c.options())
	}
	var wg sync.WaitGroup
	for _, tr := range trainers {
		wg.Go(func() {
			for k := range losses {
				loss, err := tr.Gradients(t.Context(), batches[k%len(batches)])
				if err != nil || loss != losses[k] {
					t.Errorf("step %d: loss is %g, %v; alone it was %g", k, loss, err, losses[k])
				}
				if _, err := tr.Update(t.Context(), 1e-3); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, tr := range trainers {
		if !sameBits(stateOf(t, tr), want) {
			t.Error("the weights differ from those of a run alone")
		}
	}
}

func (s trainingSuite) resumes(t *testing.T) {
	for _, name := range []string{small, "net_slices", "course_clipped"} {
		c := load(t, name)
		batches := c.batches()
		tr := s.trainer(t, c, c.options())
		train(t, tr, batches, 0, 2)
		middle := stateOf(t, tr)
		losses := train(t, tr, batches, 2, 5)
		end := stateOf(t, tr)

		other := s.trainer(t, c, c.options())
		train(t, other, batches, 0, 1)  // a trainer that has gone elsewhere
		gradients(t, other, batches[0]) // and has gradients waiting, which are no part of a state
		for k, back := range []models.Trainer{other, tr} {
			if err := back.SetState(middle); err != nil {
				t.Fatal(err)
			}
			if !sameBits(stateOf(t, back), middle) {
				t.Errorf("%s: State is not what SetState was given", name)
			}
			if got := train(t, back, batches, 2, 5); !slices.Equal(got, losses) || !sameBits(stateOf(t, back), end) {
				t.Errorf("%s: %s went on otherwise: losses %v, want %v", name, []string{"another trainer", "the same trainer"}[k], got, losses)
			}
		}
	}
}

func (s trainingSuite) copies(t *testing.T) {
	c := load(t, "course_clipped")
	tr := s.trainer(t, c, c.options())
	train(t, tr, c.batches(), 0, 1)
	state := stateOf(t, tr)
	spoil := func() {
		for _, m := range []map[string][]float32{state.Weights, state.First, state.Second} {
			for _, v := range m {
				clear(v)
			}
		}
	}
	kept := stateOf(t, tr)
	spoil()
	if !sameBits(stateOf(t, tr), kept) {
		t.Error("changing a state changes the trainer")
	}
	state = stateOf(t, tr)
	if err := tr.SetState(state); err != nil {
		t.Fatal(err)
	}
	spoil()
	if !sameBits(stateOf(t, tr), kept) {
		t.Error("SetState keeps what it was given")
	}
	train(t, tr, c.batches(), 1, 2)
	if slices.Equal(stateOf(t, tr).Weights["0.weight"], kept.Weights["0.weight"]) {
		t.Error("a step changed a state that was taken before it, or nothing")
	}
}

func (s trainingSuite) inferBetween(t *testing.T) {
	c := load(t, small)
	b := c.Batches[0].batch()
	tr := s.trainer(t, c, c.options())
	gradients(t, tr, b)
	before := gradientOf(t, tr, "head.weight")
	state := stateOf(t, tr)
	if err := tr.Infer(t.Context(), c.Batches[1].batch().Inputs, buffers(tr.Outputs())); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gradientOf(t, tr, "head.weight"), before) || !sameBits(stateOf(t, tr), state) {
		t.Error("Infer changed gradients or statistics")
	}
	update(t, tr)
	plain := s.trainer(t, c, c.options())
	gradients(t, plain, b)
	update(t, plain)
	if !sameBits(stateOf(t, tr), stateOf(t, plain)) {
		t.Error("Infer between Gradients and Update changes the step")
	}
}

func (s trainingSuite) shapes(t *testing.T) {
	c := load(t, small)
	opts := c.options()
	opts.InputShapes = [][]int{{1, 1, 24, 16, 32}}
	tr := s.trainer(t, c, opts)
	want := []int{1, 3, 24, 16, 32}
	if !slices.Equal(tr.Inputs()[0].Shape, opts.InputShapes[0]) || !slices.Equal(tr.Outputs()[0].Shape, want) {
		t.Fatalf("ports are %v and %v, want %v and %v", tr.Inputs(), tr.Outputs(), opts.InputShapes, want)
	}
	in := filling{Shape: opts.InputShapes[0], Kind: "scene", Stream: 9, Classes: 3, Scale: 1}
	target := filling{Shape: want, Kind: "balls", Stream: 9, Scale: 1}
	b := models.Batch{Inputs: [][]float32{in.values()}, Targets: [][]float32{target.values(), target.values()}}
	first := gradients(t, tr, b)
	update(t, tr)
	for range 8 {
		gradients(t, tr, b)
		update(t, tr)
	}
	if last := gradients(t, tr, b); !(last < first) {
		t.Errorf("nine steps took the loss from %g to %g", first, last)
	}
	opts.InputShapes = nil // the file's
	if tr := s.trainer(t, c, opts); !slices.Equal(tr.Inputs()[0].Shape, c.Batches[0].Inputs[0].Shape) {
		t.Errorf("without shapes the port is %v, want the file's %v", tr.Inputs(), c.Batches[0].Inputs[0].Shape)
	}
}

func (s trainingSuite) oneThread(t *testing.T) {
	c := load(t, small)
	opts := c.options()
	opts.Threads = 1
	tr := s.trainer(t, c, opts)
	c.compare(t, "loss", []float32{gradients(t, tr, c.Batches[0].batch())})
	for _, name := range c.keys("grad.") {
		c.compare(t, "grad."+name, gradientOf(t, tr, name))
	}
}

// bf16 asks no more of an engine that has it than that the first loss stays within 1 % and all gradients together point within 8° of
// PyTorch's float32 ones: bfloat16 keeps eight bits.
func (s trainingSuite) bf16(t *testing.T) {
	c := load(t, small)
	opts := c.options()
	opts.Precision = models.BF16
	tr, err := s.engine.CompileTraining(t.Context(), c.model, opts)
	var refused *models.Error
	if errors.As(err, &refused) && refused.Code == models.CodePrecision {
		t.Skip("the engine trains in float32 only")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close() }()
	loss, want := gradients(t, tr, c.Batches[0].batch()), c.answers["loss"][0]
	if e := math.Abs(float64(loss/want) - 1); !(e <= .01) {
		t.Errorf("loss is %g, want %g", loss, want)
	}
	dot, a, b := 0.0, 0.0, 0.0
	for _, name := range c.keys("grad.") {
		g := gradientOf(t, tr, name)
		for i, w := range c.answers["grad."+name] {
			dot += float64(g[i]) * float64(w)
			a += float64(g[i]) * float64(g[i])
			b += float64(w) * float64(w)
		}
	}
	if cosine := dot / math.Sqrt(a*b); !(cosine >= .99) {
		t.Errorf("the cosine of gradients and PyTorch's is %.4f", cosine)
	}
}

func (s trainingSuite) contexts(t *testing.T) {
	c := load(t, small)
	b := c.Batches[0].batch()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if tr, err := s.engine.CompileTraining(over, c.model, c.options()); !errors.Is(err, context.Canceled) || tr != nil {
		t.Errorf("compiling: got %v, %v", tr, err)
	}
	tr := s.trainer(t, c, c.options())
	before := stateOf(t, tr)
	if _, err := tr.Gradients(over, b); !errors.Is(err, context.Canceled) {
		t.Errorf("gradients: %v", err)
	}
	if err := tr.Infer(over, b.Inputs, buffers(tr.Outputs())); !errors.Is(err, context.Canceled) {
		t.Errorf("inferring: %v", err)
	}
	if _, err := tr.Update(over, 1e-3); !errors.Is(err, context.Canceled) {
		t.Errorf("updating: %v", err)
	}
	if !sameBits(stateOf(t, tr), before) {
		t.Error("calls whose context had ended changed the state")
	}
	c.compare(t, "loss", []float32{gradients(t, tr, b)})
}

func (s trainingSuite) close(t *testing.T) {
	c := load(t, "course_clipped")
	tr := s.trainer(t, c, c.options())
	b := c.Batches[0].batch()
	gradients(t, tr, b)
	state, out := stateOf(t, tr), buffers(tr.Outputs())
	for range 2 {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := tr.Gradients(t.Context(), b)
	wantCode(t, "gradients", models.CodeClosed, err)
	_, err = tr.Update(t.Context(), 1e-3)
	wantCode(t, "update", models.CodeClosed, err)
	wantCode(t, "infer", models.CodeClosed, tr.Infer(t.Context(), b.Inputs, out))
	_, err = tr.GradientOf("0.weight")
	wantCode(t, "gradient of a weight", models.CodeClosed, err)
	_, err = tr.State()
	wantCode(t, "state", models.CodeClosed, err)
	wantCode(t, "set state", models.CodeClosed, tr.SetState(state))
}
