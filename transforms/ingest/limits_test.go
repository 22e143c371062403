package ingest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

// written writes a study of n slices into a folder of a data set.
func written(t *testing.T, n int) *source.Source {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, uid), 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c := dicom.CT{StudyUID: uid, SeriesUID: uid + ".1", SOPInstanceUID: uid + ".1." + strconv.Itoa(i+1), InstanceNumber: i + 1, Rows: 8, Columns: 8,
			PositionMM: [3]float64{0, 0, float64(-i)}, SpacingMM: [2]float64{1, 1}, Pix: make([]uint16, 64)}
		file, err := c.Encode(dicom.ExplicitLittleEndian)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, uid, strconv.Itoa(i+1)+".dcm"), file, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	data, err := source.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = data.Close() })
	return data
}

func TestFilesBeyondALimitRefuseTheStudyOrAreSetAside(t *testing.T) {
	data := written(t, 20)
	objects, _, err := listing(t.Context(), data, uid)
	if err != nil {
		t.Fatal(err)
	}
	build := func(o Options) (*Index, error) {
		files, err := headers(t.Context(), data, uid, objects, o.Limits)
		if err != nil {
			t.Fatal(err)
		}
		return Build(uid, files, o)
	}
	if _, err := build(Options{Limits: dicom.Limits{Pixels: 64}}); err != nil {
		t.Error(err)
	}
	_, err = build(Options{Limits: dicom.Limits{Pixels: 63}})
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Code != OverLimit || len(refused.Files) != 20 {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"over_limit at (0028,0010), byte ", "8 rows x 8 columns are more than 63 pixels", "raise pixels in the configuration's [ingest.limits]"} {
		if !strings.Contains(refused.Error()+refused.Remedy, want) {
			t.Errorf("%v; %s: lacks %q", refused, refused.Remedy, want)
		}
	}

	// One of twenty has a note that makes it longer than the others.
	o := Options{Limits: dicom.Limits{Bytes: objects[0].Size + 100}, SetAside: []refusal.Code{OverLimit}}
	name := filepath.Join(data.String(), uid, objects[0].Key)
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append(file, make([]byte, 200)...), 0o666); err != nil {
		t.Fatal(err)
	}
	if objects, _, err = listing(t.Context(), data, uid); err != nil {
		t.Fatal(err)
	}
	x, err := build(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Slices) != 19 || len(x.SetAside) != 1 || x.SetAside[0].Code != OverLimit || x.SetAside[0].File != objects[0].Key || !slices.Contains(codes(x), OverLimit) {
		t.Errorf("%d slices, set aside %+v, warnings %v", len(x.Slices), x.SetAside, codes(x))
	}
}

// TestARecipeHasWhatChangesAnIndex compares recipes pairwise.
func TestARecipeHasWhatChangesAnIndex(t *testing.T) {
	aside := []refusal.Code{OverLimit}
	for _, c := range []struct {
		name string
		a, b Options
		same bool
	}{
		{"limits only refuse", Options{}, Options{Limits: dicom.Limits{Bytes: 1, Depth: 2, Elements: 3, Pixels: 4}}, true},
		{"with damaged files set aside, too", Options{SetAside: []refusal.Code{Damaged}}, Options{SetAside: []refusal.Code{Damaged}, Limits: dicom.Limits{Depth: 2}}, true},
		{"setting aside what is beyond them", Options{}, Options{SetAside: aside}, false},
		{"and then other limits", Options{SetAside: aside}, Options{SetAside: aside, Limits: dicom.Limits{Elements: 3}}, false},
		{"and then the default, written out", Options{SetAside: aside}, Options{SetAside: aside, Limits: dicom.Limits{Depth: 32}}, true},
		{"fewest slices", Options{}, Options{MinSlices: 9}, false},
		{"fewest slices by default", Options{}, Options{MinSlices: 15}, true},
		{"what refuses", Options{}, Options{Refuse: []refusal.Code{Gap}}, false},
		{"what is resampled", Options{}, Options{Resample: []refusal.Code{Gap}}, false},
		{"more that is resampled", Options{Resample: []refusal.Code{Gap}}, Options{Resample: []refusal.Code{Gap, Tilt}}, false},
		{"the same in another order", Options{Resample: []refusal.Code{Tilt, Gap}}, Options{Resample: []refusal.Code{Gap, Tilt}}, true},
		{"what is left as it is stored", Options{}, Options{Accept: []refusal.Code{Mirrored}}, false},
		{"not the same for the other policy", Options{Accept: []refusal.Code{Turned}}, Options{Refuse: []refusal.Code{Turned}}, false},
	} {
		digest := func(o Options) string {
			r := (&IndexFn{Options: o}).recipe("study", []source.Object{{Key: "1.dcm", Size: 1, Version: "v"}})
			return r.Digest().String()
		}
		if same := digest(c.a) == digest(c.b); same != c.same {
			t.Errorf("%s: the same recipe: %v", c.name, same)
		}
	}
}
