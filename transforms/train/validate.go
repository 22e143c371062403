package train

import (
	"context"
	"fmt"

	"github.com/cspine/cspine/transforms/score"
)

// Validation is how good the answers for held-out studies are.
type Validation struct {
	Studies int `json:"studies"`
	// Loss is what is trained for: of a segmenter the mean over studies, of a classifier over all answers together.
	Loss float64 `json:"loss"`
	// One of the two is there, by the stage.
	*SegmenterScore
	*ClassifierScore
}

// Better tells whether v is better than another of the same stage: by the mean dice, or the competition's log loss, which sees how sure
// an answer is, as AUC does not, and weighs patients as the competition does, as the loss that is trained for does not. Between
// equals the loss decides: while nothing is found yet, dice are all 0 and the loss still falls.
func (v *Validation) Better(than *Validation) bool {
	this, other := v.rank(), than.rank()
	return this < other || this == other && v.Loss < than.Loss
}

// rank is less for what is better.
func (v *Validation) rank() float64 {
	if v.ClassifierScore != nil {
		return float64(v.LogLoss)
	}
	return -v.Mean
}

// String is the loss and the headline.
func (v *Validation) String() string { return fmt.Sprintf("loss %.4f  %s", v.Loss, v.Headline()) }

// Headline is what the stage is judged by, for people.
func (v *Validation) Headline() string {
	if c := v.ClassifierScore; c != nil {
		return fmt.Sprintf("log loss %.4f  AUC vertebra %s patient %s", float64(c.LogLoss), c.VertebraAUC, c.PatientAUC)
	}
	return fmt.Sprintf("dice %.4f [%.4f, %.4f]", v.Mean, v.Interval[0], v.Interval[1])
}

// Levels are the dice, or areas under the ROC curve, of C1 to C7.
func (v *Validation) Levels() [Levels]score.Figure {
	if v.ClassifierScore != nil {
		return v.AUC
	}
	var dice [Levels]score.Figure
	for level, d := range v.Dice {
		dice[level] = score.Figure(d)
	}
	return dice
}

// validate measures the weights that would be exported on all held-out studies.
func (r *run[S]) validate(ctx context.Context) (*Validation, error) {
	if r.average != nil {
		raw, err := r.trainer.State()
		if err != nil {
			return nil, err
		}
		averaged := raw
		averaged.Weights = r.average.weights
		if err := r.trainer.SetState(averaged); err != nil {
			return nil, err
		}
		v, err := r.measure(ctx)
		if back := r.trainer.SetState(raw); back != nil {
			return nil, back
		}
		return v, err
	}
	return r.measure(ctx)
}

// answers returns the best epoch's validation, whose weights are given, where the job asks for it.
func (r *run[S]) answers(ctx context.Context, weights map[string][]float32) (*Validation, error) {
	if !r.job.Answers || r.progress.BestEpoch == 0 {
		return nil, nil
	}
	if r.measured != nil {
		return r.measured, nil
	}
	s, err := r.trainer.State()
	if err != nil {
		return nil, err
	}
	s.Weights = weights
	if err := r.trainer.SetState(s); err != nil {
		return nil, err
	}
	v, err := r.measure(ctx)
	if ctx.Err() != nil {
		return nil, r.interrupted(ctx)
	}
	return v, err
}

// measure asks the network, as it stands, for all held-out samples.
func (r *run[S]) measure(ctx context.Context) (*Validation, error) {
	meter := r.matter.Stage.Meter(r.loop.Seed)
	var outputs [][]float32
	for _, port := range r.trainer.Outputs() {
		outputs = append(outputs, make([]float32, port.Len()))
	}
	var group []S
	flush := func() error {
		n := len(group)
		if n == 0 {
			return nil
		}
		for len(group) < r.loop.Batch {
			group = append(group, group[n-1])
		}
		batch, err := r.matter.Stage.Fill(group, Mixing{})
		if err != nil {
			return err
		}
		if err := r.trainer.Infer(ctx, batch.Inputs, outputs); err != nil {
			return fmt.Errorf("train: validation: %w", err)
		}
		if err := meter.Add(group[:n], outputs); err != nil {
			return fmt.Errorf("train: validation: %w", err)
		}
		group = group[:0]
		return nil
	}
	for s, err := range r.matter.Valid.Epoch(ctx, 0, 0) {
		if err != nil {
			return nil, fmt.Errorf("train: validation: %w", err)
		}
		if group = append(group, s); len(group) == r.loop.Batch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	v, err := meter.Validation()
	if err != nil {
		return nil, fmt.Errorf("train: validation: %w", err)
	}
	if !finite(v.Loss) {
		return nil, r.diverged("validation's loss", v.Loss)
	}
	return v, nil
}
