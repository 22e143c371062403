package ingest

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

// testdata finds public test data that are not a part of the repository.
func testdata(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("CSPINE_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no test data: set CSPINE_TESTDATA (%v)", err)
	}
	return dir
}

func index(t *testing.T, dir string) (*Index, error) {
	t.Helper()
	data, err := source.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	objects, err := listing(t.Context(), data, "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := headers(context.Background(), data, "", objects)
	if err != nil {
		t.Fatal(err)
	}
	return Build(filepath.Base(dir), files, Options{})
}

// The series has a gantry tilt of 18.5° and gaps of 1.14, 4.22 and 7.38 mm along the table (BSD-2,
// neurolabusc/dcm_qa_ct): 1.08, 4.00 and 7.00 mm along the normal.
func TestARealTiltedHeadIsReported(t *testing.T) {
	x, err := index(t, testdata(t, "ct/head-tilted"))
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
	x, err := index(t, testdata(t, "ct/thorax-j2k"))
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
