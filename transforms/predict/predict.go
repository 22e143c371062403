// Package predict makes of classifiers' logits what is answered of a study: how likely each cervical vertebra is fractured, and whether
// any is.
//
// Definitions, for an ensemble of classifiers m and the levels c:
//
//	r[m,c] = mean over the slices' σ(logit), or over the Top highest of them
//	p[c]   = mean over m of calibrated r[m,c]
//	head   = mean over m of type 2 of σ(patient's logit)
//	q      = Product · (1 − ∏ over c of (1 − mean over m of r[m,c])) + Head · head
//	p[8]   = mean over m of calibrated q
//
// and all are clamped. To calibrate a probability p is to apply classify.Calibration to its logit, log(p/(1−p)). Each is fitted on what
// it is applied to: the answers for held-out studies of one model alone, before calibration.
//
// Invariants:
//   - A target's calibration must change that target alone. The patient's q is made of uncalibrated levels, since its own calibration
//     was fitted on such. The product takes levels for independent, which they are not (a fall breaks neighbours): it is too high
//     where several are likely, and only the patient's own calibration mends that.
//   - A vertebra that was not found must be answered by its prior (Prior), and be flagged. It enters the product with its prior too: that it was
//     not found says nothing about its being whole. Where no vertebra was found, or the study was refused, the patient is answered by
//     its own prior.
//   - Equal arguments give equal bits.
package predict

import (
	"fmt"
	"math"
	"slices"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/classify"
)

// Options say how logits become probabilities. All belong to a recipe. The zero value is the method's, as its full winner predicts.
type Options struct {
	// Top is how many of a vertebra's slices count: those of the highest probability. 0 takes all; the winner took 5 of 15.
	Top int
	// Product and Head are the shares in the patient's probability of 1 − ∏(1 − p), and of what networks of type 2 say themselves. They
	// must sum to 1; both 0 stand for 0.4 and 0.6. Where there is no network of type 2 the product has all.
	Product, Head float64
	// Floor and Ceiling are the least and the greatest probability; 0 stands for 1e-4 and 0.9999.
	Floor, Ceiling float64
}

// WithDefaults returns the options with what is left out filled in, or says what is wrong with them.
func (o Options) WithDefaults() (Options, error) {
	if o.Product == 0 && o.Head == 0 {
		o.Product, o.Head = 0.4, 0.6
	}
	if o.Floor == 0 {
		o.Floor = 1e-4
	}
	if o.Ceiling == 0 {
		o.Ceiling = 0.9999
	}
	switch {
	case o.Top < 0 || o.Top > classify.Positions:
		return o, fmt.Errorf("predict: top is %d, not 0 (all slices) to %d", o.Top, classify.Positions)
	case !(o.Product >= 0 && o.Head >= 0) || math.Abs(o.Product+o.Head-1) > 1e-9:
		return o, fmt.Errorf("predict: the shares product %g and head %g are negative or do not sum to 1", o.Product, o.Head)
	case !(o.Floor > 0 && o.Floor < o.Ceiling && o.Ceiling < 1):
		return o, fmt.Errorf("predict: floor %g and ceiling %g must lie between 0 and 1, in this order", o.Floor, o.Ceiling)
	}
	return o, nil
}

// Said is what one classifier says of one study, in logits.
type Said struct {
	Spec classify.Spec
	// Slices has each vertebra's logits by slice; nil is a vertebra that was not found.
	Slices [volume.Levels][]float32
	// Patient is what a network of type 2 says of the patient.
	Patient float32
}

// Verdict is what is answered of a study.
type Verdict struct {
	// P has the probability of each target.
	P [classify.Targets]float64
	// Found tells of each level whether a classifier saw it. Where it is false, P has the prior.
	Found [volume.Levels]bool
	// Slices has each found vertebra's probability by slice: the mean over classifiers, before calibration.
	Slices [volume.Levels][]float64
	// Alone has what each classifier would have answered alone.
	Alone [][classify.Targets]float64
}

// None tells whether no vertebra was found.
func (v *Verdict) None() bool { return v.Found == [volume.Levels]bool{} }

// Study makes the verdict of what one or several classifiers say. All must have seen the same vertebrae. For one classifier the verdict is
// what a training's held-out answers are made by.
func Study(said []Said, o Options) (*Verdict, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return nil, err
	}
	if err := check(said); err != nil {
		return nil, err
	}
	v := &Verdict{P: answer(said, o)}
	for level, logits := range said[0].Slices {
		if logits == nil {
			continue
		}
		v.Found[level] = true
		v.Slices[level] = make([]float64, len(logits))
		for _, s := range said {
			for i, z := range s.Slices[level] {
				v.Slices[level][i] += sigmoid(float64(z)) / float64(len(said))
			}
		}
	}
	for i := range said {
		v.Alone = append(v.Alone, answer(said[i:i+1], o))
	}
	return v, nil
}

// Unseen is the answer for a study of which no classifier saw anything: the priors.
func Unseen(specs []classify.Spec, o Options) ([classify.Targets]float64, error) {
	o, err := o.WithDefaults()
	p := Prior(specs)
	for t := range p {
		p[t] = min(max(p[t], o.Floor), o.Ceiling)
	}
	return p, err
}

func check(said []Said) error {
	if len(said) == 0 {
		return fmt.Errorf("predict: no classifier said anything")
	}
	for i, s := range said {
		for level, logits := range s.Slices {
			if len(logits) != len(said[0].Slices[level]) {
				return fmt.Errorf("predict: classifier %d has %d slices of %s, the first %d", i, len(logits), volume.LevelName(level), len(said[0].Slices[level]))
			}
			if slices.ContainsFunc(logits, func(z float32) bool { return math.IsNaN(float64(z)) }) {
				return fmt.Errorf("predict: classifier %d has a logit of %s that is no number", i, volume.LevelName(level))
			}
		}
		if s.Spec.Type == classify.Patient && math.IsNaN(float64(s.Patient)) {
			return fmt.Errorf("predict: the patient's logit of classifier %d is no number", i)
		}
	}
	return nil
}

// answer is the package's definitions.
func answer(said []Said, o Options) (p [classify.Targets]float64) {
	n := float64(len(said))
	specs := make([]classify.Spec, len(said))
	for i, s := range said {
		specs[i] = s.Spec
	}
	prior := Prior(specs)
	none, whole := true, 1.0 // whole is the probability that no vertebra is fractured
	for level := range volume.Levels {
		raw := prior[level]
		p[level] = raw
		if said[0].Slices[level] != nil {
			none, raw, p[level] = false, 0, 0
			for _, s := range said {
				r := Vertebra(s.Slices[level], o.Top)
				raw += r / n
				p[level] += Calibrate(r, s.Spec.Calibration[level]) / n
			}
		}
		whole *= 1 - raw
	}
	p[classify.PatientTarget] = prior[classify.PatientTarget]
	if !none {
		q := mix(said, 1-whole, o)
		p[classify.PatientTarget] = 0
		for _, s := range said {
			p[classify.PatientTarget] += Calibrate(q, s.Spec.Calibration[classify.PatientTarget]) / n
		}
	}
	for t := range p {
		p[t] = min(max(p[t], o.Floor), o.Ceiling)
	}
	return p
}

// mix adds what networks of type 2 say of the patient to the product, by their shares.
func mix(said []Said, product float64, o Options) float64 {
	sum, n := 0.0, 0.0
	for _, s := range said {
		if s.Spec.Type == classify.Patient {
			sum += sigmoid(float64(s.Patient))
			n++
		}
	}
	if n == 0 {
		return product
	}
	return o.Product*product + o.Head*sum/n
}

// Vertebra returns the probability that one network gives a vertebra by its slices' logits: the mean of their sigmoids, or of the top
// highest; 0 takes all.
func Vertebra(logits []float32, top int) float64 {
	p := make([]float64, len(logits))
	for i, z := range logits {
		p[i] = sigmoid(float64(z))
	}
	if top > 0 && top < len(p) {
		slices.Sort(p)
		p = p[len(p)-top:]
	}
	sum := 0.0
	for _, v := range p {
		sum += v
	}
	return sum / float64(len(p))
}

// Calibrate applies a calibration to a probability's logit.
func Calibrate(p float64, c classify.Calibration) float64 {
	if c == (classify.Calibration{}) {
		return p
	}
	return sigmoid(c.Apply(math.Log(p) - math.Log1p(-p)))
}

func sigmoid(z float64) float64 {
	if z >= 0 {
		return 1 / (1 + math.Exp(-z))
	}
	e := math.Exp(z)
	return e / (1 + e)
}

// methodPrior is the share of fractured in the method's data: of 2,019 studies C1 146 … C7 393, patient 961.
var methodPrior = [classify.Targets]float64{146. / 2019, 285. / 2019, 73. / 2019, 108. / 2019, 162. / 2019, 277. / 2019, 393. / 2019, 961. / 2019}

// Prior returns what is answered where nothing was seen: 2p/(1+p), with p the share of fractured in the data that the classifiers learned from, as
// their files say it (the mean of several), or in the method's data if none does. Training counts a positive twice, so that this is
// what a network that sees nothing says; and it is the best constant for the competition's metric, which weighs alike.
func Prior(specs []classify.Spec) [classify.Targets]float64 {
	var p [classify.Targets]float64
	n := 0.0
	for _, s := range specs {
		if s.PriorKnown {
			n++
			for t := range p {
				p[t] += s.Prior[t]
			}
		}
	}
	for t := range p {
		if n > 0 {
			p[t] /= n
		} else {
			p[t] = methodPrior[t]
		}
		p[t] = 2 * p[t] / (1 + p[t])
	}
	return p
}
