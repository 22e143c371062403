package train

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/cspine/cspine/models"
)

// Loop are the settings that both stages have. The zero value is refused by Check. Durations are in updates of the optimiser unless they say epochs.
type Loop struct {
	// Batch is the number of samples that go through the network together; Accumulate is how many batches an update takes.
	Batch      int
	Accumulate int
	Epochs     int
	// Steps bounds an epoch's updates. 0 means as many as its samples give; those that are too few for an update are left out.
	Steps int
	// Precision is "f32" or "bf16". bf16 has float32's range: it needs no loss scaling.
	Precision string
	// Seed decides everything that is random.
	Seed uint64
	// Mixup is the probability that a batch is mixed with itself in another order (Zhang et al., arXiv 1710.09412), by a share
	// that is uniform in [0, 1).
	Mixup float64
	// ClipNorm bounds the gradient's norm. 0 means no bound.
	ClipNorm float64
	// Patience is the number of epochs without a better validation after which training stops. 0 means never.
	Patience int

	Optimizer  OptimizerConfig
	Schedule   ScheduleConfig
	Average    AverageConfig
	Validate   ValidateConfig
	Checkpoint CheckpointConfig
}

// usualLoop is what both stages' defaults have in common. What it leaves out is theirs.
func usualLoop() Loop {
	return Loop{Accumulate: 1, Precision: string(models.F32), Seed: 1, ClipNorm: 1,
		Optimizer:  OptimizerConfig{WeightDecay: 1e-2, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
		Schedule:   ScheduleConfig{Kind: Cosine, Warmup: 50, RestartEpochs: 50, RestartFactor: 1},
		Average:    AverageConfig{Every: 1},
		Validate:   ValidateConfig{Every: 1},
		Checkpoint: CheckpointConfig{Minutes: 5}}
}

// OptimizerConfig are AdamW's settings. See models.AdamW.
type OptimizerConfig struct {
	Rate        float64 // the highest learning rate
	WeightDecay float64
	Beta1       float64
	Beta2       float64
	Epsilon     float64
}

// ScheduleConfig says how the learning rate changes. See schedule.rate.
type ScheduleConfig struct {
	// Kind is "cosine", from Rate to MinRate once, or "restarts", which begins anew.
	Kind    string
	MinRate float64
	// Warmup is the number of updates in which the rate rises from near zero.
	Warmup int
	// RestartEpochs is the length of the first cycle, and RestartFactor how many times as long each next one is.
	RestartEpochs int
	RestartFactor int
}

// AverageConfig says whether an average of the weights is measured and exported in place of them.
type AverageConfig struct {
	// Decay is the share of the average that stays each time; 0 means no average.
	Decay float64
	// Every is the number of updates from one time to the next.
	Every int
}

// ValidateConfig says when held-out studies are measured: every so many epochs, and at the end.
type ValidateConfig struct {
	Every int
}

// CheckpointConfig says when checkpoints are saved besides at the end of each epoch. 0 means not by this measure. It changes no result.
type CheckpointConfig struct {
	Steps   int
	Minutes float64
}

// Check says which setting can't be.
func (c Loop) Check() error {
	for _, s := range []setting{
		{"Batch", float64(c.Batch), c.Batch >= 1 && c.Batch <= 1<<10, "from 1 to 1024"},
		{"Accumulate", float64(c.Accumulate), c.Accumulate >= 1 && c.Accumulate <= 1<<10, "from 1 to 1024"},
		{"Epochs", float64(c.Epochs), c.Epochs >= 1 && c.Epochs <= 1<<20, "at least 1"},
		{"Steps", float64(c.Steps), c.Steps >= 0, "at least 0"},
		{"Mixup", c.Mixup, c.Mixup >= 0 && c.Mixup <= 1, "from 0 to 1"},
		{"ClipNorm", c.ClipNorm, c.ClipNorm >= 0, "at least 0"},
		{"Patience", float64(c.Patience), c.Patience >= 0, "at least 0"},
		{"Optimizer.Rate", c.Optimizer.Rate, c.Optimizer.Rate > 0, "above 0"},
		{"Optimizer.WeightDecay", c.Optimizer.WeightDecay, c.Optimizer.WeightDecay >= 0, "at least 0"},
		{"Optimizer.Beta1", c.Optimizer.Beta1, c.Optimizer.Beta1 > 0 && c.Optimizer.Beta1 < 1, "between 0 and 1"},
		{"Optimizer.Beta2", c.Optimizer.Beta2, c.Optimizer.Beta2 > 0 && c.Optimizer.Beta2 < 1, "between 0 and 1"},
		{"Optimizer.Epsilon", c.Optimizer.Epsilon, c.Optimizer.Epsilon > 0, "above 0"},
		{"Schedule.MinRate", c.Schedule.MinRate, c.Schedule.MinRate >= 0 && c.Schedule.MinRate <= c.Optimizer.Rate, "from 0 to Optimizer.Rate"},
		{"Schedule.Warmup", float64(c.Schedule.Warmup), c.Schedule.Warmup >= 0, "at least 0"},
		{"Schedule.RestartEpochs", float64(c.Schedule.RestartEpochs), c.Schedule.RestartEpochs >= 1, "at least 1"},
		{"Schedule.RestartFactor", float64(c.Schedule.RestartFactor), c.Schedule.RestartFactor >= 1, "at least 1"},
		{"Average.Decay", c.Average.Decay, c.Average.Decay >= 0 && c.Average.Decay < 1, "from 0 to below 1"},
		{"Average.Every", float64(c.Average.Every), c.Average.Every >= 1, "at least 1"},
		{"Validate.Every", float64(c.Validate.Every), c.Validate.Every >= 1, "at least 1"},
		{"Checkpoint.Steps", float64(c.Checkpoint.Steps), c.Checkpoint.Steps >= 0, "at least 0"},
		{"Checkpoint.Minutes", c.Checkpoint.Minutes, c.Checkpoint.Minutes >= 0, "at least 0"},
	} {
		if err := s.check(); err != nil {
			return err
		}
	}
	if err := oneOf("Precision", c.Precision, string(models.F32), string(models.BF16)); err != nil {
		return err
	}
	return oneOf("Schedule.Kind", c.Schedule.Kind, Cosine, Restarts)
}

// setting is a number that a configuration sets, and whether it can be that.
type setting struct {
	name  string
	value float64
	ok    bool
	want  string
}

func (s setting) check() error {
	if !s.ok || math.IsInf(s.value, 0) {
		return fmt.Errorf("train: %s is %g, it must be %s", s.name, s.value, s.want)
	}
	return nil
}

// oneOf refuses what is neither of two words.
func oneOf(name, value, a, b string) error {
	if value != a && value != b {
		return fmt.Errorf("train: %s is %q, it must be %q or %q", name, value, a, b)
	}
	return nil
}

// usePreset sets options to those of a preset.
func usePreset[O any](o *O, presets map[string]func() O, name string) error {
	preset, ok := presets[name]
	if !ok {
		return fmt.Errorf("train: Augment.Preset is %q, it must be %q, %q or %q", name, "recommended", "method", "none")
	}
	*o = preset()
	return nil
}

// settings are a stage's, as a task gives them.
type settings interface {
	Check() error
	setSeed(seed uint64)
}

func (c *Loop) setSeed(seed uint64) { c.Seed = seed }

// configure reads the task's configuration over the default settings in c, and checks them.
func (t Task) configure(c settings) error {
	if err := json.Unmarshal([]byte(t.Config), c); err != nil {
		return fmt.Errorf("train: the task's configuration: %w", err)
	}
	c.setSeed(uint64(t.Seed))
	return c.Check()
}

// schedule returns the learning rates for epochs of that many updates.
func (c Loop) schedule(steps int) schedule {
	s := schedule{base: c.Optimizer.Rate, floor: c.Schedule.MinRate, warmup: int64(c.Schedule.Warmup)}
	if c.Schedule.Kind == Restarts {
		s.restarts, s.factor = true, int64(c.Schedule.RestartFactor)
		s.span = int64(c.Schedule.RestartEpochs) * int64(steps)
		return s
	}
	s.span = max(1, int64(c.Epochs)*int64(steps)-s.warmup)
	return s
}

func (c Loop) adamW() models.AdamW {
	o := c.Optimizer
	return models.AdamW{Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Epsilon, WeightDecay: o.WeightDecay, ClipNorm: c.ClipNorm}
}

// mix draws the mixing of a batch, by how many came before it.
func (c Loop) mix(draws int64) Mixing {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(draws)))
	if rng.Float64() >= c.Mixup {
		return Mixing{}
	}
	return Mixing{Lambda: rng.Float32(), Order: rng.Perm(c.Batch)}
}
