package pipelines

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/publicdata"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/decode"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
)

// TestARealThoraxMeetsItsMask prepares a public CT series in JPEG 2000 whose mask, another program's, is stored left to right and foot to
// head the other way (wasserth/TotalSegmentator, Apache-2.0). Inside its T11 and T12, which stand for C1 and C2 here, the CT has 274 HU
// in the mean if the two are aligned, and -348 to 192 with any wrong flip (said by the data's README).
func TestARealThoraxMeetsItsMask(t *testing.T) {
	series, mask := publicdata.Path(t, "ct", "thorax-j2k"), publicdata.Path(t, "ct", "thorax-j2k.mask.nii.gz")
	b := &bench{t: t, data: t.TempDir()}
	b.site = transforms.Site{Data: b.data, Store: filepath.Join(t.TempDir(), "store")}
	for _, c := range []struct{ from, to string }{{series, "train_images/thorax"}, {mask, "segmentations/thorax.nii.gz"}} {
		to := filepath.Join(b.data, c.to)
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(c.from)
		if err != nil { // a file
			copyFile(t, c.from, to)
			continue
		}
		if err := os.Mkdir(to, 0o777); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			copyFile(t, filepath.Join(c.from, f.Name()), filepath.Join(to, f.Name()))
		}
	}
	rows := b.planAndRun(func(s beam.Scope, site transforms.Site, id string) {
		Prepare(s, PrepareOptions{Site: site, Run: "test", ID: id, Labels: segment.LabelValues{33, 32}, Shard: shard.Layout{Buckets: 1}})
	})
	if n := computed(rows); n["crop C1"] != 1 || n["crop C2"] != 1 || n["crop C3"] != 0 {
		t.Fatalf("computed %v", n)
	}

	// Every pixel whose centre lies in a voxel of the two.
	ctx := t.Context()
	row := where(rows, func(r artifacts.Row) bool { return r.Step == "index" && r.Digest != "" })[0]
	file, err := b.store().Get(ctx, parse(t, row.Digest))
	if err != nil {
		t.Fatal(err)
	}
	index, err := ingest.Unmarshal(file)
	if err != nil {
		t.Fatal(err)
	}
	compressed, err := os.ReadFile(mask)
	if err != nil {
		t.Fatal(err)
	}
	image, err := nifti.Read(bytes.NewReader(compressed), nil)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := image.Labels()
	if err != nil {
		t.Fatal(err)
	}
	toVoxel, ok := image.Affine.FlipLPS().Inverse()
	if !ok {
		t.Fatal("the mask has no place")
	}
	data, err := source.Open(ctx, b.data)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	reader := decode.NewReader(data, index)
	sum, n := 0.0, 0
	for i := range index.Slices {
		slice, err := reader.Slice(ctx, i)
		if err != nil {
			t.Fatal(err)
		}
		toPoint := index.Affine(i)
		for r := range index.Rows {
			for c := range index.Columns {
				mm := toPoint.Apply(float64(r), float64(c), 0)
				p := toVoxel.Apply(mm[0], mm[1], mm[2])
				at := 0
				for axis := 2; axis >= 0; axis-- {
					v := int(math.Round(p[axis]))
					if v < 0 || v >= image.Shape[axis] {
						at = -1
						break
					}
					at = at*image.Shape[axis] + v
				}
				if at >= 0 && (labels[at] == 32 || labels[at] == 33) {
					sum += float64(slice.Value(r, c))*index.Slices[i].Slope + index.Slices[i].Intercept
					n++
				}
			}
		}
		decode.Release(slice)
	}
	if mean := sum / float64(n); n != 23576+9930 || math.Abs(mean-274) > 1 {
		t.Errorf("%d pixels inside the vertebrae have %.1f HU in the mean, want 33506 and 274", n, mean)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o666); err != nil {
		t.Fatal(err)
	}
}
