package artifactstest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

var doRules = []rule{
	{"MissThenHit", func(t *testing.T, at Location) {
		s := open(t, at)
		data, note := tensor(1, 10_000), []byte(`{"levels": 7, "<tag>": null}`)
		_, hit, err := s.Lookup(t.Context(), recipe(1).Digest())
		if hit || err != nil {
			t.Fatalf("an empty store has a hit: %v, %v", hit, err)
		}
		first := do(t, s, recipe(1), func(context.Context) (artifacts.Content, error) {
			return artifacts.Content{Data: data, Note: note}, nil
		})
		if first.Hit || first.RecipeDigest != recipe(1).Digest() || first.Output.Digest != artifacts.DigestOf(data) {
			t.Errorf("first: %+v", first)
		}
		for _, s := range []*artifacts.Store{s, open(t, at)} {
			second := do(t, s, recipe(1), fails(t))
			if !second.Hit || second.Output != first.Output || !second.Created.Equal(first.Created) || second.Seconds != first.Seconds {
				t.Errorf("second: %+v, first was %+v", second, first)
			}
			if second.Recipe.Digest() != recipe(1).Digest() || !bytes.Contains(second.Note, []byte(`"levels":7`)) {
				t.Errorf("the record lost its recipe or note: %+v", second.Record)
			}
			wantContent(t, s, second.Output.Digest, data)
		}
	}},
	{"OtherRecipeIsAMiss", func(t *testing.T, at Location) {
		s, runs := open(t, at), 0
		base := recipe(1)
		do(t, s, base, gives([]byte("x"), &runs))
		for i, change := range []func(r *artifacts.Recipe){
			func(r *artifacts.Recipe) { r.Transform = "patch" },
			func(r *artifacts.Recipe) { r.Version++ },
			func(r *artifacts.Recipe) { r.Params[0].Value = "112" },
			func(r *artifacts.Recipe) { r.Inputs[0].Digest[31]++ },
			func(r *artifacts.Recipe) { r.Inputs[0].Name = "volume" },
		} {
			r := recipe(1)
			change(&r)
			do(t, s, r, gives([]byte("x"), &runs))
			if runs != i+2 {
				t.Errorf("change %d was a hit", i)
			}
		}
		swapped := recipe(1)
		slices.Reverse(swapped.Params)
		do(t, s, swapped, fails(t))
		if got := len(keys(t, at(t), "objects/")); got != 1 {
			t.Errorf("equal content lies there %d times", got)
		}
	}},
	{"ImpossibleRecipeIsRefused", func(t *testing.T, at Location) {
		s := open(t, at)
		twice := recipe(1)
		twice.Params = append(twice.Params, twice.Params[0])
		for _, r := range []artifacts.Recipe{{}, twice, {Transform: "x\xff"}} {
			if _, err := s.Do(t.Context(), r, fails(t)); err == nil {
				t.Errorf("%+v was accepted", r)
			}
		}
		_, err := s.Do(t.Context(), recipe(1), func(context.Context) (artifacts.Content, error) {
			return artifacts.Content{Note: []byte("{")}, nil
		})
		if err == nil {
			t.Error("a note that is not JSON was accepted")
		}
	}},
	{"VanishedObjectIsAMiss", func(t *testing.T, at Location) {
		s, runs := open(t, at), 0
		first := do(t, s, recipe(1), gives([]byte("x"), &runs))
		if err := s.Remove(t.Context(), first.Output.Digest); err != nil {
			t.Fatal(err)
		}
		if _, hit, err := s.Lookup(t.Context(), first.RecipeDigest); hit || err != nil {
			t.Errorf("Lookup: %v, %v", hit, err)
		}
		do(t, s, recipe(1), gives([]byte("x"), &runs))
		do(t, s, recipe(1), fails(t))
		if runs != 2 {
			t.Errorf("computed %d times, want 2", runs)
		}
	}},
	{"TruncatedObjectIsAMissAndHealed", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		data := tensor(1, 1000)
		do(t, s, recipe(1), gives(data, nil))
		key := onlyKey(t, behind, "objects/")
		replace(t, behind, key, read(t, behind, key)[:100])
		if result := do(t, s, recipe(1), gives(data, nil)); result.Hit {
			t.Error("a cut object was a hit")
		}
		wantContent(t, s, artifacts.DigestOf(data), data)
		do(t, s, recipe(1), fails(t))
	}},
	{"DamagedRecordIsCorruptAndRewritten", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		first := do(t, s, recipe(1), gives([]byte("x"), nil))
		key := onlyKey(t, behind, "records/")
		whole := read(t, behind, key)
		damaged := [][]byte{{}, []byte("{}"), whole[:len(whole)/2], append(bytes.Clone(whole), '\n')}
		for at := 0; at < len(whole); at += 7 {
			flipped := bytes.Clone(whole)
			flipped[at] ^= 1 << (at % 8)
			damaged = append(damaged, flipped)
		}
		for _, file := range damaged {
			replace(t, behind, key, file)
			_, hit, err := s.Lookup(t.Context(), first.RecipeDigest)
			if hit || !errors.Is(err, artifacts.ErrCorrupt) {
				t.Fatalf("Lookup of %q: %v, %v", file, hit, err)
			}
		}
		if result := do(t, s, recipe(1), gives([]byte("x"), nil)); result.Hit {
			t.Error("a damaged record was a hit")
		}
		do(t, s, recipe(1), fails(t))
	}},
	{"RecordUnderAnotherDigestIsCorrupt", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		do(t, s, recipe(1), gives([]byte("x"), nil))
		file := read(t, behind, onlyKey(t, behind, "records/"))
		other := recipe(2).Digest()
		replace(t, behind, "records/"+other.String()[:2]+"/"+other.String()+".json", file)
		_, hit, err := s.Lookup(t.Context(), other)
		if hit {
			t.Error("it was a hit")
		}
		wantError(t, "Lookup", err, artifacts.ErrCorrupt)
	}},
	{"RecordsListsAllAndNamesTheDamaged", func(t *testing.T, at Location) {
		s, behind := open(t, at), at(t)
		want := make(map[artifacts.Digest]bool)
		for i := range 3 {
			want[do(t, s, recipe(i), gives(tensor(i, 10), nil)).RecipeDigest] = true
		}
		bad := recipe(3).Digest()
		replace(t, behind, "records/"+bad.String()[:2]+"/"+bad.String()+".json", []byte("{}"))
		replace(t, behind, "records/README", []byte("a stranger"))
		for r, err := range s.Records(t.Context()) {
			if r.RecipeDigest == bad {
				wantError(t, "damaged record", err, artifacts.ErrCorrupt)
				bad = artifacts.Digest{}
				continue
			}
			if err != nil || !want[r.RecipeDigest] || r.Recipe.Digest() != r.RecipeDigest {
				t.Errorf("%+v, %v", r, err)
			}
			delete(want, r.RecipeDigest)
		}
		if len(want) != 0 || !bad.IsZero() {
			t.Errorf("not listed: %v %v", want, bad)
		}
	}},
	{"RemovedRecordIsAMiss", func(t *testing.T, at Location) {
		s, runs := open(t, at), 0
		first := do(t, s, recipe(1), gives([]byte("x"), &runs))
		if err := s.RemoveRecord(t.Context(), first.RecipeDigest); err != nil {
			t.Fatal(err)
		}
		do(t, s, recipe(1), gives([]byte("x"), &runs))
		if runs != 2 {
			t.Errorf("computed %d times, want 2", runs)
		}
	}},
	{"ManyStoresEndWithOneDigest", func(t *testing.T, at Location) {
		const writers, rounds = 4, 8
		stores := make([]*artifacts.Store, writers)
		for i := range stores {
			stores[i] = open(t, at)
		}
		for round := range rounds {
			results := make([]artifacts.Result, writers)
			var all sync.WaitGroup
			for i, s := range stores {
				all.Go(func() {
					var err error // each makes other bytes: a transform that is not deterministic
					results[i], err = s.Do(t.Context(), recipe(round), gives(tensor(round*writers+i, 20_000), nil))
					if err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			stays := do(t, open(t, at), recipe(round), fails(t))
			for i, result := range results {
				if result.Output != stays.Output {
					t.Logf("round %d: writer %d has %s, the store %s", round, i, result.Output.Digest.Short(), stays.Output.Digest.Short())
				}
				if data, err := stores[i].Get(t.Context(), result.Output.Digest); err != nil || len(data) != 20_000 {
					t.Errorf("round %d: writer %d reads %d bytes, %v", round, i, len(data), err)
				}
			}
		}
	}},
}
