package train

import (
	"fmt"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms/augment"
)

// ClassifierConfig says how to train a classifier. DefaultClassifier returns one to start from.
type ClassifierConfig struct {
	Loop
	Augment SlicesConfig
	Loss    FractureLoss
}

// SlicesConfig says how crops are changed each time they are learned from.
type SlicesConfig struct {
	// Preset is what Slices are taken from where a file says no more: "recommended", "method" or "none".
	Preset string
	augment.Slices
}

// slicesPresets are the presets of augmentation.
var slicesPresets = map[string]func() augment.Slices{
	"recommended": augment.RecommendedSlices,
	"method":      augment.MethodSlices,
	"none":        func() augment.Slices { return augment.Slices{} },
}

// UsePreset takes the options of the preset.
func (a *SlicesConfig) UsePreset() error {
	preset, ok := slicesPresets[a.Preset]
	if !ok {
		return noPreset(a.Preset)
	}
	a.Slices = preset()
	return nil
}

// FractureLoss is cross entropy of logits.
type FractureLoss struct {
	// PositiveWeight is how many times as much a fractured vertebra or patient counts as one that is not.
	PositiveWeight float64
	// Patient is the share in the loss of what is said of the patient; slices have the rest. Of type 2 only.
	Patient float64
}

// DefaultClassifier returns the settings for the small network on a CPU.
func DefaultClassifier() ClassifierConfig {
	return ClassifierConfig{
		Loop: Loop{Batch: 8, Accumulate: 1, Epochs: 40, Precision: string(models.F32), Seed: 1, Mixup: 0.5, ClipNorm: 1,
			Optimizer:  OptimizerConfig{Rate: 1e-3, WeightDecay: 1e-2, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
			Schedule:   ScheduleConfig{Kind: Cosine, MinRate: 1e-5, Warmup: 50, RestartEpochs: 50, RestartFactor: 1},
			Average:    AverageConfig{Every: 1},
			Validate:   ValidateConfig{Every: 1},
			Checkpoint: CheckpointConfig{Minutes: 5}},
		Augment: SlicesConfig{Preset: "recommended", Slices: augment.RecommendedSlices()},
		Loss:    FractureLoss{PositiveWeight: 2, Patient: 1. / 16}}
}

// Check says which setting can't be.
func (c ClassifierConfig) Check() error {
	if err := c.Loop.Check(); err != nil {
		return err
	}
	for _, s := range []setting{
		{"Loss.PositiveWeight", c.Loss.PositiveWeight, c.Loss.PositiveWeight > 0, "above 0"},
		{"Loss.Patient", c.Loss.Patient, c.Loss.Patient >= 0 && c.Loss.Patient <= 1, "from 0 to 1"},
	} {
		if err := s.check(); err != nil {
			return err
		}
	}
	return c.Augment.Check()
}

// canonical returns the settings that a result depends on.
func (c ClassifierConfig) canonical() ClassifierConfig {
	c.Checkpoint, c.Augment.Preset = CheckpointConfig{}, ""
	return c
}

func noPreset(name string) error {
	return fmt.Errorf("train: Augment.Preset is %q, it must be %q, %q or %q", name, "recommended", "method", "none")
}
