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
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/perprocess"
	"github.com/cspine/cspine/internal/pseudonym"
	"github.com/cspine/cspine/internal/source"
)

// Site says where a pipeline reads and writes: a data set and an artifact store, each a local path or
// the URL of a bucket. It travels inside DoFns.
type Site struct {
	Data  string
	Store string
	// Earlier is the key of an earlier run's manifest, and Studies how many studies this run takes. Steps that are given what they were given then
	// hand on what they did then. Empty means that there was no run, or none that is to be believed.
	Earlier string
	Studies int
	// Plan makes the steps say what they would do, and do nothing.
	Plan bool
	// Verify is the share of what is there already that is computed all the same, and compared.
	Verify float64
	// From is a store that is read for what Store misses, and never written; "" is none.
	From string `json:",omitempty"`
	// KeyFile has the key of the pseudonyms by which this run names studies, on every machine that works for it, and KeyID tells which key
	// that is. The key itself must not travel. "" names studies as they are.
	KeyFile string `json:",omitempty"`
	KeyID   string `json:",omitempty"`
	// Isolate makes DoFns work in a child process; see WorkApart.
	Isolate bool `json:",omitempty"`
	// Progress is the folder of the store in which workers leave word of how far they are; "" where the runner works in this process.
	Progress string `json:",omitempty"`
}

// Open returns this process's connections to both places.
func (s Site) Open(ctx context.Context) (*source.Source, *artifacts.Store, error) {
	data, err := source.Shared(ctx, s.Data)
	if err != nil {
		return nil, nil, err
	}
	store, err := s.OpenStore(ctx)
	return data, store, err
}

var keys perprocess.Shared[*pseudonym.Key]

// Pseudonyms returns the key by which the run names studies; nil, which replaces nothing, if it names them as they are.
func (s Site) Pseudonyms() (*pseudonym.Key, error) {
	if s.KeyFile == "" {
		return nil, nil
	}
	return keys.Get(s.KeyFile+"\n"+s.KeyID, func() (*pseudonym.Key, error) {
		key, err := pseudonym.Read(s.KeyFile)
		if err != nil {
			return nil, err
		}
		if key.ID() != s.KeyID {
			return nil, fmt.Errorf("the key file %s of this machine is not the one that the run was started with", s.KeyFile)
		}
		return key, nil
	})
}

// Unnamed returns an error about the data set as a whole, under pseudonyms without the name of the file or folder that it may speak of.
func (s Site) Unnamed(err error) error {
	var at *fs.PathError
	if s.KeyFile != "" && errors.As(err, &at) {
		return fmt.Errorf("a file or folder of the data set can't be listed: %w", at.Err)
	}
	return err
}

var stores perprocess.Shared[*artifacts.Store]

var earlier perprocess.Shared[*Earlier]

// earlier returns what the process knows of the earlier run.
func (s Site) earlier(ctx context.Context, store *artifacts.Store) (*Earlier, error) {
	if s.Earlier == "" {
		return nil, nil
	}
	return earlier.Get(fmt.Sprintf("%s\n%s\n%d", s.Store, s.Earlier, s.Studies), func() (*Earlier, error) {
		e, err := ReadEarlier(context.WithoutCancel(ctx), store, s.Earlier, s.Studies)
		if errors.Is(err, artifacts.ErrNotFound) || errors.Is(err, artifacts.ErrCorrupt) {
			slog.Warn("every artifact is asked for", "because", err)
			return nil, nil
		}
		return e, err
	})
}

// EarlierRows returns the rows of the earlier run's manifest; none if there was no such run, or none that is to be believed.
func (s Site) EarlierRows(ctx context.Context) ([]artifacts.Row, error) {
	store, err := s.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.earlier(ctx, store)
	if e == nil {
		return nil, err
	}
	return e.rows, nil
}

// OpenStore returns the process's one store of a site, opening it at the first call.
func (s Site) OpenStore(ctx context.Context) (*artifacts.Store, error) {
	return stores.Get(fmt.Sprintf("%s\n%s\n%t", s.Store, s.From, s.Plan), func() (*artifacts.Store, error) {
		store, err := artifacts.Open(context.WithoutCancel(ctx), s.Store, &artifacts.Options{From: s.From, Look: s.Plan})
		if err != nil {
			return nil, fmt.Errorf("open the artifact store: %w", err)
		}
		return store, nil
	})
}
