package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func openFolder(t *testing.T, location string) *Store {
	t.Helper()
	s, err := Open(t.Context(), location, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Store, c Content) Output {
	t.Helper()
	out, err := s.Put(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOneFolderHasManyNames(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(filepath.Dir(folder))
	d := put(t, openFolder(t, folder), Content{Data: []byte("x")}).Digest
	for _, location := range []string{"./" + filepath.Base(folder), "file://" + folder, "file://localhost" + folder + "/"} {
		if _, err := openFolder(t, location).Get(t.Context(), d); err != nil {
			t.Errorf("%s: %v", location, err)
		}
	}
}

func TestStoreOutlivesAChangeOfDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	s := openFolder(t, "store")
	t.Chdir(t.TempDir())
	put(t, s, Content{Data: []byte("x")})
	if _, err := os.Stat("store"); err == nil {
		t.Error("the store moved along")
	}
}

func TestUnusableLocationsSayWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]string{
		"":                     "empty",
		"file://relative/path": "file:///",
		"file:///x?create=1":   "file:///",
		"s3://bucket":          "artifacts/cloud",
		"nonsense://x":         "no driver",
		"bad\x00://x":          "",
		file:                   "",
	} {
		if s, err := Open(t.Context(), location, nil); err == nil {
			_ = s.Close()
			t.Errorf("%q was opened", location)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error does not speak of %q: %v", location, want, err)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	if _, err := Open(t.Context(), none, &Options{MustExist: true}); !errors.Is(err, ErrLayout) {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("looking made a folder")
	}
}

func TestBucketPathIsAFolderInIt(t *testing.T) {
	s, err := Open(t.Context(), "mem://bucket/folder/", nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, Content{Data: []byte("x")})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestContentIsReadOnlyAndNothingIsLeftBehind(t *testing.T) {
	folder := t.TempDir()
	s := openFolder(t, folder)
	out := put(t, s, Content{Data: []byte("x"), Encoding: Identity})
	if err := s.PublishFile(t.Context(), "datasets/a/b", out.Digest); err != nil {
		t.Fatal(err)
	}
	if err := s.PutNamed(t.Context(), "runs/a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	stat := func(key string) fs.FileInfo {
		info, err := os.Stat(filepath.Join(folder, key))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	object, published := stat(objectKey(out.Digest, Identity)), stat("datasets/a/b")
	if object.Mode().Perm()&0o222 != 0 || stat("runs/a").Mode().Perm()&0o200 == 0 {
		t.Errorf("object has mode %v, named file %v", object.Mode(), stat("runs/a").Mode())
	}
	if !os.SameFile(object, published) {
		t.Error("the published file is a copy")
	}
	// Twice the same, where rename(2) leaves both names.
	if err := s.PublishFile(t.Context(), "datasets/a/b", out.Digest); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(folder, tempFolder)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOnlyStaleTemporaryFilesAreSwept(t *testing.T) {
	folder := t.TempDir()
	put(t, openFolder(t, folder), Content{Data: []byte("x")})
	name := func(age time.Duration) string { return fmt.Sprintf(tempPattern, time.Now().Add(-age).Unix(), 7) }
	stale, fresh, foreign := name(25*time.Hour), name(23*time.Hour), "notes.txt"
	for _, n := range []string{stale, fresh, foreign} {
		if err := os.WriteFile(filepath.Join(folder, tempFolder, n), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	put(t, openFolder(t, folder), Content{Data: []byte("y")})
	for n, stays := range map[string]bool{stale: false, fresh: true, foreign: true} {
		if _, err := os.Stat(filepath.Join(folder, tempFolder, n)); (err == nil) != stays {
			t.Errorf("%s: %v", n, err)
		}
	}
}

func TestExactlyOneCreateSucceeds(t *testing.T) {
	folder := t.TempDir()
	const writers, rounds = 8, 40
	for round := range rounds {
		var all sync.WaitGroup
		var mu sync.Mutex
		winners := 0
		for range writers {
			d, err := NewFileDriver(folder, nil)
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if err := d.Create(t.Context(), fmt.Sprintf("records/aa/%d", round), []byte("x")); err == nil {
					mu.Lock()
					winners++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if winners != 1 {
			t.Fatalf("round %d: %d creates succeeded", round, winners)
		}
	}
}

func TestWithoutLinksARenamePublishes(t *testing.T) {
	// A folder cannot be linked, as a file cannot where there are no links.
	folder := t.TempDir()
	temp, final := filepath.Join(folder, "temp"), filepath.Join(folder, "final")
	for _, want := range []error{nil, fs.ErrExist} {
		if err := os.Mkdir(temp, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := linkNew(temp, final); !errors.Is(err, want) {
			t.Errorf("error is %v, want %v", err, want)
		}
	}
}

func TestVanishedStoreIsAnErrorAndNotANewOne(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	s := openFolder(t, folder)
	put(t, s, Content{Data: []byte("x")})
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), Content{Data: []byte("y")}); !errors.Is(err, ErrLayout) {
		t.Errorf("error is %v, want ErrLayout", err)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("the store came back without its marker")
	}
}

func TestRemovedFoldersAreMadeAgain(t *testing.T) {
	folder := t.TempDir()
	s := openFolder(t, folder)
	for range 2 {
		out := put(t, s, Content{Data: []byte("x")})
		if _, err := s.Get(t.Context(), out.Digest); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(folder, objectsFolder)); err != nil {
			t.Fatal(err)
		}
	}
}
