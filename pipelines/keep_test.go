package pipelines

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/shard"
)

// erode takes every n-th voxel of C3 away from the first study's labels.
func (b *bench) erode(n int) {
	b.t.Helper()
	labels := filepath.Join(b.data, "segmentations", filepath.Base(b.studies()[0])+".nii")
	file, err := os.ReadFile(labels)
	if err != nil {
		b.t.Fatal(err)
	}
	img, err := nifti.Read(bytes.NewReader(file), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	seen := 0
	for i, v := range img.Data {
		if v == 3 {
			if seen++; seen%n == 0 {
				img.Data[i] = 0
			}
		}
	}
	var out bytes.Buffer
	if err := nifti.Write(&out, img); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(labels, out.Bytes(), 0o666); err != nil {
		b.t.Fatal(err)
	}
}

// keeping prepares with label masks, keeping crops within a tolerance.
func (b *bench) keeping(keep crop.Keep) []artifacts.Row {
	b.t.Helper()
	return b.planAndRun(func(s beam.Scope, site transforms.Site, id string) {
		Prepare(s, PrepareOptions{Site: site, Run: "test", ID: id, Keep: keep, Shard: shard.Layout{Buckets: 2}})
	})
}

// kept lists the parts whose crops stayed, of the first study.
func kept(rows []artifacts.Row) (parts []string) {
	for _, r := range rows {
		if r.Transform == crop.KeptTransform {
			parts = append(parts, r.Part)
		}
	}
	return parts
}

func TestACropStaysWhileItsMaskAgrees(t *testing.T) {
	b := newBench(t, 2)
	some := crop.Keep{Dice: 0.9, BoxMM: 10}
	first := b.keeping(some)
	b.erode(20) // dice 0.97
	rows := b.keeping(some)
	if diff := cmp.Diff(map[string]int{"segment": 1, "boxes": 1}, computed(rows)); diff != "" {
		t.Error(diff)
	}
	if got := kept(rows); len(got) != 7 {
		t.Errorf("kept %v, want all seven of the study whose mask changed", got)
	}
	for _, r := range where(rows, func(r artifacts.Row) bool { return r.Transform == crop.KeptTransform && r.Part == "C3" }) {
		record, err := b.store().Record(t.Context(), parse(t, r.Recipe))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(r.Why, "kept: dice 0.9") || !strings.Contains(string(record.Note), `"dice":0.9`) || len(record.Recipe.Inputs) != 4 {
			t.Errorf("%+v\n%+v", r, record)
		}
	}
	digests := func(rows []artifacts.Row) map[string]string {
		m := map[string]string{}
		for _, r := range where(rows, func(r artifacts.Row) bool { return r.Step == "crop" || r.Step == "shard" }) {
			m[r.Subject+r.Part] = r.Digest
		}
		return m
	}
	if diff := cmp.Diff(digests(first), digests(rows)); diff != "" {
		t.Error(diff)
	}
	if got := computed(b.keeping(some)); len(got) != 0 {
		t.Errorf("the same again computed %v", got)
	}
	// Without tolerance the crop is made of its new mask.
	if diff := cmp.Diff(map[string]int{"crop C3": 1, "shard": 1}, computed(b.keeping(crop.Keep{}))); diff != "" {
		t.Error(diff)
	}
}

func TestSmallChangesDoNotAddUp(t *testing.T) {
	b := newBench(t, 1)
	some := crop.Keep{Dice: 0.93, BoxMM: 10}
	b.keeping(some)
	b.erode(20)
	if got := computed(b.keeping(some)); got["crop C3"] != 0 {
		t.Errorf("computed %v", got)
	}
	// Each of the changes is small, but the crop is compared with the mask that it was made from.
	b.erode(10)
	if got := computed(b.keeping(some)); got["crop C3"] != 1 || got["crop C4"] != 0 {
		t.Errorf("computed %v, want C3 and no other", got)
	}
}

func TestNoCropStaysWhoseSlicesChanged(t *testing.T) {
	b := newBench(t, 1)
	some := crop.Keep{Dice: 0.5, BoxMM: 100}
	b.keeping(some)
	study := b.studies()[0]
	slice := filepath.Join(study, firstFile(t, study))
	file, err := os.ReadFile(slice)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slice, append(file, 0, 0), 0o666); err != nil {
		t.Fatal(err)
	}
	b.erode(20)
	if got := kept(b.keeping(some)); len(got) != 0 {
		t.Errorf("kept %v", got)
	}
}

func parse(t *testing.T, digest string) artifacts.Digest {
	t.Helper()
	d, err := artifacts.ParseDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
