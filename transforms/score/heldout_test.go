package score

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/shard"
)

// training writes what a training of studies wrote into a run.
func training(t *testing.T, store *artifacts.Store, dir string, answers []Answer, truth Truth) {
	t.Helper()
	var a, b bytes.Buffer
	if err := WriteSubmission(&a, answers); err != nil {
		t.Fatal(err)
	}
	if err := WriteTruth(&b, truth); err != nil {
		t.Fatal(err)
	}
	put(t, store, dir+"/"+HeldOutFile, a.Bytes())
	put(t, store, dir+"/"+HeldOutTruthFile, b.Bytes())
}

func put(t *testing.T, store *artifacts.Store, key string, data []byte) {
	t.Helper()
	if err := store.PutNamed(t.Context(), key, data); err != nil {
		t.Fatal(err)
	}
}

func TestHeldOutAnswersOfAllFoldsAreGathered(t *testing.T) {
	store, err := artifacts.Open(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	a, b := unanswered("a"), Answer{Study: "b", P: [classify.Targets]float64{0.5}}
	a.P[2] = 0.25
	training(t, store, "runs/bones/fold0-seed1", []Answer{a}, Truth{"a": {1}, "c": {}})
	training(t, store, "runs/bones/fold3-seed1", []Answer{b}, Truth{"b": {0, -1}})
	training(t, store, "runs/bones/fold3-seed2", []Answer{b}, Truth{"b": {0, -1}})
	training(t, store, "runs/bones/all-seed1", []Answer{a}, Truth{"a": {1}})   // holds nothing out
	training(t, store, "runs/bones2/fold1-seed1", []Answer{a}, Truth{"a": {}}) // of another run
	put(t, store, "runs/bones/fold4-seed1/metrics.jsonl", nil)                 // not done yet
	got, err := ReadHeldOut(t.Context(), store, "bones", HeldOutOptions{Seed: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"fold0-seed1", "fold3-seed1"}, got.Tasks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Truth{"a": {1}, "b": {0, -1}, "c": {}}, got.Truth); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{1, 2, 4}, got.Missing); diff != "" || len(got.Answers) != 2 {
		t.Errorf("%d answers, missing folds %s", len(got.Answers), diff)
	}
	_, gaps := Join(got.Answers, got.Truth)
	if want := (Gaps{Unanswered: 15, FirstUnanswered: "a_C1"}); gaps != want { // seven of a, eight of c
		t.Errorf("%+v, want %+v", gaps, want)
	}

	// A data set says what folds there are.
	manifest, err := shard.NewManifest(shard.Crops, "neck", []shard.Part{{File: "x", Folds: map[int]int{0: 1, 3: 1, 4: 2}}}, nil).JSON()
	if err != nil {
		t.Fatal(err)
	}
	put(t, store, shard.Dir("neck")+"/"+shard.ManifestFile, manifest)
	if got, err = ReadHeldOut(t.Context(), store, "bones", HeldOutOptions{Seed: "1", Dataset: "neck"}); err != nil || len(got.Missing) != 1 || got.Missing[0] != 4 {
		t.Errorf("%v, %v", got, err)
	}
	if want := "out of fold, by fold0-seed1, fold3-seed1; missing: folds [4]"; got.String() != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHeldOutAnswersThatCannotBeTrustedAreRefused(t *testing.T) {
	a := Answer{Study: "a"}
	for name, c := range map[string]struct {
		write func(store *artifacts.Store)
		o     HeldOutOptions
		says  string
	}{
		"nothing":    {func(*artifacts.Store) {}, HeldOutOptions{}, "has no answers for held-out studies; 'cspine train classifier --run r'"},
		"other seed": {func(s *artifacts.Store) { training(t, s, "runs/r/fold0-seed1", nil, nil) }, HeldOutOptions{Seed: "5"}, "of seed 5"},
		"damaged": {func(s *artifacts.Store) {
			put(t, s, "runs/r/fold0-seed1/"+HeldOutFile, []byte("x"))
			put(t, s, "runs/r/fold0-seed1/"+HeldOutTruthFile, nil)
		}, HeldOutOptions{}, "fold0-seed1/held-out.csv: score: submission: line 1"},
		"no truth":     {func(s *artifacts.Store) { put(t, s, "runs/r/fold0-seed1/"+HeldOutFile, []byte("row_id,fractured\n")) }, HeldOutOptions{}, HeldOutTruthFile},
		"learned from": {func(s *artifacts.Store) { training(t, s, "runs/r/fold0-seed1", []Answer{a}, Truth{"b": {}}) }, HeldOutOptions{}, "answers study a, which it did not hold out"},
		"twice": {func(s *artifacts.Store) {
			training(t, s, "runs/r/fold0-seed1", []Answer{a}, Truth{"a": {}})
			training(t, s, "runs/r/fold0-seed2", []Answer{a}, Truth{"a": {}})
		}, HeldOutOptions{}, "study a was held out by both fold0-seed1 and fold0-seed2"},
		"data set": {func(s *artifacts.Store) { training(t, s, "runs/r/fold0-seed1", nil, nil) }, HeldOutOptions{Dataset: "none"}, "data set none"},
	} {
		store, err := artifacts.Open(t.Context(), "mem://", nil)
		if err != nil {
			t.Fatal(err)
		}
		c.write(store)
		if _, err := ReadHeldOut(t.Context(), store, "r", c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}
