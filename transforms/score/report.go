package score

import (
	"math"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/classify"
)

// Report is how good answers are.
type Report struct {
	Normalise Normalise `json:"normalise"`
	// Studies and Labels are how many of each are judged; Gaps is what could not be.
	Studies int  `json:"studies"`
	Labels  int  `json:"labels"`
	Gaps    Gaps `json:"gaps"`
	// Loss is the competition's metric. Half is that of saying 0.5 of everything: log 2, whatever the labels.
	Loss       Figure   `json:"log_loss"`
	Best       Constant `json:"best_constant"`
	Prevalence Constant `json:"prevalence"`
	Half       Figure   `json:"half_log_loss"`
	// Targets are C1 to C7 and the patient; Vertebrae are all levels together.
	Targets   []Measures `json:"targets"`
	Vertebrae Measures   `json:"vertebrae"`
}

// Measures are how good the answers to one question are.
type Measures struct {
	Target    string `json:"target"`
	N         int    `json:"n"`
	Fractured int    `json:"fractured"`
	// Share is the target's share in the metric, Loss its own: the metric is the mean of the losses, weighted by the shares.
	// BestLoss is the loss of the best constant.
	Share    Figure `json:"share"`
	Loss     Figure `json:"log_loss"`
	BestLoss Figure `json:"best_constant_log_loss"`
	Area
	Precision   Figure     `json:"average_precision"`
	Sensitivity Operating  `json:"sensitivity_at_90_specificity"`
	Specificity Operating  `json:"specificity_at_90_sensitivity"`
	Brier       Figure     `json:"brier"`
	Error       Figure     `json:"expected_calibration_error"`
	Reliability []Bin      `json:"reliability"`
	ROC         []ROCPoint `json:"roc"`
}

// ROCPoint is a corner of the ROC curve.
type ROCPoint struct {
	FalsePositive float64 `json:"false_positive_rate"`
	TruePositive  float64 `json:"true_positive_rate"`
	Threshold     Figure  `json:"threshold"` // null where nothing is taken for fractured
}

// Evaluate judges answers by everything there is.
func Evaluate(rows []Judged, gaps Gaps, n Normalise) *Report {
	r := &Report{Normalise: n, Gaps: gaps, Loss: Figure(WeightedLogLoss(rows, n)), Best: BestConstant(rows, n), Prevalence: Prevalence(rows, n), Half: math.Ln2}
	if r.Normalise == "" {
		r.Normalise = ByRow
	}
	w := weights(rows, n)
	for i := range rows {
		judged := 0
		for t := range w[i] {
			if rows[i].counts(t) {
				judged++
			}
		}
		r.Labels += judged
		r.Studies += min(judged, 1)
	}
	levels := make([]int, volume.Levels)
	for t := range classify.Targets {
		r.Targets = append(r.Targets, measure(rows, w, r.Best, classify.TargetName(t), t))
		if t < volume.Levels {
			levels[t] = t
		}
	}
	r.Vertebrae = measure(rows, w, r.Best, "vertebrae", levels...)
	return r
}

// measure judges some targets together.
func measure(rows []Judged, w [][classify.Targets]float64, best Constant, name string, targets ...int) Measures {
	m := Measures{Target: name}
	l := LabelsOf(rows, targets...)
	var share, loss, bestLoss float64
	for i := range rows {
		for _, t := range targets {
			if !rows[i].counts(t) {
				continue
			}
			fractured := rows[i].Truth[t] == 1
			share += w[i][t]
			loss += w[i][t] * logLoss(rows[i].P[t], fractured)
			bestLoss += w[i][t] * logLoss(float64(best.P[t]), fractured)
		}
	}
	m.N = len(l.P)
	m.Fractured, _ = l.counts()
	m.Share, m.Loss, m.BestLoss = Figure(share), Figure(loss/share), Figure(bestLoss/share)
	m.Area, m.Precision, m.Brier = AUC(l), AveragePrecision(l), Brier(l)
	m.Sensitivity, m.Specificity = SensitivityAt90(l), SpecificityAt90(l)
	bins := Reliability(l)
	m.Reliability, m.Error = bins[:], CalibrationError(bins)
	m.ROC = corners(l)
	return m
}

// corners are the ROC curve's points without those that lie on a line between their neighbours; nil for one class.
func corners(l Labels) []ROCPoint {
	positive, negative := l.counts()
	if positive == 0 || negative == 0 {
		return nil
	}
	path := append([]Step{{Threshold: math.NaN()}}, Steps(l)...)
	var kept []ROCPoint
	for i, s := range path {
		if i > 0 && i+1 < len(path) {
			before, after := path[i-1], path[i+1]
			if (s.True-before.True)*(after.Falsely-s.Falsely) == (after.True-s.True)*(s.Falsely-before.Falsely) {
				continue
			}
		}
		kept = append(kept, ROCPoint{float64(s.Falsely) / float64(negative), float64(s.True) / float64(positive), Figure(s.Threshold)})
	}
	return kept
}
