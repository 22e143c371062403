package pipelines

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
)

// labelFile is a study's label file.
func (b *bench) labelFile(study int) string {
	return filepath.Join(b.data, "segmentations", filepath.Base(b.studies()[study])+".nii")
}

func (b *bench) labels(study int) *nifti.Image {
	b.t.Helper()
	f, err := os.Open(b.labelFile(study))
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	img, err := nifti.Read(f, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

func TestPrepareSegmentationMakesASampleOfEveryStudyWithLabels(t *testing.T) {
	b := newBench(t, 4)
	if err := os.Remove(b.labelFile(3)); err != nil {
		t.Fatal(err)
	}
	rows := b.run(PrepareSegmentation, segment.Model{})
	got := computed(rows)
	if got["shard"] < 1 || got["shard"] > 2 {
		t.Errorf("%d shards of 2", got["shard"])
	}
	delete(got, "shard")
	if diff := cmp.Diff(map[string]int{"index": 4, "resample": 4, "segment": 3, "labelmap": 3}, got); diff != "" {
		t.Fatal(diff)
	}
	skipped := where(rows, func(r artifacts.Row) bool { return r.Verdict == transforms.Skipped })
	if len(skipped) != 1 || skipped[0].Subject != filepath.Base(b.studies()[3]) || skipped[0].Reason != string(segment.NoLabels) {
		t.Errorf("skipped: %+v", skipped)
	}
	set, err := load.Open(t.Context(), b.store(), "test", load.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for s, err := range set.Choose(load.All()).Sorted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Base(b.studies()[n]); s.StudyUID != want || s.Fold != shard.Fold(want, 5) {
			t.Errorf("sample %d is of study %s in fold %d, want %s", n, s.StudyUID, s.Fold, want)
		}
		for _, c := range []struct {
			data   []byte
			digest string
		}{{s.Volume, s.VolumeDigest}, {s.Labels, s.LabelsDigest}} {
			if d := artifacts.DigestOf(npy.FromUint8(c.data, s.Shape...).Bytes()); d.String() != c.digest {
				t.Errorf("study %s: a tensor is not the artifact it names", s.StudyUID)
			}
		}
		img := b.labels(n)
		millimetres := func(axis int) float64 { // between the label file's voxels
			return math.Hypot(math.Hypot(img.Affine[0][axis], img.Affine[1][axis]), img.Affine[2][axis])
		}
		want := [3]float64{millimetres(1) * 96 / 128, millimetres(0) * 96 / 128, millimetres(2) * 39 / 127}
		var volume float64 // of the seven vertebrae, mm³
		for level := 1; level <= 7; level++ {
			volume += float64(s.Voxels[level])
		}
		volume *= s.SpacingMM[0] * s.SpacingMM[1] * s.SpacingMM[2]
		truth := 0.0
		for _, v := range img.Data {
			if v >= 1 && v <= 7 {
				truth++
			}
		}
		truth *= millimetres(0) * millimetres(1) * millimetres(2)
		for axis := range want {
			if math.Abs(want[axis]-s.SpacingMM[axis]) > 0.002 {
				t.Errorf("study %s: spacing %v, want %v", s.StudyUID, s.SpacingMM, want)
			}
		}
		if math.Abs(volume/truth-1) > 0.1 {
			t.Errorf("study %s: the vertebrae have %.0f mm³, in the label file %.0f", s.StudyUID, volume, truth)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d samples, want 3", n)
	}
	if got := computed(b.run(PrepareSegmentation, segment.Model{})); len(got) != 0 {
		t.Errorf("the second run computed %v", got)
	}
}

func TestSegmentationSharesVolumesAndMasksWithCrops(t *testing.T) {
	b := newBench(t, 1)
	b.prepare(segment.Model{})
	if diff := cmp.Diff(map[string]int{"labelmap": 1, "shard": 1}, computed(b.run(PrepareSegmentation, segment.Model{}))); diff != "" {
		t.Error(diff)
	}
}

func TestAnEqualMaskMakesNoLabelMapAnew(t *testing.T) {
	b := newBench(t, 1)
	b.run(PrepareSegmentation, segment.Model{})
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(b.labelFile(0), later, later); err != nil {
		t.Fatal(err)
	}
	// As with crops, the shard names the file that its labels come from.
	if diff := cmp.Diff(map[string]int{"segment": 1, "shard": 1}, computed(b.run(PrepareSegmentation, segment.Model{}))); diff != "" {
		t.Error(diff)
	}
}
