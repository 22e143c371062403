package score

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cspine/cspine/transforms/classify"
)

func TestCalibrationIsTheOneOfLeastLoss(t *testing.T) {
	for _, c := range read(t).Tables {
		for n, want := range c.of() {
			for name, fits := range want.Calibration {
				kind, plain := strings.CutSuffix(name, " plain")
				got, err := Calibrate(c.rows(), CalibrateOptions{Kind: kind, Plain: plain, Normalise: n})
				if err != nil {
					t.Fatal(err)
				}
				for target, v := range got {
					fit := fits["vertebrae"]
					if target == classify.PatientTarget {
						fit = fits["patient"]
					}
					if !near(v.Scale, fit[0], 1e-6) || !near(v.Shift, fit[1], 1e-6) {
						t.Errorf("%s, normalised by %q: %s of %s is %+v, found by search %v", c.Name, n, name, classify.TargetName(target), v, fit)
					}
				}
			}
		}
	}
}

func TestCalibrationNeverScoresWorseOnWhatItWasFittedOn(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rows := drawRows(r)
		o := CalibrateOptions{
			Kind:      rapid.SampledFrom([]string{Temperature, Platt}).Draw(r, "kind"),
			Normalise: rapid.SampledFrom([]Normalise{ByRow, Globally}).Draw(r, "normalise"),
			PerLevel:  rapid.Bool().Draw(r, "per level"),
		}
		c, err := Calibrate(rows, o)
		if err != nil {
			return // one class, or no better than chance
		}
		before, after := WeightedLogLoss(rows, o.Normalise), WeightedLogLoss(Calibrated(rows, c), o.Normalise)
		if !(after <= before+1e-9) {
			r.Fatalf("%+v: %g became %g", o, before, after)
		}
	})
}

func TestCalibrationMendsALogitThatIsTwiceTooSure(t *testing.T) {
	var rows, sure []Judged
	for _, c := range read(t).Tables {
		if c.Name == "random" {
			rows = c.rows()
		}
	}
	for _, r := range rows {
		for target, p := range r.P {
			r.P[target] = expit(2*logit(p) + 1)
		}
		sure = append(sure, r)
	}
	for _, perLevel := range []bool{false, true} {
		o := CalibrateOptions{Kind: Platt, PerLevel: perLevel}
		of, err := Calibrate(rows, o)
		if err != nil {
			t.Fatal(err)
		}
		ofSure, err := Calibrate(sure, o)
		if err != nil {
			t.Fatal(err)
		}
		a, b := WeightedLogLoss(Calibrated(rows, of), ByRow), WeightedLogLoss(Calibrated(sure, ofSure), ByRow)
		if !near(a, b, 2e-3) || WeightedLogLoss(sure, ByRow) < b {
			t.Errorf("per level %v: %g and %g", perLevel, a, b)
		}
		if crossed := CrossFitted(sure, o); !(crossed > b && crossed < WeightedLogLoss(sure, ByRow)) {
			t.Errorf("per level %v: cross-fitted %g, fitted %g, before %g", perLevel, crossed, b, WeightedLogLoss(sure, ByRow))
		}
	}
}

func TestCertaintyThatIsRightStays(t *testing.T) {
	var rows []Judged
	for i := range 10 {
		j := Judged{}
		for target := range j.P {
			j.Truth[target] = int8(i % 2)
			j.P[target] = float64(i % 2) // 0 or 1, and right
		}
		rows = append(rows, j)
	}
	for _, kind := range []string{Temperature, Platt} {
		c, err := Calibrate(rows, CalibrateOptions{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		if !(c[0].Scale > 0.9 && c[0].Scale < 2 && math.Abs(c[0].Shift) < 0.1) {
			t.Errorf("%s: %+v", kind, c[0])
		}
	}
}

func TestWhatCannotBeCalibratedIsRefused(t *testing.T) {
	alike := []Judged{{Truth: [classify.Targets]int8{}}, {}}
	wrong := []Judged{{}, {}}
	for target := range classify.Targets {
		wrong[0].P[target], wrong[1].P[target] = 0.2, 0.9
		wrong[0].Truth[target] = 1
	}
	for name, c := range map[string]struct {
		rows []Judged
		o    CalibrateOptions
		says string
	}{
		"kind":              {wrong, CalibrateOptions{Kind: "isotonic"}, `"isotonic" is not one of temperature, platt`},
		"nothing":           {nil, CalibrateOptions{}, "0 fractured and 0 intact"},
		"one class":         {alike, CalibrateOptions{PerLevel: true}, "C1: 0 fractured and 2 intact"},
		"worse than chance": {wrong, CalibrateOptions{}, "no better than chance"},
	} {
		if _, err := Calibrate(c.rows, c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
	if !math.IsNaN(CrossFitted(alike, CalibrateOptions{})) {
		t.Error("what can't be fitted is cross-fitted")
	}
}
