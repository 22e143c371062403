package train

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/transforms/score"
)

// course is a history of n epochs as a training has it: dice measured every second epoch.
func course(n int) (history []Epoch) {
	for i := range n {
		x := float64(i+1) / float64(n)
		e := Epoch{Epoch: i + 1, Updates: int64(100 * (i + 1)), Rate: 3e-3 * (1 - x), Loss: 0.2 + math.Exp(-4*x), Norm: 2, Seconds: 60, Time: 1.7e9 + float64(60*i)}
		if i%2 == 1 {
			v := &Validation{Studies: 17, Loss: 0.25 + math.Exp(-3*x), SegmenterScore: &SegmenterScore{Mean: 0.95 * (1 - math.Exp(-4*x))}}
			v.Interval = [2]float64{v.Mean - 0.03, v.Mean + 0.02}
			for l := range v.Dice {
				v.Dice[l] = v.Mean * (1 - 0.02*float64(l))
			}
			e.Validation = v
		}
		history = append(history, e)
	}
	return history
}

// fractureCourse is the same of a classifier. No patient is intact, so that their area is undefined.
func fractureCourse(n int) []Epoch {
	history := course(n)
	for i := range history {
		if v := history[i].Validation; v != nil {
			auc := score.Figure(v.Mean)
			v.SegmenterScore, v.ClassifierScore = nil, &ClassifierScore{LogLoss: score.Figure(v.Loss), VertebraAUC: auc, PatientAUC: score.Figure(math.NaN())}
			for l := range v.AUC {
				v.AUC[l] = auc - score.Figure(l)/100
			}
			v.AUC[3] = score.Figure(math.NaN())
		}
	}
	return history
}

// sameFigures takes undefined figures for equal, and those that rounding to float32 sets apart.
var sameFigures = cmp.Comparer(func(a, b score.Figure) bool {
	return math.IsNaN(float64(a)) && math.IsNaN(float64(b)) || math.Abs(float64(a-b)) < 1e-6
})

func TestLinesAreReadBack(t *testing.T) {
	for _, want := range [][]Epoch{course(5), fractureCourse(5)} {
		linesAreReadBack(t, want)
	}
}

func linesAreReadBack(t *testing.T, want []Epoch) {
	file, err := Lines(want)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(file, []byte("\n")); n != 5 {
		t.Errorf("%d lines", n)
	}
	got, err := ReadLines(file)
	if diff := cmp.Diff(want, got, sameFigures); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := ReadLines([]byte("{\n")); err == nil {
		t.Error("a broken line is taken")
	}
}

// What segmenters' histories looked like before there were classifiers.
func TestOldLinesAreRead(t *testing.T) {
	const line = `{"epoch":1,"updates":5,"learning_rate":0.05,"train_loss":0.2,"gradient_norm":0.06,"validation":{"studies":5,"loss":0.7,"dice":[0,0.4,0,0,0.2,0,0],"mean_dice":0.1,"interval":[0.05,0.15]},"best":true,"seconds":0,"time":0}` + "\n"
	history, err := ReadLines([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	want := &Validation{Studies: 5, Loss: 0.7, SegmenterScore: &SegmenterScore{Dice: [Levels]float64{1: 0.4, 4: 0.2}, Mean: 0.1, Interval: [2]float64{0.05, 0.15}}}
	if diff := cmp.Diff(want, history[0].Validation); diff != "" {
		t.Error(diff)
	}
	if again, err := Lines(history); err != nil || string(again) != line {
		t.Errorf("written again: %s, %v", again, err)
	}
}

func TestEventsOnlyGrow(t *testing.T) {
	for _, history := range [][]Epoch{course(9), fractureCourse(9)} {
		long := Events(history)
		for n := range history {
			if short := Events(history[:n]); !bytes.HasPrefix(long, short) {
				t.Errorf("the file of %d epochs is no beginning of that of 9", n)
			}
		}
	}
	if file := Events(fractureCourse(2)); !bytes.Contains(file, []byte("auc/C3")) || bytes.Contains(file, []byte("auc/C4")) || bytes.Contains(file, []byte("auc/patient")) {
		t.Error("areas are not those that are defined")
	}
}

func TestCurvesAreDrawnOfWhatIsDefined(t *testing.T) {
	for _, c := range []struct {
		name    string
		history []Epoch
		charts  int
		points  []int // of each curve of the chart before the last
	}{
		{"nothing measured", course(1), 2, []int{1}},
		{"dice", course(6), 3, []int{3, 3, 3, 3, 3, 3, 3, 3}},
		{"areas", fractureCourse(6), 4, []int{3, 3, 3, 0, 3, 3, 3, 3, 0}},
	} {
		charts := Charts("fold 0", c.history)
		if len(charts) != c.charts {
			t.Fatalf("%s: %d charts", c.name, len(charts))
		}
		var points []int
		for _, l := range charts[len(charts)-2].Lines {
			n := 0
			for _, y := range l.Y {
				if !math.IsNaN(y) {
					n++
				}
			}
			points = append(points, n)
		}
		if c.charts == 2 {
			points = points[:1]
		}
		if diff := cmp.Diff(c.points, points); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		file := Curves("fold 0", c.history)
		for d := xml.NewDecoder(bytes.NewReader(file)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if want := "Learning rate of fold 0 by epoch"; !bytes.Contains(file, []byte(want)) {
			t.Errorf("%s: %q is not in the file", c.name, want)
		}
	}
}
