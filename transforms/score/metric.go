package score

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
)

// Judged is a study's answer beside its truth. A target counts where both are known.
type Judged struct {
	Study string
	P     [classify.Targets]float64 // NaN is unanswered
	Truth [classify.Targets]int8    // or load.Unknown
}

// counts tells whether a target is judged.
func (j *Judged) counts(target int) bool {
	return j.Truth[target] != load.Unknown && !math.IsNaN(j.P[target])
}

// LabelsOf returns what is judged of some targets together, in the order of the rows. A row is a group.
func LabelsOf(rows []Judged, targets ...int) (l Labels) {
	for i := range rows {
		for _, t := range targets {
			if rows[i].counts(t) {
				l.P, l.Fractured, l.Group = append(l.P, rows[i].P[t]), append(l.Fractured, rows[i].Truth[t] == 1), append(l.Group, i)
			}
		}
	}
	return l
}

// Gaps are labels that one side has and the other has not.
type Gaps struct {
	// Unanswered is the number of known labels without a probability, Unlabelled that of probabilities of studies that the truth
	// does not know. The first of each are named as a submission names them.
	Unanswered      int    `json:"unanswered"`
	FirstUnanswered string `json:"first_unanswered,omitempty"`
	Unlabelled      int    `json:"unlabelled"`
	FirstUnlabelled string `json:"first_unlabelled,omitempty"`
}

// Join puts answers beside the truth: one Judged for each study that both have, sorted by study, and what is missing. Labels that
// nobody knows are no gap.
func Join(answers []Answer, truth Truth) ([]Judged, Gaps) {
	var judged []Judged
	var gaps Gaps
	answered := make(map[string]bool, len(answers))
	for _, a := range answers {
		answered[a.Study] = true
		known, ok := truth[a.Study]
		if !ok {
			for t, p := range a.P {
				if !math.IsNaN(p) {
					count(&gaps.Unlabelled, &gaps.FirstUnlabelled, a.Study, t)
				}
			}
			continue
		}
		judged = append(judged, Judged{Study: a.Study, P: a.P, Truth: known})
	}
	for study, known := range truth {
		if answered[study] {
			continue
		}
		for t, label := range known {
			if label != load.Unknown {
				count(&gaps.Unanswered, &gaps.FirstUnanswered, study, t)
			}
		}
	}
	slices.SortFunc(judged, func(a, b Judged) int { return cmp.Compare(a.Study, b.Study) })
	for _, j := range judged {
		for t, label := range j.Truth {
			if label != load.Unknown && math.IsNaN(j.P[t]) {
				count(&gaps.Unanswered, &gaps.FirstUnanswered, j.Study, t)
			}
		}
	}
	return judged, gaps
}

// count adds a gap; the first is the least in order.
func count(n *int, first *string, study string, target int) {
	name := study + "_" + classify.TargetName(target)
	if *n++; *n == 1 || name < *first {
		*first = name
	}
}

// Normalise says what the metric's weights are divided by.
type Normalise string

// The two that are in use. The zero value is ByRow.
const (
	// ByRow divides each study's losses by the sum of that study's weights, and takes the mean over studies, as the public
	// graders do: a study with fractures does not count more than one without.
	ByRow Normalise = "row"
	// Globally divides the sum of all losses by the sum of all weights.
	Globally Normalise = "global"
)

// ParseNormalise reads the name of a normalisation.
func ParseNormalise(name string) (Normalise, error) {
	switch n := Normalise(name); n {
	case "":
		return ByRow, nil
	case ByRow, Globally:
		return n, nil
	}
	return "", fmt.Errorf("the normalisation %q is not one of %s, %s", name, ByRow, Globally)
}

// clip is how near to 0 and 1 the metric lets a probability come.
const clip = 1e-15

// baseWeight is a negative's weight; a positive's is twice that.
func baseWeight(target int) float64 {
	if target == classify.PatientTarget {
		return 7
	}
	return 1
}

// weights are the shares of each study's targets in the metric: they sum to 1, or are all 0 where nothing is judged.
func weights(rows []Judged, n Normalise) [][classify.Targets]float64 {
	w := make([][classify.Targets]float64, len(rows))
	total, studies := 0.0, 0.0
	for i := range rows {
		sum := 0.0
		for t := range w[i] {
			if rows[i].counts(t) {
				w[i][t] = baseWeight(t) * float64(1+rows[i].Truth[t])
				sum += w[i][t]
			}
		}
		if sum == 0 {
			continue
		}
		studies++
		total += sum
		if n != Globally {
			for t := range w[i] {
				w[i][t] /= sum
			}
		}
	}
	if n != Globally {
		total = studies
	}
	for i := range w {
		for t := range w[i] {
			if w[i][t] > 0 {
				w[i][t] /= total
			}
		}
	}
	return w
}

// logLoss is the loss of one probability.
func logLoss(p float64, fractured bool) float64 {
	p = min(max(p, clip), 1-clip)
	if fractured {
		return -math.Log(p)
	}
	return -math.Log1p(-p)
}

// WeightedLogLoss is the competition's metric: the mean of −y·log p − (1−y)·log(1−p), p clipped to [1e-15, 1−1e-15], with the weight 1
// for a negative and 2 for a positive vertebra, 7 and 14 for the patient. Targets that are not judged are left out with their weights,
// and so are studies without any. NaN where nothing is judged.
func WeightedLogLoss(rows []Judged, n Normalise) float64 {
	return lossOf(rows, weights(rows, n), func(i, t int) float64 { return rows[i].P[t] })
}

// lossOf is the loss of the probabilities p, by weights.
func lossOf(rows []Judged, w [][classify.Targets]float64, p func(i, target int) float64) float64 {
	loss, sum := 0.0, 0.0
	for i := range rows {
		for t, share := range w[i] {
			if share > 0 {
				loss += share * logLoss(p(i, t), rows[i].Truth[t] == 1)
				sum += share
			}
		}
	}
	return loss / sum
}

// Constant is an answer that does not look at the study.
type Constant struct {
	P    [classify.Targets]Figure `json:"p"`
	Loss Figure                   `json:"log_loss"`
}

// BestConstant is the answer of the least loss among those that say the same of every study. With w the weight of a study's target in
// the metric, the loss of a constant c is −Σ₊w·log c − Σ₋w·log(1−c), which is least at c = Σ₊w/(Σ₊w + Σ₋w). Normalised globally that is
// 2n₊/(2n₊ + n₋). Normalised by row, w is divided by the sum of the study's weights, so that targets pull on each other: a
// vertebra's fracture counts less where much else is broken.
func BestConstant(rows []Judged, n Normalise) Constant {
	w := weights(rows, n)
	var positive, all [classify.Targets]float64
	for i := range rows {
		for t, share := range w[i] {
			all[t] += share
			if rows[i].Truth[t] == 1 {
				positive[t] += share
			}
		}
	}
	return constant(rows, w, positive, all)
}

// Prevalence is the constant answer that gives each target its share of fractured.
func Prevalence(rows []Judged, n Normalise) Constant {
	var positive, all [classify.Targets]float64
	for i := range rows {
		for t := range all {
			if rows[i].counts(t) {
				all[t]++
				positive[t] += float64(rows[i].Truth[t])
			}
		}
	}
	return constant(rows, weights(rows, n), positive, all)
}

func constant(rows []Judged, w [][classify.Targets]float64, positive, all [classify.Targets]float64) Constant {
	var c Constant
	for t := range all {
		c.P[t] = Figure(positive[t] / all[t])
	}
	c.Loss = Figure(lossOf(rows, w, func(_, t int) float64 { return float64(c.P[t]) }))
	return c
}

// Figure is a number that may be undefined: NaN, in JSON null.
type Figure float64

// MarshalJSON writes null for what is undefined.
func (f Figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// UnmarshalJSON reads null as undefined.
func (f *Figure) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*f = Figure(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(f))
}
