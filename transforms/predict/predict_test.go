package predict

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/classify"
)

// reference is a case of testdata/cases.json, which make_cases.py wrote.
type reference struct {
	Name   string
	Models []struct {
		Type        int
		Slices      [volume.Levels][]float32
		Patient     float32
		Prior       []float64
		Calibration [classify.Targets][2]float64
	}
	Top                     int
	Product, Floor, Ceiling float64
	Want                    [classify.Targets]float64
	Alone                   [][classify.Targets]float64
}

func (r reference) said() []Said {
	var said []Said
	for _, m := range r.Models {
		s := Said{Slices: m.Slices, Patient: m.Patient, Spec: classify.Spec{Type: m.Type, PriorKnown: m.Prior != nil}}
		copy(s.Spec.Prior[:], m.Prior)
		for t, c := range m.Calibration {
			s.Spec.Calibration[t] = classify.Calibration{Scale: c[0], Shift: c[1]}
		}
		said = append(said, s)
	}
	return said
}

func (r reference) options() Options {
	return Options{Top: r.Top, Product: r.Product, Head: 1 - r.Product, Floor: r.Floor, Ceiling: r.Ceiling}
}

func references(t *testing.T) []reference {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []reference
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func near(a, b [classify.Targets]float64) bool {
	for t := range a {
		if !(math.Abs(a[t]-b[t]) < 1e-12) {
			return false
		}
	}
	return true
}

func TestVerdictsAreNumpys(t *testing.T) {
	for _, r := range references(t) {
		v, err := Study(r.said(), r.options())
		if err != nil {
			t.Fatal(r.Name, err)
		}
		if !near(v.P, r.Want) {
			t.Errorf("%s: %v, want %v", r.Name, v.P, r.Want)
		}
		if len(v.Alone) != len(r.Alone) {
			t.Fatalf("%s: %d answers for %d classifiers", r.Name, len(v.Alone), len(r.Alone))
		}
		for i := range r.Alone {
			if !near(v.Alone[i], r.Alone[i]) {
				t.Errorf("%s: classifier %d alone: %v, want %v", r.Name, i, v.Alone[i], r.Alone[i])
			}
		}
		for level, logits := range r.Models[0].Slices {
			if v.Found[level] != (logits != nil) || len(v.Slices[level]) != len(logits) {
				t.Errorf("%s: found %v with %d slices", r.Name, v.Found, len(v.Slices[level]))
			}
		}
	}
}

func TestAStudyNobodySawIsAnsweredAsOneWithoutVertebrae(t *testing.T) {
	for _, r := range references(t) {
		if r.Models[0].Slices[3] != nil {
			continue
		}
		var specs []classify.Spec
		for _, s := range r.said() {
			specs = append(specs, s.Spec)
		}
		p, err := Unseen(specs, r.options())
		if err != nil || !near(p, r.Want) {
			t.Errorf("%s: %v, %v, want %v", r.Name, p, err, r.Want)
		}
	}
}

func TestACalibrationChangesItsOwnTargetAlone(t *testing.T) {
	said := references(t)[2].said()
	before, err := Study(said, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for target := range classify.Targets {
		said[1].Spec.Calibration[target] = classify.Calibration{Scale: 0.5, Shift: 1}
		after, err := Study(said, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for other := range classify.Targets {
			if changed := before.P[other] != after.P[other]; changed != (other == target) {
				t.Errorf("calibrating %s: %s is changed: %t", classify.TargetName(target), classify.TargetName(other), changed)
			}
		}
		said[1].Spec.Calibration[target] = classify.Calibration{}
	}
}

func TestCertaintyStaysCertainWhenCalibrated(t *testing.T) {
	c := classify.Calibration{Scale: 0.7, Shift: -2}
	if lo, hi := Calibrate(0, c), Calibrate(1, c); lo != 0 || hi != 1 {
		t.Errorf("0 becomes %g, 1 becomes %g", lo, hi)
	}
}

func TestWrongOptionsAndLogitsAreErrors(t *testing.T) {
	nan := float32(math.NaN())
	ok := references(t)[0].said()
	for name, c := range map[string]struct {
		said []Said
		o    Options
	}{
		"shares beyond 1":       {ok, Options{Product: 0.5, Head: 0.6}},
		"a negative share":      {ok, Options{Product: -0.2, Head: 1.2}},
		"a share that is NaN":   {ok, Options{Product: math.NaN(), Head: 1}},
		"too many slices":       {ok, Options{Top: 16}},
		"floor above ceiling":   {ok, Options{Floor: 0.6, Ceiling: 0.5}},
		"ceiling 1":             {ok, Options{Ceiling: 1}},
		"nobody":                {nil, Options{}},
		"a logit that is NaN":   {[]Said{{Slices: [volume.Levels][]float32{2: {0, nan}}}}, Options{}},
		"a patient that is NaN": {[]Said{{Spec: classify.Spec{Type: classify.Patient}, Patient: nan}}, Options{}},
		"other vertebrae":       {append(ok[:1:1], Said{}), Options{}},
	} {
		if v, err := Study(c.said, c.o); err == nil {
			t.Errorf("%s: %v", name, v.P)
		}
	}
}
