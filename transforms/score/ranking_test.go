package score

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestRankingIsScikitLearns(t *testing.T) {
	for _, c := range read(t).Rankings {
		l := c.labels()
		a := AUC(l)
		if c.Area == nil {
			if !math.IsNaN(float64(a.AUC)) || !math.IsNaN(float64(a.Interval[1])) || !math.IsNaN(float64(SensitivityAt90(l).Value)) || !math.IsNaN(float64(SpecificityAt90(l).Value)) {
				t.Errorf("%s: one class alone has %+v", c.Name, a)
			}
			continue
		}
		for what, v := range map[string][2]float64{
			"area":              {float64(a.AUC), c.Area.AUC},
			"interval's low":    {float64(a.Interval[0]), c.Area.Interval[0]},
			"interval's high":   {float64(a.Interval[1]), c.Area.Interval[1]},
			"average precision": {float64(AveragePrecision(l)), c.Precision},
			"sensitivity":       {float64(SensitivityAt90(l).Value), c.Sensitivity},
			"specificity":       {float64(SpecificityAt90(l).Value), c.Specificity},
		} {
			if !near(v[0], v[1], 1e-10) {
				t.Errorf("%s: %s is %.14g, want %.14g", c.Name, what, v[0], v[1])
			}
		}
		positive, negative := l.counts()
		steps := append([]Step{{}}, Steps(l)...)
		if len(steps) != len(c.ROC[0]) {
			t.Errorf("%s: %d points of the curve, want %d", c.Name, len(steps), len(c.ROC[0]))
			continue
		}
		for i, s := range steps {
			if !near(float64(s.Falsely)/float64(negative), c.ROC[0][i], 1e-12) || !near(float64(s.True)/float64(positive), c.ROC[1][i], 1e-12) {
				t.Errorf("%s: point %d of the curve is %+v", c.Name, i, s)
			}
		}
	}
}

func TestCurveKeepsItsAreaWithoutThePointsOnItsLines(t *testing.T) {
	for _, c := range read(t).Rankings {
		curve := corners(c.labels())
		if c.Area == nil {
			if curve != nil {
				t.Errorf("%s: one class alone has the curve %v", c.Name, curve)
			}
			continue
		}
		area := 0.0
		for i, p := range curve[1:] {
			area += (p.FalsePositive - curve[i].FalsePositive) * (p.TruePositive + curve[i].TruePositive) / 2
		}
		if !near(area, c.Area.AUC, 1e-12) || len(curve) > len(c.ROC[0]) {
			t.Errorf("%s: %d of %d points keep an area of %g, want %g", c.Name, len(curve), len(c.ROC[0]), area, c.Area.AUC)
		}
		if last := curve[len(curve)-1]; curve[0].FalsePositive+curve[0].TruePositive != 0 || last.FalsePositive != 1 || last.TruePositive != 1 {
			t.Errorf("%s: the curve goes from %+v to %+v", c.Name, curve[0], last)
		}
	}
}

func TestReliabilityIsScikitLearns(t *testing.T) {
	for _, c := range read(t).Rankings {
		bins := Reliability(c.labels())
		full := 0
		for b, bin := range bins {
			if bin.N != c.N[b] {
				t.Errorf("%s: bin %d has %d, want %d", c.Name, b, bin.N, c.N[b])
			}
			if bin.N == 0 {
				if !math.IsNaN(float64(bin.Share)) || !math.IsNaN(float64(bin.Interval[0])) {
					t.Errorf("%s: the empty bin %d has %+v", c.Name, b, bin)
				}
				continue
			}
			if !near(float64(bin.Mean), c.Mean[full], 1e-12) || !near(float64(bin.Share), c.Share[full], 1e-12) ||
				!near(float64(bin.Interval[0]), c.Wilson[full][0], 1e-12) || !near(float64(bin.Interval[1]), c.Wilson[full][1], 1e-12) {
				t.Errorf("%s: bin %d is %+v, want %g, %g, %v", c.Name, b, bin, c.Mean[full], c.Share[full], c.Wilson[full])
			}
			full++
		}
		if got := CalibrationError(bins); !near(float64(got), c.Error, 1e-12) {
			t.Errorf("%s: calibration error %g, want %g", c.Name, got, c.Error)
		}
		if got := Brier(c.labels()); !near(float64(got), c.Brier, 1e-12) {
			t.Errorf("%s: Brier score %g, want %g", c.Name, got, c.Brier)
		}
	}
}

func TestThresholdsKeepWhatTheyPromise(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := drawLabels(r)
		positive, negative := l.counts()
		if positive == 0 || negative == 0 {
			return
		}
		above := func(threshold float64) (sensitivity, specificity float64) {
			hit, passed := 0, 0
			for i, p := range l.P {
				if taken := p >= threshold; taken && l.Fractured[i] {
					hit++
				} else if !taken && !l.Fractured[i] {
					passed++
				}
			}
			return float64(hit) / float64(positive), float64(passed) / float64(negative)
		}
		if o := SensitivityAt90(l); !math.IsNaN(float64(o.Threshold)) {
			if a, b := above(float64(o.Threshold)); a != float64(o.Value) || b < 0.9 {
				r.Fatalf("%+v has sensitivity %g, specificity %g", o, a, b)
			}
		} else if o.Value != 0 {
			r.Fatalf("%+v", o)
		}
		o := SpecificityAt90(l)
		if a, b := above(float64(o.Threshold)); b != float64(o.Value) || a < 0.9 {
			r.Fatalf("%+v has sensitivity %g, specificity %g", o, a, b)
		}
	})
}

func TestAreaChangesByNoRisingMap(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := drawLabels(r)
		mapped := l
		mapped.P = nil
		for _, p := range l.P {
			mapped.P = append(mapped.P, 0.1+p*p*p/2)
		}
		a, b := AUC(l), AUC(mapped)
		if !near(float64(a.AUC), float64(b.AUC), 0) || !near(float64(a.Interval[0]), float64(b.Interval[0]), 0) || !near(float64(a.Interval[1]), float64(b.Interval[1]), 0) {
			r.Fatalf("%+v and %+v", a, b)
		}
		turned := Labels{P: l.P, Group: l.Group}
		for _, f := range l.Fractured {
			turned.Fractured = append(turned.Fractured, !f)
		}
		if c := AUC(turned); !near(float64(c.AUC), 1-float64(a.AUC), 1e-12) || !near(float64(c.Interval[0]), 1-float64(a.Interval[1]), 1e-9) {
			r.Fatalf("of the opposite: %+v and %+v", a, c)
		}
		if !math.IsNaN(float64(a.AUC)) && !(0 <= a.Interval[0] && a.Interval[0] <= a.AUC+1e-12 && a.AUC <= a.Interval[1]+1e-12 && a.Interval[1] <= 1) {
			r.Fatalf("%+v", a)
		}
	})
}

func drawLabels(r *rapid.T) Labels {
	var l Labels
	grouped := rapid.Bool().Draw(r, "grouped")
	for range rapid.IntRange(1, 30).Draw(r, "n") {
		l.P = append(l.P, float64(rapid.IntRange(0, 20).Draw(r, "p"))/20)
		l.Fractured = append(l.Fractured, rapid.Bool().Draw(r, "fractured"))
		if grouped {
			l.Group = append(l.Group, rapid.IntRange(0, 6).Draw(r, "group"))
		}
	}
	return l
}

func BenchmarkEvaluate(b *testing.B) {
	var rows []Judged
	for i := range 2019 {
		j := Judged{}
		for t := range j.P {
			j.P[t] = float64(i*7919%2019+t) / 2100
			j.Truth[t] = int8(i * 31 % 7 / 6)
		}
		rows = append(rows, j)
	}
	for b.Loop() {
		Evaluate(rows, Gaps{}, ByRow)
	}
}
