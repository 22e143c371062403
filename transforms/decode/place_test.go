package decode

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/ingest"
)

// stack is a study of 20 slices of 5 rows and 7 columns, 1.5 mm apart, whose rows run along and whose columns run down; lean is what each lies further
// in a direction than the one above.
func stack(along, down, lean [3]float64) []ingest.File {
	files := make([]ingest.File, 20)
	for i := range files {
		h := &dicom.Header{StudyUID: "1.2", SeriesUID: "1.2.1", Modality: "CT", InstanceNumber: i, HasGeometry: true, SpacingMM: [2]float64{0.4, 0.5}, Slope: 2, Intercept: -1024,
			Pixels: dicom.PixelFormat{Rows: 5, Columns: 7, BitsStored: 16, Signed: true}}
		copy(h.Orientation[:3], along[:])
		copy(h.Orientation[3:], down[:])
		for k := range h.PositionMM {
			h.PositionMM[k] = [3]float64{-30, 12, 80 - 1.5*float64(i)}[k] + lean[k]*float64(i)
		}
		files[i] = ingest.File{Object: source.Object{Key: fmt.Sprintf("%02d", i)}, Header: h}
	}
	return files
}

// stored is a frame whose pixels count from 100.
func stored(h *dicom.Header) volume.Slice {
	s := volume.Slice{Rows: h.Pixels.Rows, Columns: h.Pixels.Columns, Bias: -32768}
	for i := range s.Rows * s.Columns {
		s.Pix = append(s.Pix, uint16(100+i+32768))
	}
	return s
}

// where returns where DICOM says that a frame's pixels lie (PS3.3, C.7.6.2.1.1), by their value.
func where(h *dicom.Header) map[int32][3]float64 {
	at := map[int32][3]float64{}
	s := stored(h)
	for r := range s.Rows {
		for c := range s.Columns {
			var mm [3]float64
			for k := range mm {
				mm[k] = h.PositionMM[k] + h.Orientation[k]*h.SpacingMM[1]*float64(c) + h.Orientation[3+k]*h.SpacingMM[0]*float64(r)
			}
			at[s.Value(r, c)] = mm
		}
	}
	return at
}

func TestFramesStoredInAnyWayLieWhereTheirHeadersSay(t *testing.T) {
	x, y := [3]float64{1, 0, 0}, [3]float64{0, 1, 0}
	minus := func(v [3]float64) [3]float64 { return [3]float64{-v[0], -v[1], -v[2]} }
	for _, c := range []struct {
		name        string
		along, down [3]float64
		code        refusal.Code
	}{
		{"as usual", x, y, ""},
		{"prone", minus(x), minus(y), ingest.Turned},
		{"on the left side", y, minus(x), ingest.Turned},
		{"on the right side", minus(y), x, ingest.Turned},
		{"seen from the head", minus(x), y, ingest.Mirrored},
		{"prone and seen from the head", x, minus(y), ingest.Mirrored},
		{"transposed", y, x, ingest.Mirrored},
		{"transposed otherwise", minus(y), minus(x), ingest.Mirrored},
		{"a little oblique", [3]float64{-math.Cos(0.1), math.Sin(0.1), 0}, [3]float64{-math.Sin(0.1), -math.Cos(0.1), 0}, ingest.Turned},
	} {
		for _, accept := range []bool{false, true} {
			files := stack(c.along, c.down, [3]float64{})
			var o ingest.Options
			if accept && c.code != "" {
				o.Accept = []refusal.Code{c.code}
			}
			index, err := ingest.Build("1.2", files, o)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if warned := len(index.Warnings) > 0; warned != (c.code != "") || warned && index.Warnings[0].Code != c.code {
				t.Errorf("%s: warnings %v, want %s", c.name, index.Warnings, c.code)
			}
			if along, down := index.Orientation[0], index.Orientation[4]; !accept && (along < 0.9 || down < 0.9) {
				t.Errorf("%s: rows and columns run along %v", c.name, index.Orientation)
			}
			lies(t, c.name, files, index, 1e-9)
		}
	}
}

// lies checks that every pixel of the study's slices lies where its file says, as far as some mm in the plane, and that none is lost.
func lies(t *testing.T, name string, files []ingest.File, index *ingest.Index, most float64) {
	t.Helper()
	for i, s := range index.Slices {
		h := files[slices.IndexFunc(files, func(f ingest.File) bool { return f.Object.Key == s.File.Key })].Header
		got, want := stored(h), where(h)
		if s.Place != nil {
			got = place(got, s.Place)
		}
		if got.Rows != index.Rows || got.Columns != index.Columns {
			t.Fatalf("%s: slice %d is %dx%d in a study of %dx%d", name, i, got.Rows, got.Columns, index.Rows, index.Columns)
		}
		toMM := index.Affine(i)
		for r := range got.Rows {
			for c := range got.Columns {
				v := got.Value(r, c)
				if _, ok := want[v]; !ok && v == 12 { // −1000 HU
					continue
				}
				at, mm := toMM.Apply(float64(r), float64(c), 0), want[v]
				if math.Hypot(at[0]-mm[0], at[1]-mm[1]) > most || math.Abs(at[2]-mm[2]) > 1e-9 {
					t.Fatalf("%s: slice %d: the pixel %d at row %d, column %d lies at %v, its file says %v", name, i, v, r, c, at, mm)
				}
				delete(want, v)
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: slice %d lost %d pixels", name, i, len(want))
		}
	}
}

func TestALeaningStackIsSetUpright(t *testing.T) {
	o := ingest.Options{TiltDegrees: 0.1, Resample: []refusal.Code{ingest.Tilt}}
	for name, lean := range map[string][3]float64{"to the back": {0, 0.04, 0}, "to the front": {0, -0.04, 0}, "to a side": {0.02, 0, 0}, "both": {-0.03, 0.03, 0}} {
		for turn, along := range map[string]float64{"": 1, ", mirrored": -1} {
			files := stack([3]float64{along, 0, 0}, [3]float64{0, 1, 0}, lean)
			index, err := ingest.Build("1.2", files, o)
			if err != nil {
				t.Fatal(err)
			}
			const halfX, halfY = 0.25, 0.2 // half a pixel in mm
			lies(t, name+turn, files, index, 1e-9)
			for _, s := range index.Slices {
				if from, to := index.Slices[0].PositionMM, s.PositionMM; math.Abs(from[0]-to[0]) > halfX || math.Abs(from[1]-to[1]) > halfY {
					t.Errorf("%s%s: the stack goes from %v to %v", name, turn, from, to)
				}
			}
		}
	}
	if _, err := ingest.Build("1.2", stack([3]float64{1, 0, 0}, [3]float64{0, 1, 0}, [3]float64{0, 0.3, 0}), o); err == nil {
		t.Error("five rows became sixteen")
	}
}
