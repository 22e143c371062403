package artifactstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

var driverRules = []rule{
	{"WhatIsStoredIsRead", func(t *testing.T, at Location) {
		writer, reader := at(t), at(t)
		for key, data := range map[string][]byte{
			"objects/aa/empty":              {},
			"objects/aa/small":              []byte("small"),
			"runs/x/A-Z_a+z=0@9.parquet":    tensor(1, 1000),
			"datasets/deep/er/and/deeper/x": tensor(2, 3<<20),
		} {
			want := bytes.Clone(data)
			if err := writer.Create(t.Context(), key, data); err != nil {
				t.Fatal(err)
			}
			for i := range data {
				data[i]++ // the caller's again
			}
			got := read(t, reader, key)
			if !bytes.Equal(got, want) {
				t.Errorf("%s: read other bytes than were stored", key)
			}
			for i := range got {
				got[i]++ // the reader's own
			}
			if !bytes.Equal(read(t, reader, key), want) {
				t.Errorf("%s: a reader's change to its copy reached the store", key)
			}
			info, err := reader.Stat(t.Context(), key)
			if err != nil || info.Size != int64(len(want)) || info.Key != key || info.Modified.IsZero() {
				t.Errorf("%s: Stat says %+v, %v", key, info, err)
			}
		}
	}},
	{"APartIsReadAlone", func(t *testing.T, at Location) {
		d := at(t)
		data := tensor(3, 100_000)
		replace(t, d, "datasets/x/part", data)
		for _, c := range []struct{ offset, length, want int }{
			{0, 10, 10}, {99_990, 10, 10}, {70_000, 30_000, 30_000}, {0, 100_000, 100_000}, {5, 0, 0},
			{99_990, 11, 10}, {100_000, 1, 0}, {200_000, 5, 0}, // behind the end
		} {
			p := make([]byte, c.length)
			n, err := d.ReadAt(t.Context(), "datasets/x/part", p, int64(c.offset))
			if n != c.want || n < c.length && !errors.Is(err, io.EOF) || n == c.length && err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%d bytes from %d: got %d, %v", c.length, c.offset, n, err)
			} else if n > 0 && !bytes.Equal(p[:n], data[c.offset:][:n]) {
				t.Errorf("%d bytes from %d: others than were stored", c.length, c.offset)
			}
		}
		_, err := d.ReadAt(t.Context(), "datasets/x/none", make([]byte, 1), 0)
		wantError(t, "ReadAt", err, artifacts.ErrNotFound)
		_, err = d.ReadAt(t.Context(), "datasets/x", make([]byte, 1), 0)
		wantError(t, "ReadAt of a folder", err, artifacts.ErrNotFound)
	}},
	{"AbsentIsNotFound", func(t *testing.T, at Location) {
		d := at(t)
		replace(t, d, "runs/a/b", []byte("x"))
		for _, key := range []string{"runs/none", "runs/a", "none/at/all"} {
			_, err := d.Read(t.Context(), key)
			wantError(t, "Read "+key, err, artifacts.ErrNotFound)
			_, err = d.Stat(t.Context(), key)
			wantError(t, "Stat "+key, err, artifacts.ErrNotFound)
			wantError(t, "Copy "+key, d.Copy(t.Context(), key, "runs/c"), artifacts.ErrNotFound)
		}
	}},
	{"CreateKeepsWhatIsThere", func(t *testing.T, at Location) {
		d := at(t)
		if err := d.Create(t.Context(), "records/aa/x", []byte("first")); err != nil {
			t.Fatal(err)
		}
		wantError(t, "second Create", at(t).Create(t.Context(), "records/aa/x", []byte("other")), artifacts.ErrExist)
		if got := read(t, d, "records/aa/x"); string(got) != "first" {
			t.Errorf("Create replaced the value by %q", got)
		}
	}},
	{"OfManyCreatesAWholeValueStays", func(t *testing.T, at Location) {
		const writers, rounds = 8, 10
		for round := range rounds {
			key := fmt.Sprintf("objects/aa/%d", round)
			errs := make([]error, writers)
			var all sync.WaitGroup
			for i := range writers {
				d := at(t)
				all.Go(func() { errs[i] = d.Create(t.Context(), key, tensor(i, 50_000+i)) })
			}
			all.Wait()
			winners := 0
			for _, err := range errs {
				if err == nil {
					winners++
				} else if !errors.Is(err, artifacts.ErrExist) {
					t.Error(err)
				}
			}
			if winners == 0 {
				t.Error("nobody created the value")
			}
			if winners > 1 {
				t.Logf("%d of %d creates succeeded: this location knows no exclusive creation", winners, writers)
			}
			got := read(t, at(t), key)
			if writer := len(got) - 50_000; writer < 0 || writer >= writers || !bytes.Equal(got, tensor(writer, len(got))) {
				t.Error("the value is nobody's")
			}
		}
	}},
	{"ReplaceReplaces", func(t *testing.T, at Location) {
		d := at(t)
		for _, value := range []string{"first, and longer", "second", ""} {
			replace(t, d, "records/aa/x", []byte(value))
			if got := read(t, at(t), "records/aa/x"); string(got) != value {
				t.Errorf("read %q, want %q", got, value)
			}
		}
	}},
	{"CopyReplaces", func(t *testing.T, at Location) {
		d := at(t)
		replace(t, d, "objects/aa/one", []byte("one"))
		replace(t, d, "objects/aa/two", []byte("two"))
		for _, from := range []string{"one", "two", "two"} {
			if err := d.Copy(t.Context(), "objects/aa/"+from, "runs/to"); err != nil {
				t.Fatal(err)
			}
			if got := read(t, d, "runs/to"); string(got) != from {
				t.Errorf("the copy of %q reads %q", from, got)
			}
		}
		replace(t, d, "runs/to", []byte("changed"))
		if got := read(t, d, "objects/aa/two"); string(got) != "two" {
			t.Errorf("replacing the copy changed its source to %q", got)
		}
	}},
	{"ListFindsByAnyPrefix", func(t *testing.T, at Location) {
		d := at(t)
		all := []string{"objects/aa/aab1", "objects/aa/aab2", "objects/aa/aac", "objects/ab/x", "runs/a/b/c", "runs/ab"}
		for _, key := range all {
			replace(t, d, key, []byte(key))
		}
		for prefix, want := range map[string][]string{
			"":                all,
			"objects/":        all[:4],
			"objects/a":       all[:4],
			"objects/aa/":     all[:3],
			"objects/aa/aab":  all[:2],
			"objects/aa/aab2": all[1:2],
			"runs/a":          all[4:],
			"runs/a/":         all[4:5],
			"runs/none/":      nil,
			"none":            nil,
		} {
			got := keys(t, d, prefix)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("below %q: %q, want %q", prefix, got, want)
			}
		}
		for info, err := range d.List(t.Context(), "runs/ab") {
			if err != nil || info.Size != int64(len("runs/ab")) || info.Modified.IsZero() {
				t.Errorf("List says %+v, %v", info, err)
			}
		}
		for range d.List(t.Context(), "") {
			break // a reader may stop
		}
	}},
	{"DeleteTwiceIsNoError", func(t *testing.T, at Location) {
		d := at(t)
		replace(t, d, "runs/x", nil)
		for range 2 {
			if err := d.Delete(t.Context(), "runs/x"); err != nil {
				t.Error(err)
			}
		}
		_, err := d.Stat(t.Context(), "runs/x")
		wantError(t, "after Delete", err, artifacts.ErrNotFound)
	}},
	{"DoneContextChangesNothing", func(t *testing.T, at Location) {
		d := at(t)
		replace(t, d, "runs/x", []byte("old"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := d.Read(ctx, "runs/x")
		wantError(t, "Read", err, context.Canceled)
		_, err = d.Stat(ctx, "runs/x")
		wantError(t, "Stat", err, context.Canceled)
		wantError(t, "Create", d.Create(ctx, "runs/y", []byte("new")), context.Canceled)
		wantError(t, "Replace", d.Replace(ctx, "runs/x", []byte("new")), context.Canceled)
		wantError(t, "Copy", d.Copy(ctx, "runs/x", "runs/z"), context.Canceled)
		wantError(t, "Delete", d.Delete(ctx, "runs/x"), context.Canceled)
		for _, err := range d.List(ctx, "") {
			wantError(t, "List", err, context.Canceled)
		}
		if got := keys(t, d, ""); len(got) != 1 || string(read(t, d, "runs/x")) != "old" {
			t.Errorf("something changed: %q", got)
		}
	}},
}
