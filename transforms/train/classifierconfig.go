package train

import (
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
func (a *SlicesConfig) UsePreset() error { return usePreset(&a.Slices, slicesPresets, a.Preset) }

// FractureLoss is cross entropy of logits.
type FractureLoss struct {
	// PositiveWeight is how many times as much a fractured vertebra or patient counts as one that is not.
	PositiveWeight float64
	// Patient is the share in the loss of what is said of the patient; slices have the rest. Of type 2 only.
	Patient float64
}

// DefaultClassifier returns the settings for the small network on a CPU.
func DefaultClassifier() ClassifierConfig {
	c := ClassifierConfig{Loop: usualLoop(),
		Augment: SlicesConfig{Preset: "recommended", Slices: augment.RecommendedSlices()},
		Loss:    FractureLoss{PositiveWeight: 2, Patient: 1. / 16}}
	c.Batch, c.Epochs, c.Mixup = 8, 40, 0.5
	c.Optimizer.Rate, c.Schedule.MinRate = 1e-3, 1e-5
	return c
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
