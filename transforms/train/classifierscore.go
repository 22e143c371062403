package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/predict"
	"github.com/cspine/cspine/transforms/score"
)

// ClassifierScore is how well a classifier tells what is fractured, by the answers that it alone would give (predict.Study). What
// is undefined is null in JSON.
type ClassifierScore struct {
	// LogLoss is the competition's metric, normalised by row; see score.WeightedLogLoss.
	LogLoss score.Figure `json:"log_loss"`
	// AUC is each level's area under the ROC curve, C1 to C7, VertebraAUC that of all vertebrae together, and PatientAUC the patients'.
	AUC         [Levels]score.Figure `json:"auc"`
	VertebraAUC score.Figure         `json:"vertebra_auc"`
	PatientAUC  score.Figure         `json:"patient_auc"`
	// Judged has each study's answers beside what is known of it, in the order of the samples. A history does not keep it.
	Judged []score.Judged `json:"-"`
}

// classifierMeter collects logits by study.
type classifierMeter struct {
	cfg    FractureLoss
	spec   classify.Spec
	places map[string]int // in said and judged
	said   []predict.Said
	judged []score.Judged

	slices, patients entropy
}

// entropy is a sum of weighted cross entropies, and of their weights.
type entropy struct{ sum, weight float64 }

func (e *entropy) add(logits []float32, label int8, positive float64) {
	if label == load.Unknown {
		return
	}
	w := 1.0
	if label == 1 {
		w = positive
	}
	for _, v := range logits {
		z := float64(v)
		e.sum += w * (max(z, 0) - z*float64(label) + math.Log1p(math.Exp(-math.Abs(z))))
		e.weight += w
	}
}

// mean is 0 where nothing was added.
func (e *entropy) mean() float64 {
	if e.weight == 0 {
		return 0
	}
	return e.sum / e.weight
}

func (m *classifierMeter) Add(cases []*load.Case, outputs [][]float32) error {
	for i, one := range cases {
		at, known := m.places[one.Study]
		if !known {
			at = len(m.said)
			m.places[one.Study] = at
			m.said = append(m.said, predict.Said{Spec: m.spec})
			m.judged = append(m.judged, score.Judged{Study: one.Study, Truth: nothingKnown})
		}
		said, judged := &m.said[at], &m.judged[at]
		for k, crop := range one.Crops {
			level := max(one.Level, k)
			if crop == nil {
				continue
			}
			if said.Slices[level] != nil {
				return fmt.Errorf("study %s has %s twice", one.Study, classify.TargetName(level))
			}
			logits := slices.Clone(outputs[0][(i*len(one.Crops)+k)*classify.Positions:][:classify.Positions])
			said.Slices[level], judged.Truth[level] = logits, one.Labels[k]
			m.slices.add(logits, one.Labels[k], m.cfg.PositiveWeight)
		}
		judged.Truth[classify.PatientTarget] = one.Patient
		if m.spec.Type == classify.Patient {
			said.Patient = outputs[1][i]
			m.patients.add(outputs[1][i:i+1], one.Patient, m.cfg.PositiveWeight)
		}
	}
	return nil
}

// nothingKnown is the truth of a study before it is looked at.
var nothingKnown = func() (t [classify.Targets]int8) {
	for i := range t {
		t[i] = load.Unknown
	}
	return t
}()

func (m *classifierMeter) Validation() (*Validation, error) {
	v := &Validation{Studies: len(m.said), Loss: m.slices.mean(), ClassifierScore: &ClassifierScore{Judged: m.judged}}
	if m.spec.Type == classify.Patient {
		v.Loss = (1-m.cfg.Patient)*v.Loss + m.cfg.Patient*m.patients.mean()
	}
	if !finite(v.Loss) {
		return v, nil // and no answer can be made of such logits
	}
	for i := range m.said {
		verdict, err := predict.Study(m.said[i:i+1], predict.Options{})
		if err != nil {
			return nil, fmt.Errorf("study %s: %w", m.judged[i].Study, err)
		}
		m.judged[i].P = verdict.P
		for level, found := range verdict.Found {
			if !found {
				m.judged[i].P[level] = math.NaN()
			}
		}
	}
	v.LogLoss = score.Figure(score.WeightedLogLoss(m.judged, score.ByRow))
	var levels []int
	for level := range Levels {
		levels = append(levels, level)
		v.AUC[level] = score.AUC(score.LabelsOf(m.judged, level)).AUC
	}
	v.VertebraAUC = score.AUC(score.LabelsOf(m.judged, levels...)).AUC
	v.PatientAUC = score.AUC(score.LabelsOf(m.judged, classify.PatientTarget)).AUC
	return v, nil
}
