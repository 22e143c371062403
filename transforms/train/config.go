package train

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/models"
)

// Config says how to train. Default returns one to start from; the zero value is refused by Check. Durations are in updates
// of the optimiser unless they say epochs.
type Config struct {
	// Batch is the number of volumes that go through the network together; Accumulate is how many batches an update takes.
	Batch      int `toml:"batch" json:"batch"`
	Accumulate int `toml:"accumulate" json:"accumulate"`
	Epochs     int `toml:"epochs" json:"epochs"`
	// Steps bounds an epoch's updates. 0 means as many as its samples give; those that are too few for an update are left out.
	Steps int `toml:"steps" json:"steps"`
	// Size is the length of each side of the volume, where the model's file leaves it open.
	Size int `toml:"size" json:"size"`
	// Precision is "f32" or "bf16". bf16 has float32's range: it needs no loss scaling.
	Precision string `toml:"precision" json:"precision"`
	// Seed decides everything that is random.
	Seed uint64 `toml:"seed" json:"seed"`
	// Mixup is the probability that a batch is mixed with itself in another order (Zhang et al., arXiv 1710.09412), by a share
	// that is uniform in [0, 1).
	Mixup float64 `toml:"mixup" json:"mixup"`
	// ClipNorm bounds the gradient's norm. 0 means no bound.
	ClipNorm float64 `toml:"clip_norm" json:"clip_norm"`
	// Patience is the number of epochs without a better mean dice after which training stops. 0 means never.
	Patience int `toml:"patience" json:"patience"`

	Optimizer  OptimizerConfig  `toml:"optimizer" json:"optimizer"`
	Schedule   ScheduleConfig   `toml:"schedule" json:"schedule"`
	Loss       LossConfig       `toml:"loss" json:"loss"`
	Average    AverageConfig    `toml:"average" json:"average"`
	Validate   ValidateConfig   `toml:"validate" json:"validate"`
	Checkpoint CheckpointConfig `toml:"checkpoint" json:"checkpoint"`
}

// OptimizerConfig are AdamW's settings. See models.AdamW.
type OptimizerConfig struct {
	Rate        float64 `toml:"rate" json:"rate"` // the highest learning rate
	WeightDecay float64 `toml:"weight_decay" json:"weight_decay"`
	Beta1       float64 `toml:"beta1" json:"beta1"`
	Beta2       float64 `toml:"beta2" json:"beta2"`
	Epsilon     float64 `toml:"epsilon" json:"epsilon"`
}

// ScheduleConfig says how the learning rate changes. See schedule.rate.
type ScheduleConfig struct {
	// Kind is "cosine", from Rate to MinRate once, or "restarts", which begins anew.
	Kind    string  `toml:"kind" json:"kind"`
	MinRate float64 `toml:"min_rate" json:"min_rate"`
	// Warmup is the number of updates in which the rate rises from near zero.
	Warmup int `toml:"warmup" json:"warmup"`
	// RestartEpochs is the length of the first cycle, and RestartFactor how many times as long each next one is.
	RestartEpochs int `toml:"restart_epochs" json:"restart_epochs"`
	RestartFactor int `toml:"restart_factor" json:"restart_factor"`
}

// LossConfig says what is made small.
type LossConfig struct {
	// Kind is "dice", or "bce+dice".
	Kind string `toml:"kind" json:"kind"`
	// BCE and Dice are the shares of the two in "bce+dice".
	BCE  float64 `toml:"bce" json:"bce"`
	Dice float64 `toml:"dice" json:"dice"`
	// Smooth is dice's.
	Smooth float64 `toml:"smooth" json:"smooth"`
}

// AverageConfig says whether an average of the weights is measured and exported in place of them.
type AverageConfig struct {
	// Decay is the share of the average that stays each time; 0 means no average.
	Decay float64 `toml:"decay" json:"decay"`
	// Every is the number of updates from one time to the next.
	Every int `toml:"every" json:"every"`
}

// ValidateConfig says when held-out studies are measured: every so many epochs, and at the end.
type ValidateConfig struct {
	Every int `toml:"every" json:"every"`
}

// CheckpointConfig says when checkpoints are saved besides at the end of each epoch. 0 means not by this measure. It changes no result.
type CheckpointConfig struct {
	Steps   int     `toml:"steps" json:"steps"`
	Minutes float64 `toml:"minutes" json:"minutes"`
}

// Default returns the settings for the small network on a CPU.
func Default() Config {
	return Config{Batch: 2, Accumulate: 1, Epochs: 60, Size: 128, Precision: string(models.F32), Seed: 1, Mixup: 0.1, ClipNorm: 1,
		Optimizer:  OptimizerConfig{Rate: 3e-3, WeightDecay: 1e-2, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
		Schedule:   ScheduleConfig{Kind: Cosine, MinRate: 3e-5, Warmup: 50, RestartEpochs: 50, RestartFactor: 1},
		Loss:       LossConfig{Kind: "bce+dice", BCE: 0.5, Dice: 0.5, Smooth: 1},
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
		{"batch", float64(c.Batch), c.Batch >= 1 && c.Batch <= 1<<10, "from 1 to 1024"},
		{"accumulate", float64(c.Accumulate), c.Accumulate >= 1 && c.Accumulate <= 1<<10, "from 1 to 1024"},
		{"epochs", float64(c.Epochs), c.Epochs >= 1 && c.Epochs <= 1<<20, "at least 1"},
		{"steps", float64(c.Steps), c.Steps >= 0, "at least 0"},
		{"size", float64(c.Size), c.Size >= 1 && c.Size <= 1<<10, "from 1 to 1024"},
		{"mixup", c.Mixup, c.Mixup >= 0 && c.Mixup <= 1, "from 0 to 1"},
		{"clip_norm", c.ClipNorm, c.ClipNorm >= 0, "at least 0"},
		{"patience", float64(c.Patience), c.Patience >= 0, "at least 0"},
		{"optimizer.rate", c.Optimizer.Rate, c.Optimizer.Rate > 0, "above 0"},
		{"optimizer.weight_decay", c.Optimizer.WeightDecay, c.Optimizer.WeightDecay >= 0, "at least 0"},
		{"optimizer.beta1", c.Optimizer.Beta1, c.Optimizer.Beta1 > 0 && c.Optimizer.Beta1 < 1, "between 0 and 1"},
		{"optimizer.beta2", c.Optimizer.Beta2, c.Optimizer.Beta2 > 0 && c.Optimizer.Beta2 < 1, "between 0 and 1"},
		{"optimizer.epsilon", c.Optimizer.Epsilon, c.Optimizer.Epsilon > 0, "above 0"},
		{"schedule.min_rate", c.Schedule.MinRate, c.Schedule.MinRate >= 0 && c.Schedule.MinRate <= c.Optimizer.Rate, "from 0 to optimizer.rate"},
		{"schedule.warmup", float64(c.Schedule.Warmup), c.Schedule.Warmup >= 0, "at least 0"},
		{"schedule.restart_epochs", float64(c.Schedule.RestartEpochs), c.Schedule.RestartEpochs >= 1, "at least 1"},
		{"schedule.restart_factor", float64(c.Schedule.RestartFactor), c.Schedule.RestartFactor >= 1, "at least 1"},
		{"loss.bce", c.Loss.BCE, c.Loss.BCE >= 0, "at least 0"},
		{"loss.dice", c.Loss.Dice, c.Loss.Dice >= 0 && c.Loss.BCE+c.Loss.Dice > 0, "at least 0, and one of bce and dice above"},
		{"loss.smooth", c.Loss.Smooth, c.Loss.Smooth > 0, "above 0"},
		{"average.decay", c.Average.Decay, c.Average.Decay >= 0 && c.Average.Decay < 1, "from 0 to below 1"},
		{"average.every", float64(c.Average.Every), c.Average.Every >= 1, "at least 1"},
		{"validate.every", float64(c.Validate.Every), c.Validate.Every >= 1, "at least 1"},
		{"checkpoint.steps", float64(c.Checkpoint.Steps), c.Checkpoint.Steps >= 0, "at least 0"},
		{"checkpoint.minutes", c.Checkpoint.Minutes, c.Checkpoint.Minutes >= 0, "at least 0"},
	} {
		if !s.ok || math.IsInf(s.value, 0) {
			return fmt.Errorf("train: %s is %g, it must be %s", s.name, s.value, s.want)
		}
	}
	for _, s := range []struct {
		name, value string
		words       [2]string
	}{
		{"precision", c.Precision, [2]string{string(models.F32), string(models.BF16)}},
		{"schedule.kind", c.Schedule.Kind, [2]string{Cosine, Restarts}},
		{"loss.kind", c.Loss.Kind, [2]string{"dice", "bce+dice"}},
	} {
		if s.value != s.words[0] && s.value != s.words[1] {
			return fmt.Errorf("train: %s is %q, it must be %q or %q", s.name, s.value, s.words[0], s.words[1])
		}
	}
	return nil
}

// Digest names what a result depends on: all settings but how often checkpoints are saved.
func (c Config) Digest() (artifacts.Digest, error) {
	c.Checkpoint = CheckpointConfig{}
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

// loss returns the terms for a model's output of probabilities: the method's dice, or the mean of it and BCE, weighted.
func (c Config) loss(output string) models.Loss {
	dice := models.LossTerm{Output: output, Kind: models.Dice, Weight: 1, Smooth: float32(c.Loss.Smooth)}
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
