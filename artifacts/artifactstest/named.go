package artifactstest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

var namedRules = []rule{
	{"NamedFilesCanChange", func(t *testing.T, at Location) {
		s := open(t, at)
		_, err := s.GetNamed(t.Context(), "runs/a/manifest.parquet")
		wantError(t, "absent", err, artifacts.ErrNotFound)
		for _, value := range []string{"first", "second, longer", ""} {
			if err := s.PutNamed(t.Context(), "runs/a/manifest.parquet", []byte(value)); err != nil {
				t.Fatal(err)
			}
			got, err := open(t, at).GetNamed(t.Context(), "runs/a/manifest.parquet")
			if err != nil || string(got) != value {
				t.Errorf("read %q, %v, want %q", got, err, value)
			}
		}
		for range 2 {
			if err := s.DeleteNamed(t.Context(), "runs/a/manifest.parquet"); err != nil {
				t.Error(err)
			}
		}
		_, err = s.GetNamed(t.Context(), "runs/a/manifest.parquet")
		wantError(t, "deleted", err, artifacts.ErrNotFound)
	}},
	{"ReplacementIsAtOnce", func(t *testing.T, at Location) {
		const key, rounds, readers = "runs/a/now", 30, 3
		s := open(t, at)
		values := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 70_001), nil}
		if err := s.PutNamed(t.Context(), key, values[0]); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range readers {
			reader := open(t, at)
			all.Go(func() {
				for ctx.Err() == nil {
					got, err := reader.GetNamed(t.Context(), key)
					whole := slices.ContainsFunc(values, func(v []byte) bool { return bytes.Equal(v, got) })
					if err != nil || !whole {
						t.Errorf("read %d bytes that nobody wrote, %v", len(got), err)
						return
					}
				}
			})
		}
		for i := range rounds {
			if err := s.PutNamed(t.Context(), key, values[i%len(values)]); err != nil {
				t.Error(err)
			}
		}
		stop()
		all.Wait()
	}},
	{"ListIsOrdered", func(t *testing.T, at Location) {
		s := open(t, at)
		all := []string{"datasets/n/part-1", "datasets/n/part-2", "runs/a-b/x", "runs/a/x", "runs/b"}
		for i := len(all) - 1; i >= 0; i-- {
			if err := s.PutNamed(t.Context(), all[i], []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		for prefix, want := range map[string][]string{
			"runs/":             all[2:],
			"runs/a":            all[2:4],
			"runs/a/":           all[3:4],
			"datasets/n/part-2": all[1:2],
			"runs/none/":        nil,
		} {
			infos, err := s.ListNamed(t.Context(), prefix)
			var got []string
			for _, info := range infos {
				got = append(got, info.Key)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q, %v, want %q", prefix, got, err, want)
			}
		}
	}},
	{"KeysThatLeadElsewhereAreRefused", func(t *testing.T, at Location) {
		s := open(t, at)
		before := len(keys(t, at(t), ""))
		out, err := s.Put(t.Context(), artifacts.Content{Data: []byte("x"), Encoding: artifacts.Identity})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{
			"", "/", "runs", "runs/", "/runs/a", "runs//a", "runs/a/", "runs/.", "runs/..", "runs/../objects/x", "runs/../../x",
			"runs/a/../../x", "objects/aa/x", "records/aa/x", "tmp/x", "cspine-store.json", "other/x", `runs/a\b`, `runs\..\x`,
			"runs/.hidden", "runs/a b", "runs/a\x00b", "runs/é", "runs/a\n", "runs/C:", "runs/%2e%2e/x", "Runs/x",
			"runs/" + strings.Repeat("a", 300), "runs" + strings.Repeat("/aaaaaaaaa", 100), "file:///runs/a",
		} {
			wantError(t, "PutNamed "+key, s.PutNamed(t.Context(), key, nil), artifacts.ErrKey)
			wantError(t, "DeleteNamed "+key, s.DeleteNamed(t.Context(), key), artifacts.ErrKey)
			wantError(t, "PublishFile "+key, s.PublishFile(t.Context(), key, out.Digest), artifacts.ErrKey)
			_, err := s.GetNamed(t.Context(), key)
			wantError(t, "GetNamed "+key, err, artifacts.ErrKey)
		}
		for _, prefix := range []string{"", "/", "runs", "objects/", "runs/../objects/", "records/"} {
			_, err := s.ListNamed(t.Context(), prefix)
			wantError(t, "ListNamed "+prefix, err, artifacts.ErrKey)
		}
		if after := len(keys(t, at(t), "")); after != before+1 {
			t.Errorf("%d keys became %d", before, after)
		}
	}},
	{"PublishedFileIsTheObject", func(t *testing.T, at Location) {
		s := open(t, at)
		for i := range 3 { // the second replaces, and so does the third, which is the second again
			data := tensor(min(i, 1), 1000)
			out, err := s.Put(t.Context(), artifacts.Content{Data: data, Encoding: artifacts.Identity})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.PublishFile(t.Context(), "datasets/neck/part-0.parquet", out.Digest); err != nil {
				t.Fatal(err)
			}
			got, err := s.GetNamed(t.Context(), "datasets/neck/part-0.parquet")
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("the published file reads %d bytes, %v", len(got), err)
			}
			wantContent(t, s, out.Digest, data)
		}
		if err := s.PutNamed(t.Context(), "datasets/neck/part-0.parquet", []byte("replaced")); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, artifacts.DigestOf(tensor(1, 1000)), tensor(1, 1000))
		if err := s.PublishFile(t.Context(), "datasets/neck/part-0.parquet", artifacts.DigestOf(tensor(0, 1000))); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(t.Context(), artifacts.DigestOf(tensor(0, 1000))); err != nil {
			t.Fatal(err)
		}
		if got, err := s.GetNamed(t.Context(), "datasets/neck/part-0.parquet"); err != nil || !bytes.Equal(got, tensor(0, 1000)) {
			t.Errorf("the published file went with its object: %v", err)
		}
	}},
	{"OnlyPlainObjectsArePublished", func(t *testing.T, at Location) {
		s := open(t, at)
		out, err := s.Put(t.Context(), artifacts.Content{Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		err = s.PublishFile(t.Context(), "datasets/a/b", out.Digest)
		if err == nil || !strings.Contains(err.Error(), "Identity") {
			t.Errorf("error is %v", err)
		}
		wantError(t, "absent object", s.PublishFile(t.Context(), "datasets/a/b", artifacts.Digest{}), artifacts.ErrNotFound)
	}},
}
