package train

import (
	"maps"
	"slices"

	"github.com/cspine/cspine/models"
)

// Checkpoint is all that decides how a training goes on.
type Checkpoint struct {
	State models.State
	// Average has the averaged weights and running statistics; nil where the configuration asks for none.
	Average  map[string][]float32
	Progress Progress
}

// weights returns those that are exported.
func (c *Checkpoint) weights() map[string][]float32 {
	if c.Average != nil {
		return c.Average
	}
	return c.State.Weights
}

// Progress says how far a training is. What is random in it follows from the seed and these counts.
type Progress struct {
	// Samples is the number of samples to train on, Steps of updates in an epoch: a checkpoint of others is refused.
	Samples int `json:"samples"`
	Steps   int `json:"steps"`
	// Epoch is the number of epochs done, Step of updates in the epoch under way, Updates of all updates, Draws of all batches.
	Epoch   int   `json:"epoch"`
	Step    int   `json:"step"`
	Updates int64 `json:"updates"`
	Draws   int64 `json:"draws"`
	// LossSum and NormSum are over the updates of the epoch under way.
	LossSum float64 `json:"loss_sum"`
	NormSum float64 `json:"norm_sum"`
	// BestEpoch is the one whose validation is the best so far (from 1, 0 for none yet), and Stale the number of epochs since.
	BestEpoch int `json:"best_epoch"`
	Stale     int `json:"stale"`
	// History has an entry for each epoch done.
	History []Epoch `json:"history"`
}

func (p Progress) clone() Progress {
	p.History = slices.Clone(p.History)
	return p
}

// Epoch is what became of one epoch.
type Epoch struct {
	Epoch      int         `json:"epoch"`   // from 1
	Updates    int64       `json:"updates"` // so far, at its end
	Rate       float64     `json:"learning_rate"`
	Loss       float64     `json:"train_loss"`    // mean over its updates
	Norm       float64     `json:"gradient_norm"` // the same, before clipping; 0 where nothing asks for it
	Validation *Validation `json:"validation,omitempty"`
	Best       bool        `json:"best,omitempty"` // the best so far
	Seconds    float64     `json:"seconds"`        // in the process that ended it, since it began or was resumed
	Time       float64     `json:"time"`           // when it ended, in seconds since 1970
}

// Measured tells whether the held-out studies were measured at the epoch's end.
func (e *Epoch) Measured() bool {
	return e.Validation != nil && (e.Validation.ClassifierScore != nil || e.Validation.SegmenterScore != nil)
}

// average is an exponential moving average of weights (Polyak & Juditsky, SIAM J. Control Optim. 30(4), 1992; in the form of
// TensorFlow's ExponentialMovingAverage, whose decay grows at the start so that the initial weights are soon forgotten).
type average struct {
	decay   float64
	weights map[string][]float32
}

// add takes in the weights of the n-th time, from 1: average = d·average + (1 − d)·weights, d = min(decay, (1 + n)/(10 + n)).
func (a *average) add(weights map[string][]float32, n int64) {
	d := float32(min(a.decay, float64(1+n)/float64(10+n)))
	for name, w := range weights {
		avg := a.weights[name]
		for i, v := range w {
			avg[i] += (1 - d) * (v - avg[i])
		}
	}
}

func cloneWeights(w map[string][]float32) map[string][]float32 {
	out := maps.Clone(w)
	for name, v := range out {
		out[name] = slices.Clone(v)
	}
	return out
}
