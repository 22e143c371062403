package picture

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"testing"
)

func decoded(t *testing.T, file []byte, err error) image.Image {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestCurvesAreDrawnInTheirColours(t *testing.T) {
	file, err := ROC("two", []Curve{
		{Name: "C1", X: []float64{0, 0, 1}, Y: []float64{0, 1, 1}, Color: Palette[0], Wide: true},
		{Name: "C2", Color: Palette[1]}, // one class only
	})
	img := decoded(t, file, err)
	if n := count(img, Palette[0]); n < 500 {
		t.Errorf("%d pixels of the curve's colour", n)
	}
	if n := count(img, Palette[1]); n != 0 {
		t.Errorf("%d pixels of a curve without points", n)
	}
}

func TestForestPlotsLeaveOutWhatIsUndefined(t *testing.T) {
	file, err := Forests("areas", "area", 0.5, []Forest{
		{Name: "C1", Value: 0.9, Low: 0.8, High: 0.95, Color: Palette[0]},
		{Name: "C2", Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Color: Palette[1]},
		{Name: "C3", Value: 0.2, Low: math.NaN(), High: math.NaN(), Color: Palette[2]},
	})
	img := decoded(t, file, err)
	for level, drawn := range []bool{true, false, true} {
		if n := count(img, Palette[level]); (n > 0) != drawn {
			t.Errorf("row %d has %d pixels", level, n)
		}
	}
	if _, err := Forests("", "", 0, nil); err == nil {
		t.Error("drew no rows")
	}
}

func TestReliabilityDiagramsShowOnlyBinsThatAreNotEmpty(t *testing.T) {
	nan := math.NaN()
	full := ReliableBin{Low: 0, High: 0.1, N: 2000, Mean: 0.04, Share: 0.02, Interval: [2]float64{0.015, 0.03}}
	empty := ReliableBin{Low: 0.1, High: 0.2, Mean: nan, Share: nan, Interval: [2]float64{nan, nan}}
	file, err := Reliability([]Reliable{{Name: "some", Bins: []ReliableBin{full, empty}}, {Name: "none", Note: "nothing", Bins: []ReliableBin{empty}}})
	img := decoded(t, file, err)
	left, right := 0, 0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if r, g, b, _ := img.At(x, y).RGBA(); [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)} == [3]uint8{bars.R, bars.G, bars.B} {
				if x < img.Bounds().Dx()/2 {
					left++
				} else {
					right++
				}
			}
		}
	}
	if left < 100 || right != 0 {
		t.Errorf("bars of %d and %d pixels", left, right)
	}
	if _, err := Reliability(nil); err == nil {
		t.Error("drew no diagram")
	}
}
