package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

// cspine runs a command, and returns its exit status and what it wrote to standard output.
func cspine(t *testing.T, args ...string) (int, []byte) {
	t.Helper()
	var out, errors bytes.Buffer
	status := run(args, &out, &errors)
	if errors.Len() > 0 {
		t.Logf("%v: %s", args, &errors)
	}
	return status, out.Bytes()
}

func TestVerifyFindsAFlippedBitInEveryFileThatARunLeaves(t *testing.T) {
	data, store := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "store")
	for _, args := range [][]string{
		{"phantom", "--out", data, "--studies", "1", "--slices", "24", "--masks", "1", "--size", "64", "--seed", "5", "--syntax", "explicit"},
		{"prepare", "--data", data, "--store", store, "--segmenter", "labels", "--run", "first", "--json"},
	} {
		if status, out := cspine(t, args...); status != exitOK {
			t.Fatalf("%v: status %d\n%s", args, status, out)
		}
	}
	var files []string
	err := filepath.WalkDir(store, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, name)
		}
		return err
	})
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		whole, err := os.ReadFile(name)
		if err == nil {
			err = flipBit(name)
		}
		if err != nil {
			t.Fatal(err)
		}
		key, _ := filepath.Rel(store, name)
		status, out := cspine(t, "verify", "--store", store, "--read-data", "--json")
		var report verifyReport
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatal(err)
		}
		named := slices.ContainsFunc(report.Findings, func(f artifacts.Finding) bool { return f.Key == filepath.ToSlash(key) })
		if status != exitFound || !named {
			t.Errorf("%s: status %d, found %v", key, status, report.Findings)
		}
		if err := os.WriteFile(name, whole, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if status, out := cspine(t, "verify", "--store", store, "--read-data", "--json"); status != exitOK {
		t.Errorf("whole again: status %d\n%s", status, out)
	}
}
