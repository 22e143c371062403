package artifactstest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
)

// now lets things go however young they are.
const now = -1

func collect(t *testing.T, s *artifacts.Store, o artifacts.CollectOptions) artifacts.Collected {
	t.Helper()
	c, err := s.Collect(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// makeRun makes one artifact for each number, and the manifest that names them.
func makeRun(t *testing.T, s *artifacts.Store, manifest string, numbers ...int) {
	t.Helper()
	var rows []artifacts.Row
	for _, n := range numbers {
		r := do(t, s, recipe(n), gives(tensor(n, 200), nil))
		rows = append(rows, artifacts.Row{Step: "crop", Recipe: r.RecipeDigest.String(), Digest: r.Output.Digest.String()})
	}
	file, err := artifacts.WriteManifest(rows)
	if err == nil {
		err = s.PutNamed(t.Context(), manifest, file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// there lists the numbers among the first n whose artifacts are hits.
func there(t *testing.T, s *artifacts.Store, n int) (numbers []int) {
	t.Helper()
	for i := range n {
		if _, hit, err := s.Lookup(t.Context(), recipe(i).Digest()); err != nil {
			t.Fatal(err)
		} else if hit {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

func counts(f artifacts.Fates) map[artifacts.Fate]int {
	n := map[artifacts.Fate]int{}
	for fate, tally := range f {
		n[fate] = tally.Count
	}
	return n
}

type fates = map[artifacts.Fate]int

var collectRules = []rule{
	{"WhatAKeptRunNamesStays", func(t *testing.T, at Location) {
		s := open(t, at)
		f := FillSample(t, s)
		left := do(t, s, recipe(0), gives([]byte("of a run that was killed"), nil))
		c := collect(t, s, artifacts.CollectOptions{MinAge: now, Delete: true})
		if diff := cmp.Diff(fates{artifacts.Kept: 3, artifacts.Unnamed: 1}, counts(c.Records)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(fates{artifacts.Kept: 5, artifacts.Unnamed: 1}, counts(c.Objects)); diff != "" {
			t.Error(diff)
		}
		_, err := s.Get(t.Context(), left.Output.Digest)
		wantError(t, "what no manifest names", err, artifacts.ErrNotFound)
		wantContent(t, s, f.Model, tensor(10, 200))      // an input of a record
		wantContent(t, s, f.Checkpoint, tensor(11, 200)) // named by a file
		if again := FillSample(t, s); again.Computed != 0 {
			t.Errorf("the kept run computed %d anew", again.Computed)
		}
		if found, _ := verify(t, s, everything); len(found) > 0 {
			t.Errorf("found %v", found)
		}
	}},
	{"OnlyTheLastManifestsOfARunStay", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		makeRun(t, s, "runs/neck/1.parquet", 0, 1)
		replace(t, behind, "runs/neck/1.quarantine.json", []byte("[]"))
		makeRun(t, s, "runs/neck/2.parquet", 1, 2)
		makeRun(t, s, "runs/neck/3.parquet", 2, 3)
		makeRun(t, s, "runs/neck/0.train.parquet", 4)
		makeRun(t, s, "runs/spine/0.parquet", 5)
		before := keys(t, behind, "")
		for _, c := range []struct {
			o     artifacts.CollectOptions
			stays []int
		}{
			{artifacts.CollectOptions{}, []int{0, 1, 2, 3, 4, 5}},
			{artifacts.CollectOptions{KeepLast: 2}, []int{1, 2, 3, 4, 5}},
			{artifacts.CollectOptions{KeepLast: 1}, []int{2, 3, 4, 5}},
			{artifacts.CollectOptions{KeepLast: 1, KeepWithin: 1 << 50}, []int{0, 1, 2, 3, 4, 5}},
			{artifacts.CollectOptions{KeepLast: 1, KeepRuns: []string{"n*"}}, []int{0, 1, 2, 3, 4, 5}},
			{artifacts.CollectOptions{KeepLast: now, KeepRuns: []string{"spine"}}, []int{5}},
		} {
			c.o.MinAge = now
			told := collect(t, s, c.o)
			if got := 6 - told.Records[artifacts.Superseded].Count - told.Records[artifacts.Unnamed].Count; got != len(c.stays) {
				t.Errorf("%+v: %d records stay, want %v", c.o, got, c.stays)
			}
			if after := keys(t, behind, ""); !slices.Equal(before, after) {
				t.Fatalf("%+v: telling what would go changed the store", c.o)
			}
		}
		o := artifacts.CollectOptions{MinAge: now, KeepLast: 1}
		told := collect(t, s, o)
		o.Delete = true
		done := collect(t, s, o)
		told.Deleted = true
		if diff := cmp.Diff(told, done); diff != "" {
			t.Errorf("it did not do what it told:\n%s", diff)
		}
		if diff := cmp.Diff(fates{artifacts.Kept: 3, artifacts.Superseded: 3}, counts(done.Manifests)); diff != "" {
			t.Error(diff) // with the list of refused studies
		}
		if got := there(t, s, 6); !slices.Equal(got, []int{2, 3, 4, 5}) {
			t.Errorf("%v stay", got)
		}
		if found, _ := verify(t, s, everything); len(found) > 0 {
			t.Errorf("found %v", found)
		}
		if again := collect(t, s, o); again.Going().Count != 0 {
			t.Errorf("a second time %+v goes", again.Going())
		}
	}},
	{"WhatIsYoungStays", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		makeRun(t, s, "runs/neck/1.parquet", 0)
		makeRun(t, s, "runs/neck/2.parquet", 1)
		do(t, s, recipe(2), gives([]byte("a run under way elsewhere"), nil))
		before := keys(t, behind, "")
		c := collect(t, s, artifacts.CollectOptions{KeepLast: 1, Delete: true})
		if diff := cmp.Diff(fates{artifacts.Kept: 2, artifacts.Young: 1}, counts(c.Records)); diff != "" {
			t.Error(diff)
		}
		if after := keys(t, behind, ""); !slices.Equal(before, after) {
			t.Errorf("%d files became %d", len(before), len(after))
		}
	}},
	{"TrainingsAreNotForgotten", func(t *testing.T, at Location) {
		s := open(t, at)
		makeRun(t, s, "runs/neck/1.parquet", 0)
		r := do(t, s, recipe(1), gives([]byte("model"), nil)) // whose manifest is gone
		metrics, err := s.Put(t.Context(), artifacts.Content{Data: []byte("its last checkpoint")})
		if err != nil {
			t.Fatal(err)
		}
		key := "trainings/" + r.RecipeDigest.String() + "/checkpoints.json"
		if err := s.PutNamed(t.Context(), key, []byte(`{"last":"`+metrics.Digest.String()+`"}`)); err != nil {
			t.Fatal(err)
		}
		collect(t, s, artifacts.CollectOptions{MinAge: now, Delete: true})
		if got := there(t, s, 2); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("%v stay", got)
		}
		wantContent(t, s, metrics.Digest, []byte("its last checkpoint"))
	}},
	{"DamagedManifestStopsIt", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		f := FillSample(t, s)
		makeRun(t, s, "runs/neck/2.parquet", 0)
		for _, key := range []string{sampleManifest, sampleDataset, f.Pointer, "runs/neck/2.parquet"} {
			whole := read(t, behind, key)
			replace(t, behind, key, flip(slices.Clone(whole)))
			before := keys(t, behind, "")
			_, err := s.Collect(t.Context(), &artifacts.CollectOptions{KeepLast: 1, MinAge: now, Delete: true})
			wantError(t, key, err, artifacts.ErrCorrupt)
			if err != nil && !strings.Contains(err.Error(), key) {
				t.Errorf("the error does not name %s: %v", key, err)
			}
			if after := keys(t, behind, ""); !slices.Equal(before, after) {
				t.Fatalf("%s: something was deleted", key)
			}
			replace(t, behind, key, whole)
		}
	}},
	{"StoreWithoutAnyManifestIsLeftAlone", func(t *testing.T, at Location) {
		s := open(t, at)
		if c := collect(t, s, artifacts.CollectOptions{MinAge: now, Delete: true}); c.Going().Count != 0 {
			t.Errorf("%+v goes from an empty store", c)
		}
		do(t, s, recipe(0), gives([]byte("x"), nil))
		if _, err := s.Collect(t.Context(), &artifacts.CollectOptions{MinAge: now, Delete: true}); err == nil || !strings.Contains(err.Error(), "no manifest") {
			t.Errorf("error is %v", err)
		}
		if got := there(t, s, 1); len(got) != 1 {
			t.Error("the artifact is gone")
		}
	}},
	{"KeepingNothingIsRefused", func(t *testing.T, at Location) {
		s := open(t, at)
		for _, o := range []artifacts.CollectOptions{{KeepLast: now}, {KeepRuns: []string{"[a"}}} {
			if _, err := s.Collect(t.Context(), &o); err == nil {
				t.Errorf("%+v was accepted", o)
			}
		}
	}},
	{"RunUnderWayStopsDeletion", func(t *testing.T, at Location) {
		s := open(t, at)
		makeRun(t, s, "runs/neck/1.parquet", 0)
		do(t, s, recipe(1), gives([]byte("x"), nil))
		run := share(t, s)
		_, err := s.Collect(t.Context(), &artifacts.CollectOptions{MinAge: now, Delete: true})
		wantError(t, "Collect", err, artifacts.ErrBusy)
		if c := collect(t, s, artifacts.CollectOptions{MinAge: now}); c.Going().Count != 2 {
			t.Errorf("told %+v", c.Going())
		}
		end(t, run)
		collect(t, s, artifacts.CollectOptions{MinAge: now, Delete: true})
		if got := there(t, s, 2); !slices.Equal(got, []int{0}) {
			t.Errorf("%v stay", got)
		}
	}},
	{"WhereverItEndsTheStoreIsSound", func(t *testing.T, at Location) {
		good := open(t, at)
		makeRun(t, good, "runs/neck/2.parquet", 0)
		for n := 0; ; n++ {
			for i := range 4 {
				do(t, good, recipe(i), gives(tensor(i, 200), nil))
			}
			makeRun(t, good, "runs/neck/1.parquet", 1)
			s := openOn(t, FailAfter(at(t), opening+n, n%2 > 0))
			_, err := s.Collect(t.Context(), &artifacts.CollectOptions{KeepLast: 1, MinAge: now, Delete: true})
			if err != nil && !errors.Is(err, ErrInjected) {
				t.Fatalf("fault after %d calls: %v", n, err)
			}
			if found, _ := verify(t, good, everything); len(found) > 0 {
				t.Fatalf("fault after %d calls: found %v", n, found)
			}
			if got := there(t, good, 1); len(got) != 1 {
				t.Fatalf("fault after %d calls: the kept run lost an artifact", n)
			}
			for _, key := range keys(t, at(t), "leases/") { // it could not end
				if err := at(t).Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			if err == nil {
				return
			}
		}
	}},
}
