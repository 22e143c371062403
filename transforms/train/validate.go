package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms/score"
)

// Validation is how well held-out studies are segmented.
type Validation struct {
	Studies int `json:"studies"`
	// Loss is the mean over studies of the loss that is trained for.
	Loss float64 `json:"loss"`
	// Dice is each level's, C1 to C7, and Mean their mean, both as means over studies.
	Dice [Levels]float64 `json:"dice"`
	Mean float64         `json:"mean_dice"`
	// Interval is the 95 % confidence interval of Mean over studies; see score.Interval.
	Interval [2]float64 `json:"interval"`
	// PerStudy has each study's dice by level, in the order of the samples. A history does not keep it.
	PerStudy [][Levels]float64 `json:"-"`
}

// validate measures the weights that would be exported on all held-out studies.
func (r *run) validate(ctx context.Context) (*Validation, error) {
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

func (r *run) measure(ctx context.Context) (*Validation, error) {
	v := &Validation{}
	out := make([]float32, len(r.batch.target))
	terms := r.cfg.loss("").Terms
	var group []Sample
	flush := func() error {
		n := len(group)
		if n == 0 {
			return nil
		}
		for len(group) < r.cfg.Batch {
			group = append(group, group[n-1])
		}
		if err := r.batch.fill(group, mixing{}); err != nil {
			return err
		}
		if err := r.trainer.Infer(ctx, r.batch.Inputs, [][]float32{out}); err != nil {
			return fmt.Errorf("train: validation: %w", err)
		}
		size := Levels * r.batch.voxels
		for i, s := range group[:n] {
			dice, loss := scores(out[i*size:][:size], s.Labels, terms)
			v.PerStudy = append(v.PerStudy, dice)
			v.Loss += loss
		}
		group = group[:0]
		return nil
	}
	for s, err := range r.job.Valid.Epoch(ctx, 0, 0) {
		if err != nil {
			return nil, fmt.Errorf("train: validation: %w", err)
		}
		if group = append(group, s); len(group) == r.cfg.Batch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	v.sum(r.cfg.Seed)
	if !finite(v.Loss) {
		return nil, r.diverged("validation's loss", v.Loss)
	}
	return v, nil
}

// sum makes the means of what each study has.
func (v *Validation) sum(seed uint64) {
	v.Studies = len(v.PerStudy)
	if v.Studies == 0 {
		return
	}
	n := float64(v.Studies)
	means := make([]float64, v.Studies)
	for i, d := range v.PerStudy {
		for level, x := range d {
			v.Dice[level] += x / n
			means[i] += x / Levels
		}
		v.Mean += means[i] / n
	}
	v.Loss /= n
	v.Interval = score.Interval(means, seed)
}

// scores returns a study's dice by level, and its loss. p is [7, voxels].
func scores(p []float32, labels []uint8, terms []models.LossTerm) (dice [Levels]float64, loss float64) {
	voxels := len(labels)
	var sums [Levels]struct{ both, predicted, target, bce float64 }
	withBCE := slices.ContainsFunc(terms, func(t models.LossTerm) bool { return t.Kind == models.BCE })
	var all sync.WaitGroup
	for level := range Levels {
		all.Go(func() {
			p, s, l := p[level*voxels:][:voxels], &sums[level], uint8(level+1)
			dice[level] = score.Dice(p, labels, l)
			var both, predicted, target, bce float64
			for i, v := range p {
				predicted += float64(v)
				if labels[i] == l {
					both += float64(v)
					target++
				}
				if withBCE {
					q := float64(v)
					if labels[i] != l {
						q = 1 - q
					}
					bce -= max(math.Log(q), -100)
				}
			}
			s.both, s.predicted, s.target, s.bce = both, predicted, target, bce
		})
	}
	all.Wait()
	var both, predicted, target, bce float64
	for _, s := range sums {
		both, predicted, target, bce = both+s.both, predicted+s.predicted, target+s.target, bce+s.bce
	}
	for _, t := range terms {
		switch t.Kind {
		case models.Dice:
			loss += float64(t.Weight) * (1 - (2*both+float64(t.Smooth))/(predicted+target+float64(t.Smooth)))
		case models.DicePerChannel:
			for _, s := range sums {
				loss += float64(t.Weight) / Levels * (1 - (2*s.both+float64(t.Smooth))/(s.predicted+s.target+float64(t.Smooth)))
			}
		case models.BCE:
			loss += float64(t.Weight) * bce / float64(Levels*voxels)
		}
	}
	return dice, loss
}
