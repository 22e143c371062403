package artifacts

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestManifestsDigestsAreThoseOfItsRows(t *testing.T) {
	rows := manyRows(3000)
	rows[7].Recipe, rows[8].Digest = "", "" // of a study that was refused
	file, err := WriteManifest(rows)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = manifestDigests(file, func(recipe, output Digest) {
		wantRecipe, _ := parseOptional(rows[n].Recipe)
		wantOutput, _ := parseOptional(rows[n].Digest)
		if recipe != wantRecipe || output != wantOutput {
			t.Fatalf("row %d: %s, %s", n, recipe, output)
		}
		n++
	})
	if err != nil || n != len(rows) {
		t.Errorf("%d rows, %v", n, err)
	}
	file[len(file)/2] ^= 1
	if err := manifestDigests(file, func(Digest, Digest) {}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("damaged: %v", err)
	}
}

func TestDigestsAreFoundInText(t *testing.T) {
	a, b := DigestOf([]byte("a")), DigestOf([]byte("b"))
	for text, want := range map[string][]Digest{
		"":                                    nil,
		a.String():                            {a},
		"trainings/" + a.String() + "/x.json": {a},
		`{"x":"` + a.String() + `","y":"` + b.String() + `"}`: {a, b},
		a.String() + b.String():                               nil,
		a.String()[1:]:                                        nil,
		strings.ToUpper(a.String()):                           nil,
		"shard-00000-of-00004.parquet deadbee":                nil,
	} {
		var got []Digest
		digestsIn([]byte(text), func(d Digest) { got = append(got, d) })
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestManifestsAreCountedByRunAndPipeline(t *testing.T) {
	for key, want := range map[string]string{
		"runs/neck/20260102T030405.678Z.parquet":       "neck/",
		"runs/neck/20260102T030405.678Z.train.parquet": "neck/train",
		"runs/neck/001.parquet":                        "neck/",
		"runs/v1.2/a.plan.parquet":                     "v1.2/plan",
	} {
		if got := seriesOf(key); got != want || !isRunManifest(key) {
			t.Errorf("%s: %q", key, got)
		}
	}
	for _, key := range []string{"runs/neck/fold0-seed1/x.parquet", "runs/x.parquet", "datasets/neck/x.parquet", "runs/neck/1.quarantine.json"} {
		if isRunManifest(key) {
			t.Errorf("%s was taken for a run's manifest", key)
		}
	}
}
