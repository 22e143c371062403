//go:build unix

package artifacts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/artifacts/artifactstest"
)

// openFrom opens a new store with another one behind it.
func openFrom(t *testing.T, from string) *artifacts.Store {
	t.Helper()
	s, err := artifacts.Open(t.Context(), t.TempDir(), &artifacts.Options{From: from, NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// doIt has recipe i made or found, and checks what it is.
func doIt(t *testing.T, s *artifacts.Store, i int) artifacts.Result {
	t.Helper()
	want := theContent(uint64(i), 1000)
	if i%2 == 0 {
		want.Encoding = artifacts.Zstd
	}
	r, err := s.Do(t.Context(), theRecipe(0, i), func(context.Context) (artifacts.Content, error) { return want, nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), r.Output.Digest); err != nil || !bytes.Equal(got, want.Data) {
		t.Errorf("recipe %d: read %d bytes, %v", i, len(got), err)
	}
	return r
}

// theirs makes a store with recipes 0 to 3.
func theirs(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	s := openAt(t, folder)
	for i := range 4 {
		doIt(t, s, i)
	}
	return folder
}

// snapshot returns every file below a folder with its content and its times.
func snapshot(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		fmt.Fprintln(&all, path, info.Mode(), info.ModTime(), info.Size())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func recordFiles(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "records", "*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return files
}

func wantBorrowed(t *testing.T, s *artifacts.Store, want int, trouble error) {
	t.Helper()
	if n, err := s.Borrowed(); n != want || !errors.Is(err, trouble) || (err == nil) != (trouble == nil) {
		t.Errorf("borrowed %d, trouble %v; want %d, %v", n, err, want, trouble)
	}
}

func TestWhatIsMissingHereAndThereIsThereIsCopiedAndAHit(t *testing.T) {
	from := theirs(t)
	before := snapshot(t, from)
	s := openFrom(t, from)
	original := doIt(t, openAt(t, from), 0)
	for i := range 6 {
		r := doIt(t, s, i)
		if r.Hit != (i < 4) {
			t.Errorf("recipe %d: hit is %t", i, r.Hit)
		}
		if i == 0 && (r.Output != original.Output || !r.Created.Equal(original.Created) || r.Seconds != original.Seconds) {
			t.Errorf("%+v became %+v", original.Record, r.Record)
		}
	}
	wantBorrowed(t, s, 4, nil)
	if records := wantSound(t, s); records != 6 {
		t.Errorf("%d records, want 6", records)
	}
	if after := snapshot(t, from); after != before {
		t.Errorf("the store behind was changed:\n%s\nwas\n%s", after, before)
	}
	if err := os.RemoveAll(from); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if !doIt(t, s, i).Hit {
			t.Errorf("recipe %d is not here", i)
		}
	}
	wantBorrowed(t, s, 4, nil)
}

func TestLookupCopiesToo(t *testing.T) {
	s := openFrom(t, theirs(t))
	r, hit, err := s.Lookup(t.Context(), theRecipe(0, 1).Digest())
	if !hit || err != nil {
		t.Fatal(hit, err)
	}
	if _, err := s.Get(t.Context(), r.Output.Digest); err != nil {
		t.Error(err)
	}
	if _, hit, err := s.Lookup(t.Context(), theRecipe(0, 9).Digest()); hit || err != nil {
		t.Errorf("what is nowhere: %t, %v", hit, err)
	}
	wantBorrowed(t, s, 1, nil)
}

func TestALookFindsAndReadsThereAndCopiesNothing(t *testing.T) {
	from, here := theirs(t), t.TempDir()
	doIt(t, openAt(t, here), 0)
	before := snapshot(t, here)
	s, err := artifacts.Open(t.Context(), here, &artifacts.Options{From: from, Look: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for range 2 {
		for i := range 5 {
			r, hit, err := s.Lookup(t.Context(), theRecipe(0, i).Digest())
			if hit != (i < 4) || err != nil {
				t.Errorf("recipe %d: %t, %v", i, hit, err)
			}
			if !hit {
				continue
			}
			if got, err := s.Get(t.Context(), r.Output.Digest); err != nil || !bytes.Equal(got, theContent(uint64(i), 1000).Data) {
				t.Errorf("recipe %d: read %d bytes, %v", i, len(got), err)
			}
		}
	}
	wantBorrowed(t, s, 3, nil) // one is here
	if after := snapshot(t, here); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
	if _, err := s.Get(t.Context(), artifacts.DigestOf([]byte("nowhere"))); !errors.Is(err, artifacts.ErrNotFound) {
		t.Errorf("what is nowhere: %v", err)
	}
	for _, name := range recordFiles(t, from) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, hit, err := s.Lookup(t.Context(), theRecipe(0, 1).Digest()); hit || err != nil {
		t.Errorf("what went: %t, %v", hit, err)
	}
}

func TestWhatIsDamagedThereIsNotTaken(t *testing.T) {
	for what, damage := range map[string]func(file []byte) []byte{
		"cut":        func(file []byte) []byte { return file[:len(file)/2] },
		"a flip":     func(file []byte) []byte { file[len(file)/2] ^= 1; return file },
		"emptied":    func([]byte) []byte { return nil },
		"of another": func([]byte) []byte { return []byte("{}") },
	} {
		for _, folder := range []string{"records", "objects"} {
			t.Run(folder+" "+what, func(t *testing.T) {
				from := theirs(t)
				files, err := filepath.Glob(filepath.Join(from, folder, "*", "*"))
				if err != nil || len(files) != 4 {
					t.Fatal(files, err)
				}
				for _, name := range files {
					file, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.Chmod(name, 0o644); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, damage(file), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				s := openFrom(t, from)
				for i := range 4 {
					if doIt(t, s, i).Hit {
						t.Errorf("recipe %d: what is damaged was a hit", i)
					}
				}
				wantBorrowed(t, s, 0, artifacts.ErrCorrupt)
				if records := wantSound(t, s); records != 4 {
					t.Errorf("%d records", records)
				}
			})
		}
	}
}

func TestARecordThereWithoutItsObjectIsAMiss(t *testing.T) {
	from := theirs(t)
	if err := os.RemoveAll(filepath.Join(from, "objects")); err != nil {
		t.Fatal(err)
	}
	s := openFrom(t, from)
	if doIt(t, s, 1).Hit {
		t.Error("it was a hit")
	}
	wantBorrowed(t, s, 0, nil)
}

func TestADamagedRecordHereIsReplacedByTheirs(t *testing.T) {
	here := t.TempDir()
	doIt(t, openAt(t, here), 1)
	for _, name := range recordFiles(t, here) {
		if err := errors.Join(os.Chmod(name, 0o644), os.WriteFile(name, []byte("{}"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := artifacts.Open(t.Context(), here, &artifacts.Options{From: theirs(t)})
	if err != nil {
		t.Fatal(err)
	}
	if !doIt(t, s, 1).Hit {
		t.Error("it was made anew")
	}
	wantBorrowed(t, s, 1, nil)
	wantSound(t, s)
}

func TestAnUnreachableStoreBehindFailsNothing(t *testing.T) {
	empty := t.TempDir()
	for what, from := range map[string]string{"no folder": filepath.Join(empty, "none"), "no store": empty} {
		t.Run(what, func(t *testing.T) {
			s := openFrom(t, from)
			if doIt(t, s, 1).Hit {
				t.Error("a hit from nowhere")
			}
			wantBorrowed(t, s, 0, artifacts.ErrLayout)
			if files, err := os.ReadDir(empty); err != nil || len(files) != 0 {
				t.Errorf("looking left %v, %v", files, err)
			}
		})
	}
	if s, err := artifacts.Open(t.Context(), t.TempDir(), &artifacts.Options{From: "nonsense://x"}); err == nil {
		_ = s.Close()
		t.Error("a URL that nothing can open was taken")
	}
}

func TestAFailingStoreBehindIsAskedOnce(t *testing.T) {
	from := theirs(t)
	s := openFrom(t, from)
	doIt(t, s, 0)
	records := filepath.Join(from, "records")
	if err := errors.Join(os.RemoveAll(records), os.Symlink("records", records)); err != nil { // which cannot be read
		t.Fatal(err)
	}
	for i := 1; i < 4; i++ {
		if doIt(t, s, i).Hit {
			t.Errorf("recipe %d was a hit", i)
		}
	}
	n, trouble := s.Borrowed()
	if n != 1 || trouble == nil || !strings.Contains(trouble.Error(), from) {
		t.Errorf("borrowed %d, trouble %v", n, trouble)
	}
	// Though it is back, it is asked no more.
	if err := errors.Join(os.Remove(records), os.Rename(filepath.Join(theirs(t), "records"), records)); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveRecord(t.Context(), theRecipe(0, 1).Digest()); err != nil {
		t.Fatal(err)
	}
	if doIt(t, s, 1).Hit {
		t.Error("it was asked again")
	}
}

func TestStoresWithAnotherBehindConform(t *testing.T) {
	for what, from := range map[string]string{"other things": theirs(t), "nothing": filepath.Join(t.TempDir(), "none")} {
		t.Run(what, func(t *testing.T) {
			artifactstest.RunWith(t, &artifacts.Options{From: from}, func(t *testing.T) artifactstest.Location {
				bucket := memblob.OpenBucket(nil)
				t.Cleanup(func() { _ = bucket.Close() })
				return func(*testing.T) artifacts.Driver { return artifacts.NewBucketDriver(bucket) }
			})
		})
	}
}
