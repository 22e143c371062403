// Package publicdata finds public test data that are not a part of the repository. Only tests import it.
package publicdata

import (
	"os"
	"path/filepath"
	"testing"
)

// Path returns the path of a file or folder of the collection that CSPINE_TESTDATA names, or that lies in shared/data beside the checkout. The
// test is skipped where it is not there.
func Path(t testing.TB, names ...string) string {
	t.Helper()
	root := os.Getenv("CSPINE_TESTDATA")
	if root == "" {
		root = filepath.Join(checkout(t), "..", "shared", "data")
	}
	path := filepath.Join(append([]string{root}, names...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data: set CSPINE_TESTDATA (%v)", err)
	}
	return path
}

// checkout is the folder above the test's that has go.mod.
func checkout(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		above := filepath.Dir(dir)
		if above == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = above
	}
}
