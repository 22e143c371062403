package train

import (
	"encoding/json"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms/augment"
)

// SegmenterConfig says how to train a segmenter. DefaultSegmenter returns one to start from.
type SegmenterConfig struct {
	Loop
	// Size is the length of each side of the volume, where the model's file leaves it open.
	Size    int
	Augment AugmentConfig
	Loss    LossConfig
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
func (a *AugmentConfig) UsePreset() error { return usePreset(&a.Options, presets, a.Preset) }

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

// DefaultSegmenter returns the settings for the small network on a CPU.
func DefaultSegmenter() SegmenterConfig {
	c := SegmenterConfig{Loop: usualLoop(),
		Size:    128,
		Augment: AugmentConfig{Preset: "recommended", Options: augment.Recommended()},
		Loss:    LossConfig{Kind: "bce+dice", BCE: 0.5, Dice: 0.5, Smooth: 1, PerLevel: true}}
	c.Batch, c.Epochs, c.Mixup = 2, 60, 0.1
	c.Optimizer.Rate, c.Schedule.MinRate = 3e-3, 3e-5
	return c
}

// Check says which setting can't be.
func (c SegmenterConfig) Check() error {
	if err := c.Loop.Check(); err != nil {
		return err
	}
	for _, s := range []setting{
		{"Size", float64(c.Size), c.Size >= 1 && c.Size <= 1<<10, "from 1 to 1024"},
		{"Loss.BCE", c.Loss.BCE, c.Loss.BCE >= 0, "at least 0"},
		{"Loss.Dice", c.Loss.Dice, c.Loss.Dice >= 0 && c.Loss.BCE+c.Loss.Dice > 0, "at least 0, and one of bce and dice above"},
		{"Loss.Smooth", c.Loss.Smooth, c.Loss.Smooth > 0, "above 0"},
	} {
		if err := s.check(); err != nil {
			return err
		}
	}
	if err := oneOf("Loss.Kind", c.Loss.Kind, "dice", "bce+dice"); err != nil {
		return err
	}
	return c.Augment.Check()
}

// MarshalJSON writes settings in the order that recipes have had from the start, so that trained models stay known.
func (c SegmenterConfig) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Batch, Accumulate, Epochs, Steps, Size int

		Precision       string
		Seed            uint64
		Mixup, ClipNorm float64
		Patience        int
		Augment         AugmentConfig
		Optimizer       OptimizerConfig
		Schedule        ScheduleConfig
		Loss            LossConfig
		Average         AverageConfig
		Validate        ValidateConfig
		Checkpoint      CheckpointConfig
	}{c.Batch, c.Accumulate, c.Epochs, c.Steps, c.Size, c.Precision, c.Seed, c.Mixup, c.ClipNorm, c.Patience,
		c.Augment, c.Optimizer, c.Schedule, c.Loss, c.Average, c.Validate, c.Checkpoint})
}

// canonical returns the settings that a result depends on.
func (c SegmenterConfig) canonical() SegmenterConfig {
	c.Checkpoint, c.Augment.Preset = CheckpointConfig{}, ""
	return c
}

// loss returns the terms for a model's output of probabilities: dice, or dice and BCE, weighted.
func (c SegmenterConfig) loss(output string) models.Loss {
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
