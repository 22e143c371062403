package manifest

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cspine/cspine/artifacts"
)

// Keys returns the keys of the manifests of a run, or of all runs if run is empty, the newest last. A training's are not among them: they
// name no study.
func Keys(ctx context.Context, store *artifacts.Store, run string) (keys []string, err error) {
	files, err := store.ListNamed(ctx, "runs/")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Key, ".parquet") && !strings.HasSuffix(f.Key, ".train.parquet") && (run == "" || path.Dir(f.Key) == Dir(run)) {
			keys = append(keys, f.Key)
		}
	}
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(path.Base(a), path.Base(b)) })
	return keys, nil
}

// Newest returns the key of the newest manifest of a run, or of all runs if run is empty; "" if there is none.
func Newest(ctx context.Context, store *artifacts.Store, run string) (key string, err error) {
	keys, err := Keys(ctx, store, run)
	if len(keys) == 0 || err != nil {
		return "", err
	}
	return keys[len(keys)-1], nil
}

// Read returns the rows of a manifest.
func Read(ctx context.Context, store *artifacts.Store, key string) ([]artifacts.Row, error) {
	file, err := store.GetNamed(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("the run's manifest: %w", err)
	}
	rows, err := artifacts.ReadManifest(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return rows, nil
}

// idLayout is how a run's id says when it began.
const idLayout = "20060102T150405.000Z"

// ID names a run that began then among those of its name.
func ID(begun time.Time) string { return begun.UTC().Format(idLayout) }

// Begun is when the run of an id began; zero for an id that says nothing of it.
func Begun(id string) time.Time {
	t, err := time.Parse(idLayout, id)
	if err != nil {
		return time.Time{}
	}
	return t
}

// NameOf returns the name and the id of the run whose manifest has this key.
func NameOf(key string) (run, id string) {
	return path.Base(path.Dir(key)), strings.TrimSuffix(path.Base(key), ".parquet")
}
