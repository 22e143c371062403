// Package checkpoint keeps a training's state in one file, so that training goes on where it was.
//
// The file is a safetensors file (https://github.com/huggingface/safetensors), which PyTorch's and JAX's users
// can open: eight bytes of header length, a JSON header, the values. All tensors are float32:
//
//	weight/NAME   a parameter or running statistic, by the ONNX initializer's name
//	adam.m/NAME   AdamW's mean of gradients
//	adam.v/NAME   AdamW's mean of squared gradients
//
// What is not a tensor stands as text in the header's __metadata__: steps and draws of models.State, and
// whatever the training adds.
//
// Invariants:
//   - The same checkpoint must give the same bytes.
//   - Reading must cost memory in proportion to the file, not to what the file claims.
//   - A file must be complete: each byte after the header belongs to one tensor.
package checkpoint

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cspine/cspine/models"
)

// Version is the format's, in the metadata as "cspine.checkpoint". It changes when old readers would go wrong.
const Version = "1"

// Checkpoint is all that decides how a training goes on.
type Checkpoint struct {
	State models.State
	// Metadata is what the training adds: where its schedule and its loader are, the model's digest, and so on.
	// The keys "cspine.checkpoint", "steps" and "draws" are the format's own.
	Metadata map[string]string
	// Shapes has the dimensions of weights, for those who read the file elsewhere; moments have their weight's. A weight
	// without is written as one row. Decode fills it for all.
	Shapes map[string][]int
}

// Error says why bytes are no checkpoint.
type Error struct{ Detail string }

func (e *Error) Error() string { return "checkpoint: " + e.Detail }

func malformed(format string, args ...any) *Error { return &Error{fmt.Sprintf(format, args...)} }

// The groups of tensors by their prefix.
const (
	weights = "weight/"
	first   = "adam.m/"
	second  = "adam.v/"
)

func groups(s *models.State) map[string]*map[string][]float32 {
	return map[string]*map[string][]float32{weights: &s.Weights, first: &s.First, second: &s.Second}
}

// check tells whether the state fits itself: moments in pairs, each of a weight's length.
func check(s *models.State) error {
	if s.Steps < 0 || s.Draws < 0 {
		return malformed("%d steps and %d draws", s.Steps, s.Draws)
	}
	if len(s.First) != len(s.Second) {
		return malformed("%d first moments, %d second moments", len(s.First), len(s.Second))
	}
	for _, name := range slices.Sorted(maps.Keys(s.First)) {
		m, v, w := s.First[name], s.Second[name], s.Weights[name]
		if len(m) != len(w) || len(v) != len(w) {
			return malformed("%s has %d weights, %d first and %d second moments", name, len(w), len(m), len(v))
		}
	}
	return nil
}
