package train

import (
	"context"
	"fmt"
)

// Validation is how good the answers for held-out studies are.
type Validation struct {
	Studies int `json:"studies"`
	// Loss is what is trained for: of a segmenter the mean over studies, of a classifier over all answers together.
	Loss float64 `json:"loss"`
	// One of the two is there, by the stage.
	*SegmenterScore
}

// Better tells whether v is better than another of the same stage.
func (v *Validation) Better(than *Validation) bool {
	// While nothing is found yet, dice are all 0 and the loss still falls.
	return v.Mean > than.Mean || v.Mean == than.Mean && v.Loss < than.Loss
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
