package transforms

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/pseudonym"
	"github.com/cspine/cspine/internal/refusal"
)

// underPseudonyms returns a site of a run under pseudonyms, and their key.
func underPseudonyms(t *testing.T, secret string) (Site, *pseudonym.Key) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(strings.Repeat(secret, 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := pseudonym.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return Site{Store: "mem://", KeyFile: file, KeyID: key.ID()}, key
}

func TestAReasonUnderPseudonymsNamesNoFile(t *testing.T) {
	const name = "DOE_JANE"
	unread := &dicom.Error{Code: dicom.Truncated, Detail: "the file has 12 more bytes"}
	site, _ := underPseudonyms(t, "k")
	for what, c := range map[string]struct {
		err  error
		want string // a part of the detail
	}{
		"a refusal":                  {refusal.New("gap", "", "3 gaps").About(name+"1.dcm", name+"2.dcm"), "3 gaps (2 files)"},
		"a refusal for an error":     {refusal.New("labels", "", "%w", fs.ErrNotExist).About(name), "a run without --pseudonymize tells it (1 file)"},
		"what is no DICOM":           {fmt.Errorf("decode %s: %w", name, unread), unread.Error()},
		"an error of the file's own": {&fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}, "a run without --pseudonymize tells it"},
		"anything":                   {errors.New(name), "a run without --pseudonymize tells it"},
	} {
		var rows []artifacts.Row
		pending := false
		_, err := site.Run(t.Context(), "index", "2.25.1", &pending, func(r artifacts.Row) { rows = append(rows, r) }, func(*Report) error { return c.err })
		if err != nil || len(rows) != 1 {
			t.Fatal(what, rows, err)
		}
		if text := fmt.Sprint(rows); strings.Contains(text, name) || !strings.Contains(rows[0].Detail, c.want) || rows[0].Reason != string(Classify(c.err).Code) {
			t.Errorf("%s: %+v, want %q", what, rows[0], c.want)
		}
	}
}

func TestWhatAStepWasGivenIsHashedWithTheKey(t *testing.T) {
	given := func(s Site) string {
		var row artifacts.Row
		pending := false
		_, err := s.Run(t.Context(), "index", "2.25.1", &pending, func(r artifacts.Row) { row = r }, func(r *Report) error {
			return r.Once(t.Context(), "what can be guessed", &struct{}{}, func() error {
				r.Row(artifacts.Row{Verdict: OK})
				return nil
			})
		})
		if err != nil || row.Given == "" {
			t.Fatal(row, err)
		}
		return row.Given
	}
	a, _ := underPseudonyms(t, "a")
	again, _ := underPseudonyms(t, "a")
	b, _ := underPseudonyms(t, "b")
	plain := given(Site{Store: "mem://"})
	if given(a) == plain || given(a) == given(b) || given(a) != given(again) {
		t.Error("what was given does not depend on the key, or not on it alone")
	}
}

func TestAnotherKeyOnAWorkerEndsTheRun(t *testing.T) {
	a, _ := underPseudonyms(t, "a")
	b, _ := underPseudonyms(t, "b")
	a.KeyFile = b.KeyFile
	if _, err := a.Pseudonyms(); err == nil || !strings.Contains(err.Error(), "is not the one that the run was started with") {
		t.Errorf("%v", err)
	}
}
