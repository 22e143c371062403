package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/transforms/shard/shardtest"
)

// dataset publishes n studies in so many shards, and returns the store.
func dataset(t testing.TB, location string, n, shards, side int) *artifacts.Store {
	t.Helper()
	store, err := artifacts.Open(t.Context(), location, &artifacts.Options{NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	publish(t, store, n, shards, side)
	return store
}

func publish(t testing.TB, store *artifacts.Store, n, shards, side int) {
	t.Helper()
	rows := make([][]shard.Segmentation, shards)
	for i := range n {
		s := segmentation(i, side)
		b := shard.Bucket(s.StudyUID, shards)
		rows[b] = append(rows[b], s)
	}
	for _, of := range rows {
		slices.SortFunc(of, func(a, b shard.Segmentation) int { return strings.Compare(a.StudyUID, b.StudyUID) })
	}
	shardtest.Segmentations(t, store, "neck", rows...)
}

// segmentation makes the i-th study: noisy waves and boxes of labels, about as well compressed as real ones.
func segmentation(i, side int) shard.Segmentation {
	uid := fmt.Sprintf("1.2.826.%d", i)
	r := rand.New(rand.NewPCG(uint64(i), 1))
	s := shard.Segmentation{StudyUID: uid, Fold: shard.Fold(uid, 5), Shape: []int{side, side, side}, DType: "uint8",
		SpacingMM: [3]float64{1, 1.5, 2}, Volume: make([]byte, side*side*side), Labels: make([]byte, side*side*side)}
	for k := range s.Volume {
		s.Volume[k] = byte(40 + k/(side*side) + k%side/2 + r.IntN(16))
		if k/side%side > side/3 && k/side%side < side/2 {
			s.Labels[k] = byte(k % side * 8 / side)
		}
		s.Voxels[s.Labels[k]]++
	}
	return s
}

func open(t testing.TB, store *artifacts.Store, o Options) *Dataset {
	t.Helper()
	d, err := Open(t.Context(), store, "neck", o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// uids reads a sequence to its end.
func uids(t testing.TB, samples iter.Seq2[*shard.Segmentation, error]) []string {
	t.Helper()
	var list []string
	for s, err := range samples {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s.StudyUID)
	}
	return list
}

func TestSamplesComeBackAsTheyWere(t *testing.T) {
	for _, location := range []string{t.TempDir(), "mem://"} {
		store := dataset(t, location, 9, 4, 16)
		n := 0
		for s, err := range open(t, store, Options{}).Choose(All()).Sorted(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(segmentation(n, 16), *s); diff != "" {
				t.Fatalf("%s: %s", location, diff)
			}
			n++
		}
		if n != 9 {
			t.Errorf("%d of 9 samples", n)
		}
	}
}

func TestTheOrderDependsOnSeedAndEpochAlone(t *testing.T) {
	var want []string
	for _, shards := range []int{1, 4, 8} {
		store := dataset(t, t.TempDir(), 25, shards, 8)
		for _, o := range []Options{{Readers: 1, Ahead: 1}, {Readers: 3}, {Readers: 8, Ahead: 40, CacheBytes: 1 << 20}, {CacheBytes: 5000}} {
			l := open(t, store, o).Choose(All())
			for range 2 { // the second time from the cache
				got := uids(t, l.Epoch(t.Context(), 7, 3, 0))
				if want == nil {
					want = got
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%d shards, %+v: %s", shards, o, diff)
				}
			}
		}
		l := open(t, store, Options{}).Choose(All())
		if slices.Equal(want, uids(t, l.Epoch(t.Context(), 7, 4, 0))) || slices.Equal(want, uids(t, l.Epoch(t.Context(), 8, 3, 0))) {
			t.Error("another epoch or another seed has the same order")
		}
	}
	sorted := slices.Sorted(slices.Values(want))
	if len(slices.Compact(sorted)) != 25 {
		t.Errorf("%d different studies of 25", len(slices.Compact(sorted)))
	}
}

func TestAnEpochGoesOnInItsMiddle(t *testing.T) {
	l := open(t, dataset(t, t.TempDir(), 20, 2, 8), Options{}).Choose(AllBut(1))
	all := uids(t, l.Epoch(t.Context(), 1, 0, 0))
	for _, skip := range []int{0, 1, 7, len(all)} {
		if got := uids(t, l.Epoch(t.Context(), 1, 0, skip)); !slices.Equal(all[skip:], got) {
			t.Errorf("from %d on: %v, want %v", skip, got, all[skip:])
		}
	}
	for _, skip := range []int{-1, len(all) + 1} {
		for _, err := range l.Epoch(t.Context(), 1, 0, skip) {
			if err == nil {
				t.Errorf("an epoch of %d begins at %d", len(all), skip)
			}
		}
	}
}

func TestFoldsPartTheStudies(t *testing.T) {
	d := open(t, dataset(t, t.TempDir(), 40, 2, 8), Options{})
	total := 0
	for k := range 5 {
		only, rest := d.Choose(Only(k)), d.Choose(AllBut(k))
		total += only.Len()
		if only.Len()+rest.Len() != 40 {
			t.Errorf("fold %d: %d and %d studies", k, only.Len(), rest.Len())
		}
		for _, s := range only.Studies() {
			if s.Fold != k || slices.Contains(rest.Studies(), s) {
				t.Errorf("fold %d: study %s of fold %d", k, s.UID, s.Fold)
			}
		}
	}
	if total != 40 {
		t.Errorf("the folds have %d studies", total)
	}
}

func TestTheCacheKeepsToItsBound(t *testing.T) {
	d := open(t, dataset(t, t.TempDir(), 10, 1, 8), Options{CacheBytes: 3*2*512 + 100})
	uids(t, d.Choose(All()).Epoch(t.Context(), 1, 0, 0))
	if len(d.cached.kept) != 3 || d.cached.room != 100 {
		t.Errorf("%d samples are kept, %d bytes left; want 3, 100", len(d.cached.kept), d.cached.room)
	}
}

func TestADatasetPublishedAnewDoesNotChangeARunningTraining(t *testing.T) {
	store := dataset(t, t.TempDir(), 10, 2, 8)
	l := open(t, store, Options{}).Choose(All())
	before := uids(t, l.Epoch(t.Context(), 1, 0, 0))
	publish(t, store, 13, 2, 8)
	if diff := cmp.Diff(before, uids(t, l.Epoch(t.Context(), 1, 0, 0))); diff != "" {
		t.Error(diff)
	}
	if n := open(t, store, Options{}).Choose(All()).Len(); n != 13 {
		t.Errorf("opened anew it has %d studies", n)
	}
}

func TestErrorsNameShardAndStudy(t *testing.T) {
	folder := t.TempDir()
	store := dataset(t, folder, 6, 1, 16)
	objects, err := filepath.Glob(filepath.Join(folder, "objects", "*", "*"))
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	file, err := os.ReadFile(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(objects[0], 0o600), os.WriteFile(objects[0], spoilt(file), 0o600)); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, err := range open(t, store, Options{}).Choose(All()).Sorted(t.Context()) {
		if err != nil {
			failed++
			if !errors.Is(err, shard.ErrCorrupt) || !strings.Contains(err.Error(), "shard-00000-of-00001.parquet, study 1.2.826.") {
				t.Error(err)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d errors of a damaged shard", failed)
	}
	if err := os.Remove(objects[0]); err != nil {
		t.Fatal(err)
	}
	for _, err := range open(t, store, Options{}).Choose(All()).Sorted(t.Context()) {
		if !errors.Is(err, artifacts.ErrNotFound) || !strings.Contains(err.Error(), "study 1.2.826.") {
			t.Error(err)
		}
	}
}

// spoilt changes a byte in the middle of every tensor.
func spoilt(file []byte) []byte {
	file = bytes.Clone(file)
	for i := 2000; i < len(file)*3/4; i += 1000 {
		file[i] ^= 0x10
	}
	return file
}

func TestOpenRefusesWhatIsNoSegmentationDataset(t *testing.T) {
	store := dataset(t, "mem://", 2, 1, 8)
	if _, err := Open(t.Context(), store, "other", Options{}); !errors.Is(err, artifacts.ErrNotFound) || !strings.Contains(err.Error(), "prepare --task segmentation") {
		t.Error(err)
	}
	text, err := json.Marshal(shard.NewManifest(shard.Crops, "crops", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.PutNamed(t.Context(), shard.Dir("crops")+"/"+shard.ManifestFile, text); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), store, "crops", Options{}); err == nil || !strings.Contains(err.Error(), "is for crops") {
		t.Error(err)
	}
}

func TestIterationEndsEarlyAndWithItsContext(t *testing.T) {
	l := open(t, dataset(t, t.TempDir(), 12, 1, 8), Options{Readers: 4, Ahead: 8}).Choose(All())
	for range l.Epoch(t.Context(), 1, 0, 0) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	var last error
	for _, err := range l.Epoch(ctx, 1, 0, 0) {
		if n++; n == 3 {
			cancel()
		}
		last = err
	}
	cancel()
	if !errors.Is(last, context.Canceled) || n > 12 {
		t.Errorf("%d samples, then %v", n, last)
	}
}

func TestAugmentedSamplesAreThoseOfTheirSeedsAndLeaveTheCacheAlone(t *testing.T) {
	o := augment.Recommended()
	store := dataset(t, t.TempDir(), 8, 2, 16)
	d := open(t, store, Options{CacheBytes: 1 << 20, Readers: 3})
	l := d.Choose(All())
	for range 2 {
		for s, err := range l.Augmented(t.Context(), o, 5, 2, 3) {
			if err != nil {
				t.Fatal(err)
			}
			var i int
			if _, err := fmt.Sscanf(s.StudyUID, "1.2.826.%d", &i); err != nil {
				t.Fatal(err)
			}
			was := segmentation(i, 16)
			from := augment.Image{Shape: [3]int{16, 16, 16}, SpacingMM: was.SpacingMM, Volume: was.Volume, Labels: was.Labels}
			var want augment.Image
			if err := o.Apply(&want, &from, augment.Seed(5, 2, s.StudyUID)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want.Volume, s.Volume) || !bytes.Equal(want.Labels, s.Labels) {
				t.Errorf("study %s is not what its seed makes of it", s.StudyUID)
			}
		}
	}
	if got, want := uids(t, l.Augmented(t.Context(), o, 5, 2, 0)), uids(t, l.Epoch(t.Context(), 5, 2, 0)); !slices.Equal(got, want) {
		t.Error("the order is not the epoch's")
	}
}

// counted counts the requests that reach a store.
type counted struct {
	artifacts.Driver
	reads int
}

func (c *counted) ReadAt(ctx context.Context, key string, p []byte, offset int64) (int, error) {
	c.reads++
	return c.Driver.ReadAt(ctx, key, p, offset)
}

func TestABucketIsAskedFewTimes(t *testing.T) {
	driver, err := artifacts.OpenDriver(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{Driver: driver}
	store, err := artifacts.New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	publish(t, store, 20, 1, 64)
	l := open(t, store, Options{Readers: 1}).Choose(All())
	uids(t, l.Epoch(t.Context(), 1, 0, 0))
	if first := c.reads; first > 20*6+8 {
		t.Errorf("%d requests for 20 studies", first)
	}
	c.reads = 0
	uids(t, l.Epoch(t.Context(), 1, 1, 0))
	if c.reads > 20*2 {
		t.Errorf("%d requests for 20 studies in a later epoch", c.reads)
	}
}

// BenchmarkEpoch reads samples of 128³ voxels from a local disk. CSPINE_STORE and CSPINE_DATASET name a data set of
// real ones.
func BenchmarkEpoch(b *testing.B) {
	name, location := os.Getenv("CSPINE_DATASET"), os.Getenv("CSPINE_STORE")
	var store *artifacts.Store
	if location == "" {
		name, store = "neck", dataset(b, b.TempDir(), 16, 2, 128)
	} else {
		var err error
		if store, err = artifacts.Open(b.Context(), location, nil); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name      string
		opts      Options
		augmented bool
	}{
		{"decoding", Options{}, false}, {"one reader", Options{Readers: 1}, false}, {"cached", Options{CacheBytes: 4 << 30}, false},
		{"cached, augmented", Options{CacheBytes: 4 << 30}, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			d, err := Open(b.Context(), store, name, c.opts)
			if err != nil {
				b.Fatal(err)
			}
			l := d.Choose(All())
			n, epoch := 0, 0
			for b.Loop() {
				samples := l.Epoch(b.Context(), 1, epoch, 0)
				if c.augmented {
					samples = l.Augmented(b.Context(), augment.Recommended(), 1, epoch, 0)
				}
				for _, err := range samples {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				epoch++
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}
