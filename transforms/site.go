// Package transforms holds what the Beam wrappers of all steps share: the elements that travel between
// them, the place they read and write, and the way a step reports what became of a study.
//
// Each step is a package below this one: a pure function, which knows no Beam, no bucket and no flag,
// and beside it its DoFn.
//
// Invariants of every DoFn:
//   - Elements must be small: names, numbers and digests. Tensors travel through the artifact store.
//   - Work goes through Report.Do, so that it is cached and appears in the run's manifest.
//   - A study that fails leaves as an outcome with a reason; it must not fail its bundle. Only what
//     concerns the whole run (a store that refuses writes, a cancelled context) is returned as an error.
//   - Nothing is kept in a DoFn between elements. What a process shares (opened stores, a compiled
//     network) is found through the functions here, which load it once.
package transforms

import (
	"context"
	"fmt"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/perprocess"
	"github.com/cspine/cspine/internal/source"
)

// Site says where a pipeline reads and writes: a data set and an artifact store, each a local path or
// the URL of a bucket. It travels inside DoFns.
type Site struct {
	Data  string
	Store string
}

// Open returns this process's connections to both places.
func (s Site) Open(ctx context.Context) (*source.Source, *artifacts.Store, error) {
	data, err := source.Shared(ctx, s.Data)
	if err != nil {
		return nil, nil, err
	}
	store, err := SharedStore(ctx, s.Store)
	return data, store, err
}

var stores perprocess.Shared[*artifacts.Store]

// SharedStore returns the process's one store for a URL, opening it at the first call.
func SharedStore(ctx context.Context, url string) (*artifacts.Store, error) {
	return stores.Get(url, func() (*artifacts.Store, error) {
		store, err := artifacts.Open(context.WithoutCancel(ctx), url, nil)
		if err != nil {
			return nil, fmt.Errorf("open the artifact store: %w", err)
		}
		return store, nil
	})
}
