package pipelines

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/artifacts/cloud/cloudtest"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
)

func TestBucketsGiveTheCropsThatFoldersGive(t *testing.T) {
	b := newBench(t, 2)
	local := b.prepare(segment.Model{})
	service := cloudtest.S3(t)
	upload(t, b.data, service.Location(""), "rsna/")
	b.site = transforms.Site{Data: service.Location("rsna"), Store: service.Location("store")}
	remote := b.prepare(segment.Model{})
	if diff := cmp.Diff(crops(local), crops(remote)); diff != "" || len(crops(remote)) != 16 {
		t.Errorf("%d artifacts\n%s", len(crops(remote)), diff)
	}
	if got := computed(b.prepare(segment.Model{})); len(got) != 0 {
		t.Errorf("a second run computed %v", got)
	}
}

func crops(rows []artifacts.Row) map[string]string {
	digests := map[string]string{}
	for _, r := range where(rows, func(r artifacts.Row) bool { return r.Step == "crop" || r.Step == "resample" }) {
		digests[r.Subject+" "+r.Part] = r.Digest
	}
	return digests
}

func TestAStoreThatFailsInPassingMakesTheSameCropsAndShards(t *testing.T) {
	b := newBench(t, 3)
	service := cloudtest.S3(t)
	run := func(folder string) (made map[string]string, shards []string, requests int64) {
		before := service.Requests()
		b.site.Store = service.Location(folder)
		rows := b.prepare(segment.Model{})
		for _, r := range where(rows, func(r artifacts.Row) bool { return r.Step == "shard" }) {
			shards = append(shards, r.Digest)
		}
		slices.Sort(shards)
		return crops(rows), shards, service.Requests() - before
	}
	want, wantShards, undisturbed := run("undisturbed")
	service.Disturb(cloudtest.EveryNth(20, cloudtest.Busy, cloudtest.Broken, cloudtest.Reset, cloudtest.Lost, cloudtest.Cut))
	got, gotShards, disturbed := run("disturbed")
	if diff := cmp.Diff(want, got) + cmp.Diff(wantShards, gotShards); diff != "" || len(got) == 0 || len(gotShards) == 0 {
		t.Errorf("%d artifacts and %d shards\n%s", len(got), len(gotShards), diff)
	}
	if disturbed > 3*undisturbed {
		t.Errorf("%d requests became %d", undisturbed, disturbed)
	}
}

func TestABucketGivesTheSegmentationSamplesThatAFolderGives(t *testing.T) {
	b := newBench(t, 3)
	service := cloudtest.S3(t)
	samples := func() map[string]shard.Segmentation {
		b.run(PrepareSegmentation, segment.Model{})
		set, err := load.Open(t.Context(), b.store(), "test", load.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]shard.Segmentation{}
		for s, err := range set.Choose(load.All()).Epoch(t.Context(), 1, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			all[s.StudyUID] = *s
		}
		return all
	}
	local := samples()
	b.site.Store = service.Location("masks")
	remote := samples()
	for uid, s := range local {
		r := remote[uid]
		if !bytes.Equal(s.Volume, r.Volume) || !bytes.Equal(s.Labels, r.Labels) || s.SpacingMM != r.SpacingMM {
			t.Errorf("study %s: another sample from the bucket", uid)
		}
	}
	if len(local) != 3 || len(remote) != 3 {
		t.Errorf("%d samples from the folder, %d from the bucket", len(local), len(remote))
	}
	// A range that begins behind the end is the end, as on a disk.
	driver, err := artifacts.OpenDriver(t.Context(), b.site.Store, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	key := shard.Dir("test") + "/" + shard.ManifestFile
	if n, err := driver.ReadAt(t.Context(), key, make([]byte, 5), 1<<30); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %d bytes, %v", n, err)
	}
	if n, err := driver.ReadAt(t.Context(), key, make([]byte, 1<<20), 10); n == 0 || !errors.Is(err, io.EOF) {
		t.Errorf("over the end: %d bytes, %v", n, err)
	}
	if _, err := driver.ReadAt(t.Context(), key+"x", make([]byte, 5), 0); !errors.Is(err, artifacts.ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
}

// upload copies a folder into a bucket.
func upload(t *testing.T, dir, bucketURL, prefix string) {
	t.Helper()
	bucket, err := blob.OpenBucket(t.Context(), bucketURL)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		return bucket.WriteAll(t.Context(), prefix+path, data, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}
