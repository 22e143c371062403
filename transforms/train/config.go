package train

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms/augment"
)

// Config says how to train. Default returns one to start from; the zero value is refused by Check. Durations are in updates
// of the optimiser unless they say epochs.
type Config struct {
	// Batch is the number of volumes that go through the network together; Accumulate is how many batches an update takes.
	Batch      int
	Accumulate int
	Epochs     int
	// Steps bounds an epoch's updates. 0 means as many as its samples give; those that are too few for an update are left out.
	Steps int
	// Size is the length of each side of the volume, where the model's file leaves it open.
	Size int
	// Precision is "f32" or "bf16". bf16 has float32's range: it needs no loss scaling.
	Precision string
	// Seed decides everything that is random.
	Seed uint64
	// Mixup is the probability that a batch is mixed with itself in another order (Zhang et al., arXiv 1710.09412), by a share
	// that is uniform in [0, 1).
	Mixup float64
	// ClipNorm bounds the gradient's norm. 0 means no bound.
	ClipNorm float64
	// Patience is the number of epochs without a better mean dice after which training stops. 0 means never.
	Patience int

	Augment    AugmentConfig
	Optimizer  OptimizerConfig
	Schedule   ScheduleConfig
	Loss       LossConfig
	Average    AverageConfig
	Validate   ValidateConfig
	Checkpoint CheckpointConfig
}

// AugmentConfig says how volumes are changed each time they are learned from.
type AugmentConfig struct {
	// Preset is what Options are taken from where a file says no more: "recommended", "method" or "none".
	Preset string
	augment.Options
}

// Presets of augmentation.
var presets = map[string]func() augment.Options{
	"recommended": augment.Recommended,
	"method":      augment.Method,
	"none":        func() augment.Options { return augment.Options{} },
}

// UsePreset takes the options of the preset.
func (a *AugmentConfig) UsePreset() error {
	preset, ok := presets[a.Preset]
	if !ok {
		return fmt.Errorf("train: Augment.Preset is %q, it must be %q, %q or %q", a.Preset, "recommended", "method", "none")
	}
	a.Options = preset()
	return nil
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

// LossConfig says what is made small.
type LossConfig struct {
	// Kind is "dice", or "bce+dice".
	Kind string
	// BCE and Dice are the shares of the two in "bce+dice".
	BCE  float64
	Dice float64
	// Smooth is dice's.
	Smooth float64
	// PerLevel takes dice of each level by itself and then their mean. The method's dice, over all levels at once, leaves
	// levels empty that are hard to tell apart at first.
	PerLevel bool
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

// Default returns the settings for the small network on a CPU.
func Default() Config {
	return Config{Batch: 2, Accumulate: 1, Epochs: 60, Size: 128, Precision: string(models.F32), Seed: 1, Mixup: 0.1, ClipNorm: 1,
		Augment:    AugmentConfig{Preset: "recommended", Options: augment.Recommended()},
		Optimizer:  OptimizerConfig{Rate: 3e-3, WeightDecay: 1e-2, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
		Schedule:   ScheduleConfig{Kind: Cosine, MinRate: 3e-5, Warmup: 50, RestartEpochs: 50, RestartFactor: 1},
		Loss:       LossConfig{Kind: "bce+dice", BCE: 0.5, Dice: 0.5, Smooth: 1, PerLevel: true},
		Average:    AverageConfig{Every: 1},
		Validate:   ValidateConfig{Every: 1},
		Checkpoint: CheckpointConfig{Minutes: 5}}
}

// Check says which setting can't be.
func (c Config) Check() error {
	for _, s := range []struct {
		name  string
		value float64
		ok    bool
		want  string
	}{
		{"Batch", float64(c.Batch), c.Batch >= 1 && c.Batch <= 1<<10, "from 1 to 1024"},
		{"Accumulate", float64(c.Accumulate), c.Accumulate >= 1 && c.Accumulate <= 1<<10, "from 1 to 1024"},
		{"Epochs", float64(c.Epochs), c.Epochs >= 1 && c.Epochs <= 1<<20, "at least 1"},
		{"Steps", float64(c.Steps), c.Steps >= 0, "at least 0"},
		{"Size", float64(c.Size), c.Size >= 1 && c.Size <= 1<<10, "from 1 to 1024"},
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
		{"Loss.BCE", c.Loss.BCE, c.Loss.BCE >= 0, "at least 0"},
		{"Loss.Dice", c.Loss.Dice, c.Loss.Dice >= 0 && c.Loss.BCE+c.Loss.Dice > 0, "at least 0, and one of bce and dice above"},
		{"Loss.Smooth", c.Loss.Smooth, c.Loss.Smooth > 0, "above 0"},
		{"Average.Decay", c.Average.Decay, c.Average.Decay >= 0 && c.Average.Decay < 1, "from 0 to below 1"},
		{"Average.Every", float64(c.Average.Every), c.Average.Every >= 1, "at least 1"},
		{"Validate.Every", float64(c.Validate.Every), c.Validate.Every >= 1, "at least 1"},
		{"Checkpoint.Steps", float64(c.Checkpoint.Steps), c.Checkpoint.Steps >= 0, "at least 0"},
		{"Checkpoint.Minutes", c.Checkpoint.Minutes, c.Checkpoint.Minutes >= 0, "at least 0"},
	} {
		if !s.ok || math.IsInf(s.value, 0) {
			return fmt.Errorf("train: %s is %g, it must be %s", s.name, s.value, s.want)
		}
	}
	for _, s := range []struct {
		name, value string
		words       [2]string
	}{
		{"Precision", c.Precision, [2]string{string(models.F32), string(models.BF16)}},
		{"Schedule.Kind", c.Schedule.Kind, [2]string{Cosine, Restarts}},
		{"Loss.Kind", c.Loss.Kind, [2]string{"dice", "bce+dice"}},
	} {
		if s.value != s.words[0] && s.value != s.words[1] {
			return fmt.Errorf("train: %s is %q, it must be %q or %q", s.name, s.value, s.words[0], s.words[1])
		}
	}
	return c.Augment.Check()
}

// Digest names what a result depends on: all settings but how often checkpoints are saved.
func (c Config) Digest() (artifacts.Digest, error) {
	c.Checkpoint, c.Augment.Preset = CheckpointConfig{}, ""
	return artifacts.DigestOfJSON(c)
}

// schedule returns the learning rates for epochs of that many updates.
func (c Config) schedule(steps int) schedule {
	s := schedule{base: c.Optimizer.Rate, floor: c.Schedule.MinRate, warmup: int64(c.Schedule.Warmup)}
	if c.Schedule.Kind == Restarts {
		s.restarts, s.factor = true, int64(c.Schedule.RestartFactor)
		s.span = int64(c.Schedule.RestartEpochs) * int64(steps)
		return s
	}
	s.span = max(1, int64(c.Epochs)*int64(steps)-s.warmup)
	return s
}

func (c Config) adamW() models.AdamW {
	o := c.Optimizer
	return models.AdamW{Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Epsilon, WeightDecay: o.WeightDecay, ClipNorm: c.ClipNorm}
}

// loss returns the terms for a model's output of probabilities: dice, or dice and BCE, weighted.
func (c Config) loss(output string) models.Loss {
	dice := models.LossTerm{Output: output, Kind: models.Dice, Weight: 1, Smooth: float32(c.Loss.Smooth)}
	if c.Loss.PerLevel {
		dice.Kind = models.DicePerChannel
	}
	if c.Loss.Kind == "dice" {
		return models.Loss{Terms: []models.LossTerm{dice}}
	}
	dice.Weight = float32(c.Loss.Dice)
	return models.Loss{Terms: []models.LossTerm{dice, {Output: output, Kind: models.BCE, Weight: float32(c.Loss.BCE)}}}
}

// mixing says how a batch is mixed with itself: volume i by lambda, volume order[i] by the rest. A nil order means not at all.
type mixing struct {
	lambda float32
	order  []int
}

// mix draws the mixing of a batch, by how many came before it.
func (c Config) mix(draws int64) mixing {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(draws)))
	if rng.Float64() >= c.Mixup {
		return mixing{}
	}
	return mixing{lambda: rng.Float32(), order: rng.Perm(c.Batch)}
}
