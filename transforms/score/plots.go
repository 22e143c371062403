package score

import (
	"fmt"
	"math"
	"slices"

	"github.com/cspine/cspine/internal/chart"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/volume"
)

// The pictures of a report.
const (
	ROCFile         = "roc.svg"
	ReliabilityFile = "reliability.svg"
	LevelsFile      = "levels.svg"
)

// Plots draws the report: ROC curves, reliability of vertebrae and patients, and the areas of all levels with their intervals. SVGs by
// file name.
func (r *Report) Plots() map[string][]byte {
	vertebrae, patients := r.Vertebrae.ReliabilityCharts("vertebrae"), r.Patient().ReliabilityCharts("patients")
	return map[string][]byte{
		ROCFile:    chart.File("ROC curves", []chart.Chart{r.ROCChart()}),
		LevelsFile: chart.File("Areas under the ROC curves", []chart.Chart{r.AreaChart()}),
		ReliabilityFile: chart.File("Reliability of probabilities", []chart.Chart{vertebrae.Curve, patients.Curve},
			[]chart.Chart{vertebrae.Counts, patients.Counts}),
	}
}

// Rows are what is measured: C1 to C7, all of them together, and the patient.
func (r *Report) Rows() []Measures {
	return append(slices.Clone(r.Targets[:volume.Levels]), r.Vertebrae, *r.Patient())
}

// Patient is how good the answers for whole patients are.
func (r *Report) Patient() *Measures { return &r.Targets[volume.Levels] }

// TargetLabel is a target's name for people.
func TargetLabel(target string) string {
	switch target {
	case "patient_overall":
		return "patient"
	case "vertebrae":
		return "C1 to C7"
	}
	return target
}

// colour is that of a row: a level's own, or the text's.
func colour(row int) string {
	if row < volume.Levels {
		return picture.Hex(row)
	}
	return chart.TextColour
}

// ROCChart draws the ROC curves; what has one class only has none.
func (r *Report) ROCChart() chart.Lines {
	c := chart.Lines{Title: fmt.Sprintf("ROC curves, %d studies: area [95 %% interval]", r.Studies), X: "false positive rate (1 − specificity)", Y: "sensitivity",
		Square: true, XRange: [2]float64{0, 1}, YRange: [2]float64{0, 1}}
	for i, m := range r.Rows() {
		l := chart.Line{Name: TargetLabel(m.Target) + "  " + m.Area.String(), Colour: colour(i), Wide: i >= volume.Levels, Dashed: i > volume.Levels}
		for _, p := range m.ROC {
			l.Add(p.FalsePositive, p.TruePositive)
		}
		if len(l.X) > 0 {
			c.Lines = append(c.Lines, l)
		}
	}
	return c
}

// AreaChart draws the areas under the ROC curves with their intervals.
func (r *Report) AreaChart() chart.Intervals {
	c := chart.Intervals{Title: fmt.Sprintf("Area under the ROC curve, %d studies", r.Studies), X: "area, 95 % interval", Range: [2]float64{0, 1}, Reference: 0.5}
	for i, m := range r.Rows() {
		c.Rows = append(c.Rows, chart.Interval{Name: TargetLabel(m.Target), Value: float64(m.AUC), Low: float64(m.Interval[0]), High: float64(m.Interval[1]),
			Colour: colour(i), Note: fmt.Sprintf("%s, %d of %d fractured", m.Area, m.Fractured, m.N)})
	}
	return c
}

// ReliabilityCharts are what comes true of probabilities by what was said, and how often which was said.
type ReliabilityCharts struct {
	Curve  chart.Lines
	Counts chart.Bars
}

// ReliabilityCharts draws how far probabilities are frequencies. what is what the answers are about, such as vertebrae. The logarithm is drawn of counts:
// most vertebrae are in the first bin.
func (m *Measures) ReliabilityCharts(what string) ReliabilityCharts {
	l := chart.Line{Name: what, Points: true}
	counts := chart.Bars{Title: fmt.Sprintf("Probabilities of %s (Brier score %s)", what, m.Brier), X: "probability of a fracture", Y: what + " (logarithmic)",
		LogY: true, Whole: true, Written: true, Series: []chart.Series{{}}}
	for i, b := range m.Reliability {
		if i == 0 {
			counts.Edges = append(counts.Edges, b.Low)
		}
		counts.Edges, counts.Series[0].Values = append(counts.Edges, b.High), append(counts.Series[0].Values, float64(b.N))
		if b.N > 0 {
			l.Add(float64(b.Mean), float64(b.Share))
			l.Low, l.High = append(l.Low, float64(b.Interval[0])), append(l.High, float64(b.Interval[1]))
		}
	}
	curve := chart.Lines{Title: fmt.Sprintf("Reliability of %s (calibration error %s)", what, m.Error), X: "mean probability of a fracture",
		Y: "share fractured, 95 % interval", Square: true, Lines: []chart.Line{l}, XRange: [2]float64{0, 1}, YRange: [2]float64{0, 1}}
	return ReliabilityCharts{curve, counts}
}

// String is the area and its interval for people.
func (a Area) String() string {
	if math.IsNaN(float64(a.AUC)) {
		return "one class only"
	}
	return fmt.Sprintf("%.3f [%.3f, %.3f]", a.AUC, a.Interval[0], a.Interval[1])
}

// String has three decimals, or a dash for what is undefined.
func (f Figure) String() string {
	if math.IsNaN(float64(f)) {
		return "–"
	}
	return fmt.Sprintf("%.3f", float64(f))
}
