package ingest

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/publicdata"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

func index(t *testing.T, dir string, opts Options) (*Index, error) {
	t.Helper()
	data, err := source.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	objects, _, err := listing(t.Context(), data, "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := headers(context.Background(), data, "", objects, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return Build(filepath.Base(dir), files, opts)
}

// The series has a gantry tilt of 18.5° and gaps of 1.14, 4.22 and 7.38 mm along the table (BSD-2,
// neurolabusc/dcm_qa_ct): 1.08, 4.00 and 7.00 mm along the normal.
func TestARealTiltedHeadIsReported(t *testing.T) {
	x, err := index(t, publicdata.Path(t, "ct/head-tilted"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Slices) != 28 || x.Rows != 512 || math.Abs(x.TiltDegrees-18.5) > 0.1 || math.Abs(x.SliceMM-4) > 0.01 {
		t.Errorf("%d slices of %d rows, tilt %.2f°, %.3f mm apart", len(x.Slices), x.Rows, x.TiltDegrees, x.SliceMM)
	}
	for _, want := range []refusal.Code{Gap, UnevenSpacing, Tilt} {
		if !slices.Contains(codes(x), want) {
			t.Errorf("no warning %s among %v", want, codes(x))
		}
	}
	if first, last := x.Slices[0].PositionMM[2], x.Slices[27].PositionMM[2]; first <= last {
		t.Errorf("the first slice lies at z %.1f, the last at %.1f: not head to foot", first, last)
	}
}

// The series is JPEG 2000, its InstanceNumber falls as z rises (Apache-2.0, wasserth/TotalSegmentator).
func TestARealCompressedThoraxIsReadHeadToFoot(t *testing.T) {
	x, err := index(t, publicdata.Path(t, "ct/thorax-j2k"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Slices) != 20 || x.Rows != 512 || math.Abs(x.SliceMM-2) > 0.01 || x.TiltDegrees != 0 {
		t.Errorf("%d slices of %d rows, tilt %.2f°, %.3f mm apart", len(x.Slices), x.Rows, x.TiltDegrees, x.SliceMM)
	}
	if x.StudyUID != "thorax-j2k" || !slices.Contains(codes(x), NoUID) {
		t.Errorf("study %s, warnings %v: it has no UID, and its folder a name", x.StudyUID, codes(x))
	}
	if first, last := x.Slices[0].PositionMM[2], x.Slices[19].PositionMM[2]; first != -766.5 || last != -804.5 {
		t.Errorf("z from %.1f to %.1f", first, last)
	}
}

// An enhanced CT object of two frames, 10 mm apart (pydicom-data, MIT).
func TestARealEnhancedObjectIsAVolume(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "enhanced")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(publicdata.Path(t, "dicom/pydicom-data/data_store/data/eCT_Supplemental.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "all.dcm"), file, 0o666); err != nil {
		t.Fatal(err)
	}
	x, err := index(t, dir, Options{MinSlices: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Slices) != 2 || x.SpacingMM != [2]float64{0.388672, 0.388672} || math.Abs(x.SliceMM-10) > 0.01 || x.Slices[0].Intercept != -1024 {
		t.Errorf("%+v", x)
	}
	if a, b := x.Slices[0].Pixels, x.Slices[1].Pixels; a.Frames != 1 || a.Length != 512*512*2 || a.Length != b.Length || max(a.Offset, b.Offset)-min(a.Offset, b.Offset) != a.Length {
		t.Errorf("pixels %+v and %+v", a, b)
	}
}
