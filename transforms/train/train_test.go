package train

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/models"
)

// testConfig is small, and uses everything that a checkpoint must keep.
func testConfig() SegmenterConfig {
	c := DefaultSegmenter()
	c.Batch, c.Accumulate, c.Epochs, c.Size = 2, 2, 4, side
	c.Optimizer.Rate, c.Schedule.Warmup, c.Mixup = 0.05, 3, 0.5
	c.Average = AverageConfig{Decay: 0.9, Every: 2}
	c.Checkpoint = CheckpointConfig{Steps: 2}
	return c
}

// segmenterJob is all that Run is given.
type segmenterJob struct {
	Job
	Matter[Sample]
}

func (j segmenterJob) run(ctx context.Context) (Result, error) { return Run(ctx, j.Job, j.Matter) }

func testJob(c SegmenterConfig) segmenterJob {
	return segmenterJob{Job{Model: tiny, Engine: voxelEngine{}, Loop: c.Loop},
		Matter[Sample]{Segmenter(c), phantoms{n: 21, seed: 1, augment: true}, phantoms{n: 5, seed: 100}}}
}

// kept is what a store would hold: checkpoints that no later change of the run's memory can reach.
type kept struct{ last, best *Checkpoint }

func (k *kept) save(_ context.Context, c *Checkpoint, best bool) error {
	c = &Checkpoint{State: c.State, Average: c.Average, Progress: c.Progress.clone()}
	k.last = c
	if best {
		k.best = c
	}
	return nil
}

func TestTrainingLearns(t *testing.T) {
	c := testConfig()
	c.Epochs = 40
	r, err := testJob(c).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, last := r.Progress.History[0], r.Progress.History[len(r.Progress.History)-1]
	if !(last.Loss < first.Loss/1.2) {
		t.Errorf("the loss went from %g to %g", first.Loss, last.Loss)
	}
	if last.Validation == nil || last.Validation.Studies != 5 || last.Updates != 40*5 {
		t.Errorf("last epoch: %+v", last)
	}
}

// equalWeights compares bit by bit.
func equalWeights(t *testing.T, want, got map[string][]float32) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })); diff != "" {
		t.Errorf("weights differ:\n%s", diff)
	}
}

// withoutClock removes what the clock says from a history.
func withoutClock(history []Epoch) []Epoch {
	out := append([]Epoch(nil), history...)
	for i := range out {
		out[i].Seconds, out[i].Time = 0, 0
	}
	return out
}

// A run that dies at any batch and goes on from what was saved ends where an undisturbed one does: weights and all that is told of it.
func TestAResumedRunEndsWithTheSameWeights(t *testing.T) {
	for name, change := range map[string]func(*SegmenterConfig){
		"averaged weights": func(*SegmenterConfig) {},
		"raw weights":      func(c *SegmenterConfig) { c.Average.Decay = 0 },
		"restarts": func(c *SegmenterConfig) {
			c.Schedule.Kind, c.Schedule.RestartEpochs, c.Schedule.RestartFactor = Restarts, 1, 2
		},
		"patience":        func(c *SegmenterConfig) { c.Patience, c.Optimizer.Rate = 1, 1e-4 },
		"rare validation": func(c *SegmenterConfig) { c.Validate.Every = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig()
			change(&c)
			want, err := testJob(c).run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, every := range []int64{1, 7, 13} {
				got, deaths := dieOften(t, c, every)
				equalWeights(t, want.Weights, got.Weights)
				if diff := cmp.Diff(withoutClock(want.Progress.History), withoutClock(got.Progress.History)); diff != "" {
					t.Errorf("after %d deaths the history differs:\n%s", deaths, diff)
				}
			}
		})
	}
}

// dieOften runs a training that dies after each so many batches that none before it got to.
func dieOften(t *testing.T, c SegmenterConfig, every int64) (Result, int) {
	t.Helper()
	death := errors.New("killed")
	var store kept
	for deaths := range 1000 {
		job := testJob(c)
		job.Resume = store.last
		if store.last != nil && store.last.Progress.BestEpoch > 0 {
			job.Best = store.best
		}
		job.Hooks.Save = store.save
		limit := int64(deaths+1)*every + 3
		job.Engine = voxelEngine{gradients: func(n int64) error {
			if n > limit {
				return death
			}
			return nil
		}}
		r, err := job.run(t.Context())
		if err == nil {
			return r, deaths
		}
		if !errors.Is(err, death) {
			t.Fatal(err)
		}
	}
	t.Fatal("it makes no headway")
	return Result{}, 0
}

// A cancelled run stops between updates, saves, and loses nothing.
func TestAnInterruptedRunSavesAndGoesOn(t *testing.T) {
	c := testConfig()
	c.Checkpoint = CheckpointConfig{}
	want, err := testJob(c).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for stop := int64(1); stop < 20; stop += 2 {
		var store kept
		job := testJob(c)
		job.Hooks.Save = store.save
		ctx, cancel := context.WithCancel(t.Context())
		job.Hooks.Step = func(s StepInfo) {
			if s.Updates == stop {
				cancel()
			}
		}
		_, err := job.run(ctx)
		if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted at %d: %v", stop, err)
		}
		if store.last.Progress.Updates != stop {
			t.Errorf("interrupted at %d, saved at %d", stop, store.last.Progress.Updates)
		}
		job = testJob(c)
		job.Resume, job.Best = store.last, store.best
		got, err := job.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		equalWeights(t, want.Weights, got.Weights)
	}
}

func TestSeedAndOnlySeedChangesTheCourse(t *testing.T) {
	run := func(c SegmenterConfig) Result {
		r, err := testJob(c).run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	c := testConfig()
	c.Epochs = 1
	first := run(c)
	equalWeights(t, first.Weights, run(c).Weights)
	c.Checkpoint = CheckpointConfig{Steps: 1, Minutes: 1e-9}
	equalWeights(t, first.Weights, run(c).Weights)
	c.Seed++
	if cmp.Equal(first.Weights, run(c).Weights) {
		t.Error("another seed gives the same weights")
	}
}

func TestBestEpochIsTheResult(t *testing.T) {
	c := testConfig()
	c.Average.Decay, c.Epochs = 0, 6
	var store kept
	job := testJob(c)
	job.Hooks.Save = store.save
	r, err := job.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	best := 0
	for i, e := range r.Progress.History {
		if b := r.Progress.History[best].Validation; e.Validation.Mean > b.Mean || e.Validation.Mean == b.Mean && e.Validation.Loss < b.Loss {
			best = i
		}
	}
	if r.Progress.BestEpoch != best+1 || !r.Progress.History[best].Best {
		t.Errorf("best epoch %d, want %d", r.Progress.BestEpoch, best+1)
	}
	equalWeights(t, store.best.State.Weights, r.Weights)
	if store.best.Progress.Epoch != best+1 {
		t.Errorf("the best checkpoint is of epoch %d", store.best.Progress.Epoch)
	}
}

func TestWithoutHeldOutStudiesTheLastEpochIsTheResult(t *testing.T) {
	c := testConfig()
	c.Average.Decay = 0
	var store kept
	job := testJob(c)
	job.Valid, job.Hooks.Save = nil, store.save
	r, err := job.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equalWeights(t, store.last.State.Weights, r.Weights)
	if r.Progress.BestEpoch != 0 || store.best != nil {
		t.Errorf("best epoch %d", r.Progress.BestEpoch)
	}
}

func TestPatienceEndsTraining(t *testing.T) {
	c := testConfig()
	c.Epochs, c.Patience, c.Optimizer.Rate, c.Schedule.MinRate, c.Optimizer.WeightDecay = 50, 3, 1e-30, 0, 0
	r, err := testJob(c).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(r.Progress.History); got != r.Progress.BestEpoch+3 {
		t.Errorf("%d epochs, the best was %d", got, r.Progress.BestEpoch)
	}
}

func TestAnEpochsUpdates(t *testing.T) {
	for _, k := range []struct{ samples, batch, accumulate, limit, want int }{
		{21, 2, 2, 0, 5}, {21, 2, 1, 0, 10}, {21, 2, 1, 4, 4}, {4, 2, 2, 9, 1},
	} {
		c := testConfig()
		c.Batch, c.Accumulate, c.Steps, c.Epochs = k.batch, k.accumulate, k.limit, 1
		job := testJob(c)
		job.Train = phantoms{n: k.samples}
		r, err := job.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Progress.Updates != int64(k.want) || r.Progress.Draws != int64(k.want*k.accumulate) {
			t.Errorf("%+v: %d updates of %d batches", k, r.Progress.Updates, r.Progress.Draws)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, k := range map[string]struct {
		change func(*segmenterJob)
		code   string
	}{
		"no model":        {func(j *segmenterJob) { j.Model = []byte("nothing") }, models.CodeNotONNX},
		"too few studies": {func(j *segmenterJob) { j.Train = phantoms{n: 3} }, CodeSamples},
		"wrong size":      {func(j *segmenterJob) { j.Train = cubes{phantoms{n: 9}} }, CodeSamples},
		"no finite loss":  {func(j *segmenterJob) { j.Engine = voxelEngine{infinite: 5} }, CodeDiverged},
		"another training": {func(j *segmenterJob) {
			j.Resume = &Checkpoint{Average: map[string][]float32{}, Progress: Progress{Samples: 9, Steps: 5}}
		}, CodeResume},
		"the best is missing": {func(j *segmenterJob) {
			j.Resume = &Checkpoint{Average: map[string][]float32{}, Progress: Progress{Samples: 21, Steps: 5, Epoch: 2, BestEpoch: 1}}
		}, CodeResume},
	} {
		t.Run(name, func(t *testing.T) {
			job := testJob(testConfig())
			k.change(&job)
			_, err := job.run(t.Context())
			var e *models.Error
			if !errors.As(err, &e) || e.Code != k.code {
				t.Errorf("%v, want code %s", err, k.code)
			}
		})
	}
}

// A step whose loss is not finite leaves no checkpoint behind.
func TestNoCheckpointOfABrokenStep(t *testing.T) {
	c := testConfig()
	c.Checkpoint.Steps = 1
	var store kept
	job := testJob(c)
	job.Engine = voxelEngine{infinite: 7} // in update 4
	job.Hooks.Save = store.save
	if _, err := job.run(t.Context()); err == nil || !strings.Contains(err.Error(), "step 4") {
		t.Fatal(err)
	}
	if store.last.Progress.Updates != 3 {
		t.Errorf("saved at %d", store.last.Progress.Updates)
	}
}

// cubes are phantoms that lack a slice.
type cubes struct{ phantoms }

func (c cubes) Epoch(ctx context.Context, epoch, skip int) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for s, err := range c.phantoms.Epoch(ctx, epoch, skip) {
			s.Shape[2]--
			if !yield(s, err) {
				return
			}
		}
	}
}

// references is what PyTorch says; see testdata/make_references.py.
type references struct {
	Schedules []struct {
		Base, Floor  float64
		Warmup, Span int64
		Restarts     bool
		Factor       int64
		Rates        []float64
	}
	Labels        []int
	Probabilities []float32
	Dice          [Levels]float64
	DiceLoss      float64 `json:"dice_loss"`
	BCEDiceLoss   float64 `json:"bce_dice_loss"`
	PerLevelLoss  float64 `json:"per_level_loss"`
}

func readReferences(t *testing.T) (r references) {
	t.Helper()
	file, err := os.ReadFile("testdata/references.json")
	if err == nil {
		err = json.Unmarshal(file, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSchedulesFollowPyTorch(t *testing.T) {
	for i, k := range readReferences(t).Schedules {
		s := schedule{base: k.Base, floor: k.Floor, warmup: k.Warmup, span: k.Span, restarts: k.Restarts, factor: k.Factor}
		for step, want := range k.Rates {
			if got := s.rate(int64(step)); math.Abs(got-want) > 1e-12 {
				t.Errorf("schedule %d, step %d: %g, want %g", i, step, got, want)
			}
		}
	}
}

func TestScheduleOfAConfiguration(t *testing.T) {
	c := DefaultSegmenter()
	c.Epochs, c.Schedule.Warmup = 10, 5
	s := c.schedule(20)
	if got := s.rate(199); !(got > c.Schedule.MinRate && got < c.Schedule.MinRate*1.1) {
		t.Errorf("the last of 200 updates has the rate %g", got)
	}
	if got := s.rate(5); got != c.Optimizer.Rate {
		t.Errorf("after the warm-up the rate is %g", got)
	}
	c.Schedule.Kind, c.Schedule.RestartEpochs, c.Schedule.Warmup = Restarts, 2, 0
	if s := c.schedule(20); s.rate(40) != c.Optimizer.Rate || s.rate(39) > c.Optimizer.Rate/10 {
		t.Errorf("no restart after two epochs: %g, %g", s.rate(39), s.rate(40))
	}
}

func TestDiceAndLossFollowTheMethod(t *testing.T) {
	ref := readReferences(t)
	labels := make([]uint8, len(ref.Labels))
	for i, l := range ref.Labels {
		labels[i] = uint8(l)
	}
	for _, k := range []struct {
		kind     string
		perLevel bool
		want     float64
	}{{"dice", false, ref.DiceLoss}, {"bce+dice", false, ref.BCEDiceLoss}, {"bce+dice", true, ref.PerLevelLoss}} {
		c := DefaultSegmenter()
		c.Loss.Kind, c.Loss.PerLevel = k.kind, k.perLevel
		dice, loss := scores(ref.Probabilities, labels, c.loss("").Terms)
		for level, want := range ref.Dice {
			if math.Abs(dice[level]-want) > 1e-12 {
				t.Errorf("dice of level %d: %g, want %g", level+1, dice[level], want)
			}
		}
		if math.Abs(loss-k.want) > 1e-6 {
			t.Errorf("%s, by level %v: %g, want %g", k.kind, k.perLevel, loss, k.want)
		}
	}
}

func TestBatchesOfVolumes(t *testing.T) {
	a := Sample{Shape: [3]int{1, 1, 3}, Volume: []uint8{0, 51, 255}, Labels: []uint8{0, 1, 7}}
	b := Sample{Shape: [3]int{1, 1, 3}, Volume: []uint8{255, 0, 0}, Labels: []uint8{8, 2, 2}}
	room := newVolumes(2, 3, [3]int{1, 1, 3}, 2)
	plain, err := room.fill([]Sample{a, b}, Mixing{})
	if err != nil {
		t.Fatal(err)
	}
	const fifth = float32(51) / 255
	wantIn := []float32{0, fifth, 1, 0, fifth, 1, 0, fifth, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0}
	targetA := []float32{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
	targetB := []float32{0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if diff := cmp.Diff(wantIn, plain.Inputs[0]); diff != "" {
		t.Errorf("inputs:\n%s", diff)
	}
	if diff := cmp.Diff(append(append([]float32{}, targetA...), targetB...), plain.Targets[1]); diff != "" {
		t.Errorf("targets:\n%s", diff)
	}
	if plain.Mixed != nil {
		t.Error("an unmixed batch has a second target")
	}
	room = newVolumes(2, 1, [3]int{1, 1, 3}, 1)
	mixed, err := room.fill([]Sample{a, b}, Mixing{Lambda: 0.75, Order: []int{1, 0}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float32{0.25, 0.75 * fifth, 0.75, 0.75, 0.25 * fifth, 0.25}, mixed.Inputs[0]); diff != "" {
		t.Errorf("mixed inputs:\n%s", diff)
	}
	if diff := cmp.Diff(append(append([]float32{}, targetB...), targetA...), mixed.Mixed[0]); diff != "" || mixed.Lambda != 0.75 {
		t.Errorf("second targets, lambda %g:\n%s", mixed.Lambda, diff)
	}
}

func TestMixupIsDrawnByItsProbability(t *testing.T) {
	c := DefaultSegmenter()
	c.Batch, c.Mixup = 4, 0.3
	n, sum := 0, 0.0
	for i := range int64(4000) {
		if m := c.mix(i); m.Order != nil {
			n++
			sum += float64(m.Lambda)
		}
	}
	if share := float64(n) / 4000; math.Abs(share-0.3) > 0.03 {
		t.Errorf("%g of batches are mixed", share)
	}
	if mean := sum / float64(n); math.Abs(mean-0.5) > 0.04 {
		t.Errorf("lambda's mean is %g", mean)
	}
}

func TestImpossibleSettingsAreNamed(t *testing.T) {
	for want, change := range map[string]func(*SegmenterConfig){
		"Batch is 0":            func(c *SegmenterConfig) { c.Batch = 0 },
		"Mixup is 2":            func(c *SegmenterConfig) { c.Mixup = 2 },
		"Optimizer.Rate is NaN": func(c *SegmenterConfig) { c.Optimizer.Rate = math.NaN() },
		"Optimizer.Rate is +Inf": func(c *SegmenterConfig) {
			c.Optimizer.Rate = math.Inf(1)
		},
		"Schedule.MinRate is 1": func(c *SegmenterConfig) { c.Schedule.MinRate = 1 },
		`Loss.Kind is "focal"`:  func(c *SegmenterConfig) { c.Loss.Kind = "focal" },
		"FlipRows is 3":         func(c *SegmenterConfig) { c.Augment.FlipRows = 3 },
		`Precision is "f16"`:    func(c *SegmenterConfig) { c.Precision = "f16" },
	} {
		c := DefaultSegmenter()
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := DefaultSegmenter().Check(); err != nil {
		t.Error(err)
	}
}

func TestTheAverageFollowsTheWeights(t *testing.T) {
	a := average{decay: 0.99, weights: map[string][]float32{"w": {1}}}
	a.add(map[string][]float32{"w": {3}}, 1) // decay (1+1)/(10+1)
	if want := float32(1 + 2*(1-2.0/11)); math.Abs(float64(a.weights["w"][0]-want)) > 1e-6 {
		t.Errorf("%g, want %g", a.weights["w"][0], want)
	}
	for n := range int64(5000) {
		a.add(map[string][]float32{"w": {3}}, n+2)
	}
	if got := a.weights["w"][0]; math.Abs(float64(got)-3) > 1e-4 {
		t.Errorf("it ends at %g", got)
	}
}
