package segment

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/publicdata"
	"github.com/cspine/cspine/internal/volume"
)

// A real study and the label image that someone drew on it, stored in another order of axes (LAS): a wrong sign of any
// world axis would move the labels off the slices.
func TestLabelsOfARealStudyLieOnItsSlices(t *testing.T) {
	file, err := os.ReadFile(publicdata.Path(t, "ct", "thorax-j2k.mask.nii.gz"))
	if err != nil {
		t.Fatal(err)
	}
	im, err := nifti.Read(bytes.NewReader(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSampler(im)
	if err != nil {
		t.Fatal(err)
	}
	planes := thoraxPlanes(t)
	count := map[uint8]int{}
	inside := 0
	pixels := make([]uint8, 512*512)
	for _, p := range planes {
		inside += s.sample(pixels, p.Affine, 512, 512)
		for _, v := range pixels {
			count[v]++
		}
	}
	if count[32] != 23576 || count[33] != 9930 { // T12, T11
		t.Errorf("T12 has %d pixels, T11 %d; want 23576 and 9930", count[32], count[33])
	}
	if len(planes) != 20 || inside != 20*512*512 {
		t.Errorf("%d of %d pixels lie inside the label image", inside, 20*512*512)
	}
}

// thoraxPlanes reads the places of the study's slices, which pydicom found in its headers.
func thoraxPlanes(t *testing.T) (planes []SlicePlane) {
	t.Helper()
	b, err := os.ReadFile("testdata/thorax.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Position    [3]float64
		Orientation [6]float64
		Spacing     [2]float64
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		var m volume.Affine
		for i := range m {
			m[i] = [4]float64{h.Orientation[3+i] * h.Spacing[0], h.Orientation[i] * h.Spacing[1], 0, h.Position[i]}
		}
		planes = append(planes, SlicePlane{m})
	}
	return planes
}
