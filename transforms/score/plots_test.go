package score

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/picture"
)

// texts reads an SVG as strictly as XML is read, and returns what is written in it.
func texts(t *testing.T, svg []byte) string {
	t.Helper()
	var all strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			all.Write(append(text, '\n'))
		}
	}
}

func TestEveryReportCanBeDrawn(t *testing.T) {
	for _, c := range append(read(t).Tables, table{Name: "nothing"}) {
		r := Evaluate(c.rows(), Gaps{}, ByRow)
		plots := r.Plots()
		for _, name := range []string{ROCFile, ReliabilityFile, LevelsFile} {
			got := texts(t, plots[name])
			for level, m := range r.Targets[:7] {
				if defined := m.Area.String() != "one class only"; name != ReliabilityFile && defined && (!strings.Contains(got, m.Area.String()) || !bytes.Contains(plots[name], []byte(picture.Hex(level)))) {
					t.Errorf("%s: %s has no area %s of level %d in its colour", c.Name, name, m.Area, level)
				}
			}
			if name == ReliabilityFile && r.Vertebrae.N > 0 && !strings.Contains(got, "Brier score "+r.Vertebrae.Brier.String()) {
				t.Errorf("%s: the Brier score is not in %s", c.Name, got)
			}
		}
	}
}

func TestReliabilityIsDrawnOfBinsThatAreNotEmpty(t *testing.T) {
	m := Measures{Reliability: []Bin{{Low: 0, High: 0.1, N: 2000, Mean: 0.04, Share: 0.02, Interval: [2]Figure{0.015, 0.03}}, {Low: 0.1, High: 0.2, Mean: Figure(nan), Share: Figure(nan)}}}
	c := m.ReliabilityCharts("vertebrae")
	if l := c.Curve.Lines[0]; len(l.X) != 1 || l.Y[0] != 0.02 || l.Low[0] != 0.015 || l.High[0] != 0.03 {
		t.Errorf("%+v", l)
	}
	if b := c.Counts; len(b.Edges) != 3 || b.Series[0].Values[0] != 2000 || b.Series[0].Values[1] != 0 {
		t.Errorf("%+v", b)
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
