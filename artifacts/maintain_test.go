package artifacts_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/artifacts/artifactstest"
)

func openStore(t *testing.T, location string) *artifacts.Store {
	t.Helper()
	s, err := artifacts.Open(t.Context(), location, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEveryFlippedBitIsFoundOrChangesNothing goes through a small store. Frames have bits that say nothing of their content: such a flip
// may go unseen, since what is read is what was stored.
func TestEveryFlippedBitIsFoundOrChangesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine alone: -short is for the race detector")
	}
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	driver := artifacts.NewBucketDriver(bucket)
	s, err := artifacts.New(t.Context(), driver, nil)
	if err != nil {
		t.Fatal(err)
	}
	sample := artifactstest.FillSample(t, s)
	files := map[string][]byte{}
	for info, err := range driver.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if files[info.Key], err = driver.Read(t.Context(), info.Key); err != nil {
			t.Fatal(err)
		}
	}
	flips, unseen := 0, 0
	for key, whole := range files {
		if strings.HasSuffix(key, ".txt") {
			continue // it carries no check sum
		}
		for at := 0; at < len(whole); at += 3 {
			flipped := bytes.Clone(whole)
			flipped[at] ^= 1 << (at % 8)
			if err := driver.Replace(t.Context(), key, flipped); err != nil {
				t.Fatal(err)
			}
			flips++
			if wrong := sample.Served(t, s); len(wrong) > 0 {
				t.Fatalf("%s, byte %d: served %v", key, at, wrong)
			}
			found := false
			_, err := s.Verify(t.Context(), &artifacts.VerifyOptions{ReadData: true}, func(f artifacts.Finding) { found = found || f.Key == key })
			if err != nil {
				t.Fatal(err)
			}
			if !found {
				unseen++
				if !strings.HasSuffix(key, ".zst") {
					t.Errorf("%s, byte %d: not found", key, at)
				}
			}
		}
		if err := driver.Replace(t.Context(), key, whole); err != nil {
			t.Fatal(err)
		}
	}
	if unseen > flips/100 {
		t.Errorf("%d of %d flips were not found", unseen, flips)
	}
	t.Logf("%d flips in %d files, %d of them not found since they change no content", flips, len(files)-1, unseen)
}

// A published file of a local store shares its bytes with its object: one bad block spoils both.
func TestDamageOfAPublishedShardIsItsObjectsToo(t *testing.T) {
	folder := t.TempDir()
	s := openStore(t, folder)
	sample := artifactstest.FillSample(t, s)
	shard := filepath.Join(folder, "datasets/neck/shard-0.parquet")
	if err := os.Chmod(shard, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(shard, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("rot"), 100); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	kinds := map[artifacts.FindingKind]int{}
	sum, err := s.Verify(t.Context(), &artifacts.VerifyOptions{ReadData: true, Repair: true}, func(f artifacts.Finding) { kinds[f.Kind]++ })
	if err != nil || kinds[artifacts.DamagedShard] != 1 || kinds[artifacts.DamagedObject] != 1 || sum.Findings != 2 || sum.Removed != 3 {
		t.Errorf("found %v, %+v, %v", kinds, sum, err)
	}
	before := sample.Recipes[2].Digest()
	if again := artifactstest.FillSample(t, s); again.Computed != 1 || again.Recipes[2].Digest() != before {
		t.Errorf("%d were computed anew", again.Computed)
	}
}

// makeOlder sets the files that match back in time.
func makeOlder(t *testing.T, folder, pattern string, by time.Duration) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	then := time.Now().Add(-by)
	for _, file := range files {
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLeaseOfAProcessThatIsGoneCountsNoMore(t *testing.T) {
	folder := t.TempDir()
	s := openStore(t, folder)
	artifactstest.FillSample(t, s)
	killed, err := s.Share(t.Context(), "prepare of run neck")
	if err != nil {
		t.Fatal(err)
	}
	makeOlder(t, folder, "leases/*", 2*time.Hour)
	lease, err := s.Exclude(t.Context(), "a cleaning")
	if err != nil {
		t.Fatal(err)
	}
	if len(lease.Stale) != 1 || !strings.Contains(lease.Stale[0].String(), "prepare of run neck") || lease.Stale[0].Exclusive {
		t.Errorf("stale are %v", lease.Stale)
	}
	if err := lease.End(); err != nil {
		t.Fatal(err)
	}
	c, err := s.Collect(t.Context(), &artifacts.CollectOptions{Delete: true})
	if err != nil || c.Leases[artifacts.Stale].Count != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if left, _ := os.ReadDir(filepath.Join(folder, "leases")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := killed.End(); err != nil {
		t.Error(err)
	}
}

func TestLeaseOfALongRunIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, "mem://")
		defer s.Close()
		run, err := s.Share(t.Context(), "training of run neck")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Hour) // of the bubble's clock
		if _, err := s.Exclude(t.Context(), "a cleaning"); !errors.Is(err, artifacts.ErrBusy) {
			t.Errorf("after two days: %v", err)
		}
		if err := run.End(); err != nil {
			t.Error(err)
		}
		cleaning, err := s.Exclude(t.Context(), "a cleaning")
		if err != nil {
			t.Fatal(err)
		}
		if err := cleaning.End(); err != nil {
			t.Error(err)
		}
	})
}

// A run may find an old object that nothing names, and write its record just before it is killed.
func TestYoungRecordKeepsItsOldObject(t *testing.T) {
	folder := t.TempDir()
	s := openStore(t, folder)
	artifactstest.FillSample(t, s)
	model, err := s.Put(t.Context(), artifacts.Content{Data: []byte("an old model")})
	if err != nil {
		t.Fatal(err)
	}
	old, err := s.Put(t.Context(), artifacts.Content{Data: []byte("an old object")})
	if err != nil {
		t.Fatal(err)
	}
	makeOlder(t, folder, "objects/*/*", 48*time.Hour)
	r := artifacts.Recipe{Transform: "segment", Inputs: []artifacts.Input{{Name: "model", Digest: model.Digest}}}
	compute := func(context.Context) (artifacts.Content, error) {
		return artifacts.Content{Data: []byte("an old object")}, nil
	}
	if _, err := s.Do(t.Context(), r, compute); err != nil {
		t.Fatal(err)
	}
	c, err := s.Collect(t.Context(), &artifacts.CollectOptions{Delete: true})
	if err != nil || c.Going().Count != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, d := range []artifacts.Digest{old.Digest, model.Digest} {
		if _, err := s.Get(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
	makeOlder(t, folder, "records/*/*", 48*time.Hour)
	if c, err = s.Collect(t.Context(), &artifacts.CollectOptions{Delete: true}); err != nil || c.Going().Count != 3 {
		t.Errorf("a day later: %+v, %v", c, err)
	}
}
