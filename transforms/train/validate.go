package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/cspine/cspine/models"
)

// Validation is how well held-out studies are segmented.
type Validation struct {
	Studies int `json:"studies"`
	// Loss is the mean over studies of the loss that is trained for.
	Loss float64 `json:"loss"`
	// Dice is each level's, C1 to C7, and Mean their mean, both as means over studies.
	Dice [Levels]float64 `json:"dice"`
	Mean float64         `json:"mean_dice"`
	// Interval is the 95 % confidence interval of Mean over studies; see Interval.
	Interval [2]float64 `json:"interval"`
	// PerStudy has each study's dice by level, in the order of the samples. A history does not keep it.
	PerStudy [][Levels]float64 `json:"-"`
}

// Dice returns 2·|P ∩ T|/(|P| + |T|), P being where a probability is above one half, T where the label is the level's. Where T
// is empty it is 1 if P is empty too, else 0: the method's rule.
func Dice(p []float32, labels []uint8, level uint8) float64 {
	var both, predicted, target int
	for i, v := range p {
		t := labels[i] == level
		if t {
			target++
		}
		if v > 0.5 {
			predicted++
			if t {
				both++
			}
		}
	}
	if target == 0 {
		if predicted == 0 {
			return 1
		}
		return 0
	}
	return 2 * float64(both) / float64(predicted+target)
}

// Interval returns the 95 % confidence interval of the mean of values by the percentile bootstrap (Efron & Tibshirani, An Introduction
// to the Bootstrap, 1993, chapter 13) with 2,000 draws that seed decides. Dice crowds below 1, so that an
// interval made of a standard deviation would reach above it. One value gives itself, none gives zeros.
func Interval(values []float64, seed uint64) [2]float64 {
	if len(values) == 0 {
		return [2]float64{}
	}
	const draws = 2000
	rng := rand.New(rand.NewPCG(seed, 0x626f6f74))
	means := make([]float64, draws)
	for i := range means {
		sum := 0.0
		for range values {
			sum += values[rng.IntN(len(values))]
		}
		means[i] = sum / float64(len(values))
	}
	slices.Sort(means)
	return [2]float64{quantile(means, 0.025), quantile(means, 0.975)}
}

// quantile interpolates linearly between the values, which are sorted, as numpy does.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
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
			dice, loss := score(out[i*size:][:size], s.Labels, terms)
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
	v.Interval = Interval(means, seed)
}

// score returns a study's dice by level, and its loss. p is [7, voxels].
func score(p []float32, labels []uint8, terms []models.LossTerm) (dice [Levels]float64, loss float64) {
	voxels := len(labels)
	var sums [Levels]struct{ both, predicted, target, bce float64 }
	withBCE := slices.ContainsFunc(terms, func(t models.LossTerm) bool { return t.Kind == models.BCE })
	var all sync.WaitGroup
	for level := range Levels {
		all.Go(func() {
			p, s, l := p[level*voxels:][:voxels], &sums[level], uint8(level+1)
			dice[level] = Dice(p, labels, l)
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
