package score

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/volume"
)

// The pictures of a report.
const (
	ROCFile         = "roc.png"
	ReliabilityFile = "reliability.png"
	LevelsFile      = "levels.png"
)

// Plots draws the report: ROC curves, reliability of vertebrae and patients, and the areas of all levels with their intervals. PNGs by
// file name.
func (r *Report) Plots() (map[string][]byte, error) {
	var curves []picture.Curve
	var forest []picture.Forest
	patient := r.Targets[volume.Levels]
	for i, m := range append(slices.Clone(r.Targets[:volume.Levels]), r.Vertebrae, patient) {
		shade := color.RGBA{A: 0xFF}
		if i < volume.Levels {
			shade = picture.Palette[i]
		}
		name := label(m.Target)
		c := picture.Curve{Name: fmt.Sprintf("%s  %s", name, m.Area), Color: shade, Wide: i >= volume.Levels, Dashed: i == volume.Levels}
		for _, p := range m.ROC {
			c.Add(p.FalsePositive, p.TruePositive)
		}
		curves = append(curves, c)
		forest = append(forest, picture.Forest{Name: name, Value: float64(m.AUC), Low: float64(m.Interval[0]), High: float64(m.Interval[1]), Color: shade,
			Note: fmt.Sprintf("%s    %d of %d fractured", m.Area, m.Fractured, m.N)})
	}
	plots := map[string][]byte{}
	var err error
	if plots[ROCFile], err = picture.ROC(fmt.Sprintf("ROC, %d studies: area [95 %% interval]", r.Studies), curves); err != nil {
		return nil, err
	}
	if plots[ReliabilityFile], err = picture.Reliability([]picture.Reliable{r.Vertebrae.reliable("vertebrae"), patient.reliable("patients")}); err != nil {
		return nil, err
	}
	plots[LevelsFile], err = picture.Forests(fmt.Sprintf("Area under the ROC curve, %d studies", r.Studies), "area, 95 % interval", 0.5, forest)
	return plots, err
}

// label is a target's name for people.
func label(target string) string {
	switch target {
	case "patient_overall":
		return "patient"
	case "vertebrae":
		return "C1 to C7"
	}
	return target
}

// reliable is the measures' reliability diagram.
func (m *Measures) reliable(name string) picture.Reliable {
	d := picture.Reliable{Name: fmt.Sprintf("%d %s, %d fractured", m.N, name, m.Fractured),
		Note: fmt.Sprintf("Brier score %s, calibration error %s", m.Brier, m.Error)}
	for _, b := range m.Reliability {
		d.Bins = append(d.Bins, picture.ReliableBin{Low: b.Low, High: b.High, N: b.N, Mean: float64(b.Mean), Share: float64(b.Share),
			Interval: [2]float64{float64(b.Interval[0]), float64(b.Interval[1])}})
	}
	return d
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
