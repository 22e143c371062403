package transforms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

func memStore(t *testing.T) *artifacts.Store {
	t.Helper()
	store, err := artifacts.Open(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// run runs one step and returns its rows.
func run(t *testing.T, do func(*Report) error) (rows []artifacts.Row, ok bool, err error) {
	t.Helper()
	ok, err = Run(t.Context(), memStore(t), "crop", "1.2.3", func(r artifacts.Row) { rows = append(rows, r) }, do)
	return rows, ok, err
}

func TestEveryFailureOfAStudyBecomesAnOutcome(t *testing.T) {
	var nothing *artifacts.Row
	for _, c := range []struct {
		name string
		do   func(*Report) error
		want refusal.Code
	}{
		{"refusal", func(*Report) error { return refusal.New("gap", "send it again", "three slices are missing") }, "gap"},
		{"wrapped refusal", func(*Report) error { return fmt.Errorf("x: %w", refusal.New("gap", "", "three")) }, "gap"},
		{"DICOM", func(*Report) error { return fmt.Errorf("x: %w", &dicom.Error{Code: dicom.Truncated}) }, "truncated"},
		{"vanished", func(*Report) error { return fmt.Errorf("x: %w", source.ErrNotFound) }, CodeChanged},
		{"other", func(*Report) error { return errors.New("no idea") }, CodeFailed},
		{"panic", func(*Report) error { return errors.New(nothing.Step) }, refusal.Internal},
		{"panic inside a computation", func(r *Report) error {
			_, err := r.Do(context.Background(), "", artifacts.Recipe{Transform: "x", Version: 1}, func(context.Context) (artifacts.Content, error) {
				return artifacts.Content{Data: []byte(nothing.Step)}, nil
			})
			return err
		}, refusal.Internal},
	} {
		rows, ok, err := run(t, c.do)
		if ok || err != nil || len(rows) != 1 {
			t.Errorf("%s: ok %t, error %v, rows %v", c.name, ok, err, rows)
			continue
		}
		if got := rows[0]; got.Verdict != Refused || got.Reason != string(c.want) || got.Subject != "1.2.3" || got.Step != "crop" {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestPanicTextNeverLeaves(t *testing.T) {
	rows, _, _ := run(t, func(*Report) error { panic("DOE^JANE") })
	if len(rows) != 1 || strings.Contains(fmt.Sprint(rows), "JANE") {
		t.Errorf("%+v", rows)
	}
	if !strings.Contains(rows[0].Detail, "transforms.TestPanicTextNeverLeaves") {
		t.Errorf("the place is missing: %s", rows[0].Detail)
	}
}

func TestAStoreThatFailsEndsTheRun(t *testing.T) {
	store := memStore(t)
	recipe := artifacts.Recipe{Transform: "x", Version: 1}
	_, err := Run(t.Context(), store, "crop", "1.2.3", func(artifacts.Row) {}, func(r *Report) error {
		_, err := r.Do(t.Context(), "", recipe, func(context.Context) (artifacts.Content, error) {
			return artifacts.Content{Encoding: "no such encoding"}, nil
		})
		return err
	})
	if err == nil {
		t.Error("the run went on")
	}
}

func TestACancelledRunIsNobodysFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var rows []artifacts.Row
	_, err := Run(ctx, memStore(t), "crop", "1.2.3", func(r artifacts.Row) { rows = append(rows, r) }, func(*Report) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || len(rows) != 0 {
		t.Errorf("error %v, rows %v", err, rows)
	}
}

func TestDoReportsHitsAndMisses(t *testing.T) {
	recipe := artifacts.Recipe{Transform: "x", Version: 3}
	rows, ok, err := run(t, func(r *Report) error {
		if known, err := r.Known(t.Context(), "C1", recipe); known != nil || err != nil {
			t.Errorf("known before it was made: %v, %v", known, err)
		}
		if _, err := r.Do(t.Context(), "C1", recipe, func(context.Context) (artifacts.Content, error) {
			return artifacts.Content{Data: []byte("crop")}, nil
		}); err != nil {
			return err
		}
		if known, err := r.Known(t.Context(), "C1", recipe); known == nil || err != nil {
			t.Errorf("not known after it was made: %v", err)
		}
		r.Rename("renamed")
		return nil
	})
	if !ok || err != nil || len(rows) != 2 {
		t.Fatalf("ok %t, error %v, rows %v", ok, err, rows)
	}
	for i, hit := range []bool{false, true} {
		want := artifacts.Row{Subject: "renamed", Part: "C1", Step: "crop", Transform: "x", Version: 3, Hit: hit, Bytes: 4, Verdict: OK,
			Recipe: recipe.Digest().String(), Digest: artifacts.DigestOf([]byte("crop")).String(), Why: map[bool]string{true: "cached", false: NewSample}[hit]}
		got := rows[i]
		got.Seconds, got.Stored = 0, 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSkippedStudiesAreNoFailure(t *testing.T) {
	rows, ok, err := run(t, func(*Report) error { return &Skip{Code: "no_mask", Detail: "none"} })
	if ok || err != nil || len(rows) != 1 || rows[0].Verdict != Skipped {
		t.Errorf("ok %t, error %v, rows %v", ok, err, rows)
	}
}

func TestAVerifiedHitThatComesOutOtherwiseIsReported(t *testing.T) {
	store := memStore(t)
	recipe := artifacts.Recipe{Transform: "x", Version: 1}
	made := ""
	do := func(share float64, content string) []artifacts.Row {
		t.Helper()
		r := &Report{Store: store, step: "crop", subject: "1.2.3", verify: share}
		var rows []artifacts.Row
		ok, err := r.run(t.Context(), func(row artifacts.Row) { rows = append(rows, row) }, func(r *Report) error {
			known, err := r.Known(t.Context(), "C1", recipe)
			if known != nil || err != nil {
				return err
			}
			_, err = r.Do(t.Context(), "C1", recipe, func(context.Context) (artifacts.Content, error) {
				made += content
				return artifacts.Content{Data: []byte(content)}, nil
			})
			return err
		})
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		return rows
	}
	do(0, "a")
	if rows := do(1, "a"); len(rows) != 1 || !rows[0].Hit || rows[0].Why != Verified {
		t.Errorf("%+v", rows)
	}
	rows := do(1, "b")
	if len(rows) != 2 || rows[0].Verdict != Differs || rows[0].Part != "C1" || rows[1].Digest != artifacts.DigestOf([]byte("a")).String() {
		t.Errorf("%+v", rows)
	}
	if do(0, "c"); made != "aab" {
		t.Errorf("computed %q", made)
	}
}
