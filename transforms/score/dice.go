// Package score says how good an answer is: dice of masks against label maps, with the method's rule for empty ones and confidence
// intervals over studies; of fracture probabilities the competition's metric, ranking and reliability, and the calibration that betters them.
//
// Invariants:
//   - A measure must be a function of its arguments; what is random takes a seed.
//   - A mean over studies must come with its interval, and with the studies it is made of.
//   - What is undefined (one class alone, nothing labelled) must be NaN, and null in JSON: never 0, never left out.
//   - A label that nobody gave and an answer that is missing must be left out, with their weights, and be counted.
//   - Studies come sorted by name, so that equal answers give equal bits.
package score

import (
	"math/rand/v2"
	"slices"
)

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
