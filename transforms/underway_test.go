package transforms

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cspine/cspine/artifacts"
)

func TestRunsThatWereKilledAreForgotten(t *testing.T) {
	folder := t.TempDir()
	store, err := artifacts.Open(t.Context(), folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for id, age := range map[string]time.Duration{"now": 0, "silent": time.Hour, "old": 48 * time.Hour} {
		word, err := json.Marshal(UnderWay{Run: "first", ID: id})
		if err == nil {
			err = store.PutNamed(t.Context(), UnderWayKey("first", id), word)
		}
		if err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(folder, filepath.FromSlash(UnderWayKey("first", id))), then, then); err != nil {
			t.Fatal(err)
		}
	}
	under, err := RunsUnderWay(t.Context(), store)
	if err != nil || len(under) != 1 || under[0].ID != "now" {
		t.Errorf("under way are %+v, %v", under, err)
	}
	if err := SweepUnderWay(t.Context(), store, "first"); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"now": true, "silent": true, "old": false} {
		if _, err := store.GetNamed(t.Context(), UnderWayKey("first", id)); (err == nil) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
}
