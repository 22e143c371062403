package transforms

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
)

// ward is a store with runs of one step, each of which goes on from the one before.
type ward struct {
	t    *testing.T
	site Site
	runs int

	recipe artifacts.Recipe
	asked  int // how often the step was done, whether or not it computed anything
}

func newWard(t *testing.T) *ward {
	return &ward{t: t, site: Site{Store: filepath.Join(t.TempDir(), "store"), Studies: 1}, recipe: artifacts.Recipe{Transform: "cut", Version: 1}}
}

func (w *ward) store() *artifacts.Store {
	w.t.Helper()
	store, err := w.site.OpenStore(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return store
}

// run does the step for a study, and returns what it handed on and its rows, which become the run's manifest.
func (w *ward) run(study Study) (Study, []artifacts.Row) {
	w.t.Helper()
	var rows []artifacts.Row
	stop := Observe(func(r artifacts.Row) { rows = append(rows, r) })
	defer stop()
	ok, err := w.site.Run(w.t.Context(), "cut", study.Name(), &study.Pending, func(artifacts.Row) {}, func(r *Report) error {
		return r.Once(w.t.Context(), []any{study, w.recipe.Version}, &study, func() error {
			w.asked++
			res, err := r.Do(w.t.Context(), "C1", w.recipe, func(context.Context) (artifacts.Content, error) {
				return artifacts.Content{Data: []byte(study.Index)}, nil
			})
			study.Mask = res.Output.Digest.String()
			return err
		})
	})
	if !ok || err != nil {
		w.t.Fatal(ok, err, rows)
	}
	if !w.site.Plan {
		w.runs++
		w.site.Earlier = "runs/ward/" + string(rune('a'+w.runs)) + ".parquet"
		file, err := artifacts.WriteManifest(rows)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := w.store().PutNamed(w.t.Context(), w.site.Earlier, file); err != nil {
			w.t.Fatal(err)
		}
	}
	return study, rows
}

func TestAStepThatIsGivenTheSameHandsOnTheSameUnasked(t *testing.T) {
	w := newWard(t)
	study := Study{Folder: "a", UID: "1.2.3", Index: "x"}
	first, _ := w.run(study)
	again, rows := w.run(study)
	if diff := cmp.Diff(first, again); diff != "" || w.asked != 1 {
		t.Errorf("asked %d times\n%s", w.asked, diff)
	}
	if len(rows) != 1 || !rows[0].Hit || rows[0].Why != Cached || rows[0].Subject != "1.2.3" || rows[0].Part != "C1" {
		t.Errorf("%+v", rows)
	}
	if _, rows = w.run(study); w.asked != 1 || !rows[0].Hit {
		t.Error("the third run no longer knows what the first did")
	}
	study.Index = "y"
	if w.run(study); w.asked != 2 {
		t.Error("a step that is given something else was not asked")
	}
}

func TestWhatIsGoneIsMadeAgain(t *testing.T) {
	for name, remove := range map[string]func(*artifacts.Store, artifacts.Row) error{
		"record": func(s *artifacts.Store, r artifacts.Row) error {
			d, _ := artifacts.ParseDigest(r.Recipe)
			return s.RemoveRecord(t.Context(), d)
		},
		"object": func(s *artifacts.Store, r artifacts.Row) error {
			d, _ := artifacts.ParseDigest(r.Digest)
			return s.Remove(t.Context(), d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t)
			study := Study{UID: "1.2.3", Index: "x"}
			_, rows := w.run(study)
			if err := remove(w.store(), rows[0]); err != nil {
				t.Fatal(err)
			}
			w.site.Plan = true
			planned, rows := w.run(study)
			if !planned.Pending || rows[0].Verdict != WouldRun || rows[0].Why != Gone {
				t.Errorf("planned %+v", rows)
			}
			w.site.Plan = false
			if _, rows = w.run(study); rows[0].Hit || rows[0].Why != Gone {
				t.Errorf("%+v", rows)
			}
		})
	}
}

func TestAPlanComputesNothingAndMarksWhatFollows(t *testing.T) {
	w := newWard(t)
	w.site.Plan = true
	planned, rows := w.run(Study{UID: "1.2.3", Index: "x"})
	if !planned.Pending || planned.Mask != (artifacts.Digest{}).String() || len(rows) != 1 || rows[0].Verdict != WouldRun || rows[0].Why != NewSample {
		t.Errorf("%+v\n%+v", planned, rows)
	}
	for range w.store().Objects(t.Context()) {
		t.Error("a plan stored something")
	}
	if _, rows = w.run(planned); w.asked != 1 || len(rows) != 1 || rows[0].Verdict != Depends {
		t.Errorf("a step behind it was asked, or says other things: %+v", rows)
	}
}

func TestReasonsNameWhatDiffersFromTheRunBefore(t *testing.T) {
	a, b := artifacts.DigestOf([]byte("a")), artifacts.DigestOf([]byte("b"))
	base := artifacts.Recipe{Transform: "cut", Version: 1, Params: []artifacts.Param{{Name: "loose", Value: "0.1"}}, Inputs: []artifacts.Input{{Name: "model", Digest: a}, {Name: "patch", Digest: a}}}
	w := newWard(t)
	w.recipe = base
	study := Study{UID: "1.2.3", Index: "x"}
	w.run(study)
	w.site.Plan = true
	for want, change := range map[string]func(r *artifacts.Recipe){
		"version 1 → 2":    func(r *artifacts.Recipe) { r.Version = 2 },
		"loose 0.1 → 0.2":  func(r *artifacts.Recipe) { r.Params = []artifacts.Param{{Name: "loose", Value: "0.2"}} },
		"loose 0.1 → none": func(r *artifacts.Recipe) { r.Params = nil },
		"model " + a.String()[:12] + " → " + b.String()[:12]: func(r *artifacts.Recipe) {
			r.Inputs = []artifacts.Input{{Name: "model", Digest: b}, {Name: "patch", Digest: a}}
		},
		"patch changed": func(r *artifacts.Recipe) {
			r.Inputs = []artifacts.Input{{Name: "model", Digest: a}, {Name: "patch", Digest: b}}
		},
	} {
		w.recipe = base
		change(&w.recipe)
		study.Index = want // given something else
		if _, rows := w.run(study); len(rows) != 1 || rows[0].Why != want {
			t.Errorf("want %q: %+v", want, rows)
		}
	}
}

func TestADamagedManifestIsNotBelieved(t *testing.T) {
	w := newWard(t)
	study := Study{UID: "1.2.3", Index: "x"}
	w.run(study)
	if err := w.store().PutNamed(t.Context(), w.site.Earlier, []byte("PAR1")); err != nil {
		t.Fatal(err)
	}
	if _, rows := w.run(study); w.asked != 2 || !rows[0].Hit {
		t.Errorf("asked %d times: %+v", w.asked, rows)
	}
}

func TestAVerifiedStepBeginsWithNothingHandedOn(t *testing.T) {
	w := newWard(t)
	w.run(Study{UID: "1.2.3"})
	for i, share := range []float64{0, 1} {
		w.site.Verify = share
		var gave []string
		pending := false
		ok, err := w.site.Run(t.Context(), "list", "1.2.3", &pending, func(r artifacts.Row) {
			file, err := artifacts.WriteManifest([]artifacts.Row{r})
			if err == nil && i == 0 {
				w.site.Earlier = "runs/ward/list.parquet"
				err = w.store().PutNamed(t.Context(), w.site.Earlier, file)
			}
			if err != nil {
				t.Error(err)
			}
		}, func(r *Report) error {
			return r.Once(t.Context(), "same", &gave, func() error {
				gave = append(gave, "logits") // as steps do that make several
				r.Row(artifacts.Row{Verdict: OK})
				return nil
			})
		})
		if !ok || err != nil || len(gave) != 1 {
			t.Errorf("share %g: %v, %t, %v", share, gave, ok, err)
		}
	}
}
