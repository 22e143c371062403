package score

import (
	"bytes"
	"image/png"
	"testing"
)

func TestEveryReportCanBeDrawn(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	for _, c := range append(read(t).Tables, table{Name: "nothing"}) {
		plots, err := Evaluate(c.rows(), Gaps{}, ByRow).Plots()
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		for _, name := range []string{ROCFile, ReliabilityFile, LevelsFile} {
			if _, err := png.Decode(bytes.NewReader(plots[name])); err != nil {
				t.Errorf("%s: %s: %v", c.Name, name, err)
			}
		}
	}
}

func TestUndefinedFiguresAreDashes(t *testing.T) {
	if got := Figure(nan).String() + " " + Figure(0.12345).String(); got != "– 0.123" {
		t.Error(got)
	}
	if got := AUC(Labels{P: []float64{0.1}, Fractured: []bool{true}}).String(); got != "one class only" {
		t.Error(got)
	}
}
