package artifactstest

import (
	"context"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

var presenceRules = []rule{
	{"WhatIsThereIsKnownHoweverManyAreAskedFor", func(t *testing.T, at Location) { knowsWhatIsThere(t, open(t, at)) }},
}

// knowsWhatIsThere asks for few, which are asked for one by one, and for many, which are listed beforehand.
func knowsWhatIsThere(t *testing.T, s *artifacts.Store) {
	t.Helper()
	made := do(t, s, recipe(1), gives(tensor(1, 1000), nil))
	for _, c := range []struct {
		name string
		n    int
	}{{"asking one by one", 1}, {"listing", 1_000_000}} {
		ask := func(recipe, object artifacts.Digest, stored int64) bool {
			t.Helper()
			p, err := s.Presence(t.Context(), c.n)
			if err != nil {
				t.Fatal(err)
			}
			there, err := p.Has(t.Context(), recipe, object, stored)
			if err != nil {
				t.Fatal(err)
			}
			return there
		}
		if !ask(made.RecipeDigest, made.Output.Digest, made.Output.Stored) {
			t.Errorf("%s: what was made is not there", c.name)
		}
		if ask(made.RecipeDigest, made.Output.Digest, made.Output.Stored+1) {
			t.Errorf("%s: an object of another size is taken for it", c.name)
		}
		if ask(recipe(2).Digest(), made.Output.Digest, made.Output.Stored) {
			t.Errorf("%s: a record is there that nobody wrote", c.name)
		}
		if ask(made.RecipeDigest, artifacts.DigestOf(nil), 0) {
			t.Errorf("%s: an object is there that nobody wrote", c.name)
		}
	}
	if _, err := s.Presence(canceled(), 1); err == nil {
		t.Error("a context that is done is not heeded")
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
