package source

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob/memblob"
)

// places opens the same small data set in every kind of place.
func places(t *testing.T) map[string]*Source {
	t.Helper()
	files := map[string]string{
		"rsna/train.csv":                  "header\n",
		"rsna/train_images/1.2.3/1.dcm":   "slice one",
		"rsna/train_images/1.2.3/2.dcm":   "slice two",
		"rsna/train_images/1.2.4/1.dcm":   "other",
		"elsewhere/train_images/9/1.dcm":  "not ours",
		"rsna/train_images/1.2.3/a/b.dcm": "deeper",
	}
	dir, bucket := t.TempDir(), memblob.OpenBucket(nil)
	for key, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := bucket.WriteAll(t.Context(), key, []byte(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	local, err := Open(t.Context(), filepath.Join(dir, "rsna"))
	if err != nil {
		t.Fatal(err)
	}
	byURL, err := Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(dir, "rsna")))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*Source{"folder": local, "file URL": byURL, "bucket": FromBucket(bucket, "rsna", "mem://")}
	t.Cleanup(func() {
		for _, s := range all {
			s.Close()
		}
	})
	return all
}

func TestListsWhatLiesDirectlyBelowAFolder(t *testing.T) {
	for name, s := range places(t) {
		objects, folders, err := s.List(t.Context(), "train_images/1.2.3")
		if err != nil {
			t.Fatal(name, err)
		}
		var keys []string
		for _, o := range objects {
			keys = append(keys, o.Key)
			if o.Size != 9 || o.Version == "" {
				t.Errorf("%s: %+v", name, o)
			}
			if again, err := s.Stat(t.Context(), o.Key); err != nil || again != o {
				t.Errorf("%s: Stat gives %+v, %v; the listing gave %+v", name, again, err, o)
			}
		}
		want := []string{"train_images/1.2.3/1.dcm", "train_images/1.2.3/2.dcm"}
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff([]string{"a"}, folders); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if _, folders, err = s.List(t.Context(), ""); err != nil || !cmp.Equal(folders, []string{"train_images"}) {
			t.Errorf("%s: root has %v, %v", name, folders, err)
		}
	}
}

func TestReadsRanges(t *testing.T) {
	for name, s := range places(t) {
		o, err := s.Stat(t.Context(), "train_images/1.2.3/2.dcm")
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := s.ReadRange(t.Context(), o, 6, 3, make([]byte, 1))
		if err != nil || string(got) != "two" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if got, err = s.ReadAll(t.Context(), o.Key, 100); err != nil || string(got) != "slice two" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if _, err = s.ReadAll(t.Context(), o.Key, 8); err == nil {
			t.Errorf("%s: read more than allowed", name)
		}
		if _, err = s.ReadRange(t.Context(), o, 6, 4, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: reading past the end gives %v", name, err)
		}
		p := make([]byte, 32)
		if n, err := s.ReaderAt(t.Context(), o).ReadAt(p, 0); n != 9 || err != io.EOF {
			t.Errorf("%s: ReadAt gives %d, %v", name, n, err)
		}
	}
}

func TestAChangedObjectIsNotRead(t *testing.T) {
	for name, s := range places(t) {
		o, err := s.Stat(t.Context(), "train_images/1.2.3/2.dcm")
		if err != nil {
			t.Fatal(name, err)
		}
		o.Size++
		if _, err := s.ReadRange(t.Context(), o, 0, 3, nil); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: another size gives %v", name, err)
		}
		if name == "bucket" {
			continue // its versions are MD5s, which a range read can't see
		}
		o.Size--
		o.Version = "mtime:1"
		if _, err := s.ReadRange(t.Context(), o, 0, 3, nil); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: another time of modification gives %v", name, err)
		}
	}
}

func TestAbsentKeysAreNotFound(t *testing.T) {
	for name, s := range places(t) {
		if _, err := s.Stat(t.Context(), "train_images/7.dcm"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.ReadRange(t.Context(), Object{Key: "train_images/7.dcm"}, 0, 1, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("opened a folder that is not there")
	}
}

func TestLocalKeysNeverLeaveTheRoot(t *testing.T) {
	s := places(t)["folder"]
	for _, key := range []string{"../elsewhere/train_images/9/1.dcm", "/etc/passwd"} {
		if _, err := s.ReadRange(context.Background(), Object{Key: key}, 0, 1, nil); err == nil {
			t.Errorf("read %s", key)
		}
	}
}
