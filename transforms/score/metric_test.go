package score

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
)

// references are testdata/metric.json, which metric.py writes.
type references struct {
	Tables   []table   `json:"tables"`
	Rankings []ranking `json:"rankings"`
}

type table struct {
	Name   string      `json:"name"`
	P      [][]float64 `json:"p"`
	Y      [][]*int8   `json:"y"`
	Row    reference   `json:"row"`
	Global reference   `json:"global"`
}

type reference struct {
	Loss           float64                          `json:"loss"`
	Best           [classify.Targets]float64        `json:"best"`
	BestLoss       float64                          `json:"best_loss"`
	PrevalenceLoss float64                          `json:"prevalence_loss"`
	Calibration    map[string]map[string][2]float64 `json:"calibration"`
}

// of returns what the reference says under each normalisation.
func (t *table) of() map[Normalise]reference {
	return map[Normalise]reference{"": t.Row, ByRow: t.Row, Globally: t.Global}
}

func (t *table) rows() []Judged {
	var rows []Judged
	for i := range t.P {
		j := Judged{Study: fmt.Sprintf("%03d", i)}
		copy(j.P[:], t.P[i])
		for k, label := range t.Y[i] {
			if j.Truth[k] = load.Unknown; label != nil {
				j.Truth[k] = *label
			}
		}
		rows = append(rows, j)
	}
	return rows
}

type ranking struct {
	Name  string    `json:"name"`
	P     []float64 `json:"p"`
	Y     []int     `json:"y"`
	Group []int     `json:"group"`
	Area  *struct {
		AUC      float64    `json:"auc"`
		Interval [2]float64 `json:"interval"`
	} `json:"area"`
	Brier       float64      `json:"brier"`
	Share       []float64    `json:"share"`
	Mean        []float64    `json:"mean"`
	N           []int        `json:"n"`
	Error       float64      `json:"error"`
	Wilson      [][2]float64 `json:"wilson"`
	Precision   float64      `json:"precision"`
	Sensitivity float64      `json:"sensitivity"`
	Specificity float64      `json:"specificity"`
	ROC         [2][]float64 `json:"roc"`
}

func (r *ranking) labels() Labels {
	l := Labels{P: r.P, Group: r.Group}
	for _, y := range r.Y {
		l.Fractured = append(l.Fractured, y == 1)
	}
	return l
}

func read(t *testing.T) references {
	t.Helper()
	file, err := os.ReadFile("testdata/metric.json")
	if err != nil {
		t.Fatal(err)
	}
	var r references
	if err := json.Unmarshal(file, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func near(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= tolerance || math.IsNaN(got) && math.IsNaN(want)
}

func TestMetricIsThePublicGraders(t *testing.T) {
	for _, c := range read(t).Tables {
		for n, want := range c.of() {
			if got := WeightedLogLoss(c.rows(), n); !near(got, want.Loss, 1e-12*max(1, want.Loss)) {
				t.Errorf("%s, normalised by %q: %.15g, want %.15g", c.Name, n, got, want.Loss)
			}
			if got := Prevalence(c.rows(), n); !near(float64(got.Loss), want.PrevalenceLoss, 1e-12) {
				t.Errorf("%s, normalised by %q: prevalence scores %.15g, want %.15g", c.Name, n, got.Loss, want.PrevalenceLoss)
			}
		}
	}
}

func TestNoConstantScoresBetterThanTheBest(t *testing.T) {
	for _, c := range read(t).Tables {
		for n, want := range c.of() {
			got := BestConstant(c.rows(), n)
			if float64(got.Loss) > want.BestLoss+1e-12 || !near(float64(got.Loss), want.BestLoss, 1e-7) {
				t.Errorf("%s, normalised by %q: loss %.15g, found by search %.15g", c.Name, n, got.Loss, want.BestLoss)
			}
			for target, p := range got.P {
				if !near(float64(p), want.Best[target], 1e-6) {
					t.Errorf("%s, normalised by %q: %s is %g, found by search %g", c.Name, n, classify.TargetName(target), p, want.Best[target])
				}
			}
		}
	}
}

func TestOneHalfScoresLogTwoOnAnyLabels(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rows := drawRows(r)
		for i := range rows {
			for target := range rows[i].P {
				rows[i].P[target] = 0.5
			}
		}
		for _, n := range []Normalise{ByRow, Globally} {
			if got := WeightedLogLoss(rows, n); !near(got, math.Ln2, 1e-12) && !nothing(rows) {
				r.Fatalf("%s: %g", n, got)
			}
		}
	})
}

func TestTruthScoresZero(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rows := drawRows(r)
		for i := range rows {
			for target, label := range rows[i].Truth {
				rows[i].P[target] = float64(max(label, 0))
			}
		}
		for _, n := range []Normalise{ByRow, Globally} {
			if got := WeightedLogLoss(rows, n); !near(got, 0, 2e-15) && !nothing(rows) {
				r.Fatalf("%s: %g", n, got)
			}
		}
	})
}

func TestOrderOfStudiesChangesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rows := drawRows(r)
		shuffled := append([]Judged(nil), rows...)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, n := range []Normalise{ByRow, Globally} {
			if a, b := WeightedLogLoss(rows, n), WeightedLogLoss(shuffled, n); !near(a, b, 1e-12*max(1, a)) {
				r.Fatalf("%s: %g and %g", n, a, b)
			}
		}
		truth, answers := Truth{}, []Answer{}
		for _, j := range shuffled {
			truth[j.Study], answers = j.Truth, append(answers, Answer{j.Study, j.P})
		}
		joined, _ := Join(answers, truth)
		if a, b := Evaluate(rows, Gaps{}, ByRow), Evaluate(joined, Gaps{}, ByRow); fmt.Sprint(a) != fmt.Sprint(b) {
			r.Fatalf("joined again, the report is another:\n%v\n%v", a, b)
		}
	})
}

func TestMetricIsTheMeanOfTargetsLossesByTheirShares(t *testing.T) {
	for _, c := range read(t).Tables {
		for _, n := range []Normalise{ByRow, Globally} {
			r := Evaluate(c.rows(), Gaps{}, n)
			sum, share := 0.0, 0.0
			for _, m := range r.Targets {
				sum += float64(m.Share * m.Loss)
				share += float64(m.Share)
			}
			if !near(sum, float64(r.Loss), 1e-12*max(1, sum)) || !near(share, 1, 1e-12) {
				t.Errorf("%s, normalised by %s: %g of shares that sum to %g, want %g", c.Name, n, sum, share, r.Loss)
			}
		}
	}
}

// drawRows draws studies sorted by name, with unknown labels and missing answers.
func drawRows(r *rapid.T) []Judged {
	var rows []Judged
	for i := range rapid.IntRange(1, 12).Draw(r, "studies") {
		j := Judged{Study: fmt.Sprintf("%03d", i)}
		for target := range j.P {
			j.Truth[target] = int8(rapid.IntRange(-1, 1).Draw(r, "label"))
			if j.P[target] = float64(rapid.IntRange(0, 20).Draw(r, "p")) / 20; rapid.IntRange(0, 9).Draw(r, "missing") == 0 {
				j.P[target] = nan
			}
		}
		rows = append(rows, j)
	}
	return rows
}

// nothing tells whether no target is judged, so that no measure is defined.
func nothing(rows []Judged) bool {
	for _, j := range rows {
		for target := range j.P {
			if j.counts(target) {
				return false
			}
		}
	}
	return true
}

func TestWhatOneSideLacksIsCountedAndNamed(t *testing.T) {
	truth := Truth{"a": {0, 1, -1, 0, 0, 0, 0, 1}, "b": {}, "c": {-1, -1, -1, -1, -1, -1, -1, -1}}
	answers := []Answer{unanswered("a"), unanswered("x")}
	answers[0].P = [classify.Targets]float64{0.5, nan, nan, 0.5, 0.5, 0.5, 0.5, 0.5}
	answers[1].P[6], answers[1].P[7] = 0.1, 0.2
	rows, gaps := Join(answers, truth)
	want := Gaps{Unanswered: 9, FirstUnanswered: "a_C2", Unlabelled: 2, FirstUnlabelled: "x_C7"}
	if gaps != want || len(rows) != 1 || rows[0].Study != "a" {
		t.Errorf("%+v and %v, want %+v", gaps, rows, want)
	}
}

func TestUndefinedIsNullInJSON(t *testing.T) {
	r := Evaluate([]Judged{{Study: "a", P: [classify.Targets]float64{0.1}, Truth: [classify.Targets]int8{0, -1, -1, -1, -1, -1, -1, -1}}}, Gaps{}, "")
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if m := back.Targets[0]; !math.IsNaN(float64(m.AUC)) || !math.IsNaN(float64(m.Interval[0])) || m.ROC != nil || m.N != 1 {
		t.Errorf("one intact vertebra has %+v", m)
	}
	if m := back.Targets[1]; m.N != 0 || !math.IsNaN(float64(m.Loss)) || !math.IsNaN(float64(m.Brier)) {
		t.Errorf("no vertebra has %+v", m)
	}
	if back.Studies != 1 || back.Labels != 1 || back.Normalise != ByRow {
		t.Errorf("%+v", back)
	}
}
