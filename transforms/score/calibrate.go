package score

import (
	"fmt"
	"math"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/classify"
)

// The kinds of calibration.
const (
	// Temperature multiplies logits by one number (Guo et al., arXiv 1706.04599): it makes a network less or more sure, and leaves
	// one half where it is.
	Temperature = "temperature"
	// Platt shifts them too (Platt, Probabilistic Outputs for Support Vector Machines, 1999): it can mend a share of fractured that
	// is off. His smoothed targets are left out, since they would draw the result away from the metric's minimum.
	Platt = "platt"
)

// CalibrateOptions say how a calibration is fitted.
type CalibrateOptions struct {
	// Kind is Temperature, the zero value, or Platt.
	Kind      string
	Normalise Normalise
	// Plain counts every label once, so that probabilities come near to frequencies. Otherwise labels have their weight in the
	// metric: the probabilities that score best are higher than frequencies, as positives count twice.
	Plain bool
	// PerLevel fits each level by itself. Otherwise C1 to C7 share one calibration: what is wrong with a network's sureness is
	// much the same everywhere, and rare fractures are too few to tell. The patient always has its own.
	PerLevel bool
}

// Calibrate finds the calibration of the least loss for probabilities that were given without one. Studies must not have been learned
// from: those are too good. Targets of one class only, and those whose probabilities are no better than chance, are errors.
//
// The loss is the mean over the n labels by their weights, plus ((a − 1)² + b²)/2n for a·logit + b: the fit is the most probable one if factors
// are spread around 1 and shifts around 0 by a standard normal distribution. A few hundred labels outweigh that; it keeps the numbers
// finite where fractured and intact do not overlap.
func Calibrate(rows []Judged, o CalibrateOptions) (c [classify.Targets]classify.Calibration, err error) {
	if o.Kind == "" {
		o.Kind = Temperature
	}
	if o.Kind != Temperature && o.Kind != Platt {
		return c, fmt.Errorf("score: the calibration %q is not one of %s, %s", o.Kind, Temperature, Platt)
	}
	w := weights(rows, o.Normalise)
	fit := func(name string, targets ...int) error {
		var f logistic
		for i := range rows {
			for _, t := range targets {
				if !rows[i].counts(t) {
					continue
				}
				weight := 1.0
				if !o.Plain {
					weight = w[i][t]
				}
				f.add(logit(rows[i].P[t]), rows[i].Truth[t] == 1, weight)
			}
		}
		found, err := f.solve(o.Kind == Platt)
		if err != nil {
			return fmt.Errorf("score: calibration of %s: %w", name, err)
		}
		for _, t := range targets {
			c[t] = found
		}
		return nil
	}
	var levels []int
	for level := range volume.Levels {
		levels = append(levels, level)
		if !o.PerLevel {
			continue
		}
		if err := fit(classify.TargetName(level), level); err != nil {
			return c, err
		}
	}
	if !o.PerLevel {
		if err := fit("the vertebrae", levels...); err != nil {
			return c, err
		}
	}
	return c, fit(classify.TargetName(classify.PatientTarget), classify.PatientTarget)
}

// Calibrated returns the rows as they would have been with the calibration.
func Calibrated(rows []Judged, c [classify.Targets]classify.Calibration) []Judged {
	out := make([]Judged, len(rows))
	for i, r := range rows {
		for t, p := range r.P {
			if c[t] != (classify.Calibration{}) {
				r.P[t] = expit(c[t].Apply(logit(p))) // NaN stays
			}
		}
		out[i] = r
	}
	return out
}

// CrossFitted is the loss of the rows, each study calibrated by what was fitted on other studies: a fifth is left out in turn. NaN where
// a part alone can't be fitted.
func CrossFitted(rows []Judged, o CalibrateOptions) float64 {
	const parts = 5
	mended := make([]Judged, len(rows))
	for part := range parts {
		var rest, out []Judged
		for i, r := range rows {
			if i%parts == part {
				out = append(out, r)
			} else {
				rest = append(rest, r)
			}
		}
		c, err := Calibrate(rest, o)
		if err != nil {
			return math.NaN()
		}
		for k, r := range Calibrated(out, c) {
			mended[part+k*parts] = r
		}
	}
	return WeightedLogLoss(mended, o.Normalise)
}

// logit is the logit of a probability that is kept as far from 0 and 1 as the metric keeps it.
func logit(p float64) float64 {
	p = min(max(p, clip), 1-clip)
	return math.Log(p) - math.Log1p(-p)
}

// logistic is the fit of fractured or not by σ(a·z + b).
type logistic struct {
	z, y, w  []float64
	classes  [2]int
	totality float64 // of the weights
}

func (f *logistic) add(z float64, fractured bool, weight float64) {
	f.z, f.y, f.w = append(f.z, z), append(f.y, float64(class(fractured))), append(f.w, weight)
	f.classes[class(fractured)]++
	f.totality += weight
}

// solve finds a, and b where shifted, by Newton's method with halved steps. The loss is strictly convex.
func (f *logistic) solve(shifted bool) (classify.Calibration, error) {
	if f.classes[0] == 0 || f.classes[1] == 0 {
		return classify.Calibration{}, fmt.Errorf("%d fractured and %d intact are too few: both must occur", f.classes[1], f.classes[0])
	}
	a, b := 1.0, 0.0
	loss := f.loss(a, b)
	for range 100 {
		ga, gb, haa, hab, hbb := f.derivatives(a, b)
		if !shifted {
			gb, hab, hbb = 0, 0, 1
		}
		det := haa*hbb - hab*hab
		da, db := (hbb*ga-hab*gb)/det, (haa*gb-hab*ga)/det
		step := 1.0
		for ; step > 1e-10; step /= 2 {
			if l := f.loss(a-step*da, b-step*db); l <= loss {
				loss = l
				break
			}
		}
		if step <= 1e-10 {
			break // rounding is all that is left
		}
		a, b = a-step*da, b-step*db
		if math.Abs(step*da)+math.Abs(step*db) < 1e-13*(math.Abs(a)+math.Abs(b)) {
			break
		}
	}
	if !(a > 0) || math.IsInf(a+b, 0) {
		return classify.Calibration{}, fmt.Errorf("the best factor is %.3g: the probabilities are no better than chance, and no calibration mends that", a)
	}
	return classify.Calibration{Scale: a, Shift: b}, nil
}

// loss is the mean of log(1 + e^−s) where fractured and log(1 + e^s) where not, s = a·z + b, and what draws it to changing nothing.
func (f *logistic) loss(a, b float64) float64 {
	sum := 0.0
	for i, z := range f.z {
		s := a*z + b
		if f.y[i] == 1 {
			s = -s
		}
		sum += f.w[i] * (max(s, 0) + math.Log1p(math.Exp(-math.Abs(s))))
	}
	return sum/f.totality + ((a-1)*(a-1)+b*b)/(2*float64(len(f.z)))
}

// derivatives of the loss: the gradient and the Hessian.
func (f *logistic) derivatives(a, b float64) (ga, gb, haa, hab, hbb float64) {
	for i, z := range f.z {
		p := expit(a*z + b)
		w := f.w[i] / f.totality
		g, h := w*(p-f.y[i]), w*p*(1-p)
		ga, gb = ga+g*z, gb+g
		haa, hab, hbb = haa+h*z*z, hab+h*z, hbb+h
	}
	pull := 1 / float64(len(f.z))
	return ga + pull*(a-1), gb + pull*b, haa + pull, hab, hbb + pull
}
