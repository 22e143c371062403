// Package artifacts keeps what the steps of a pipeline made, so that nothing is computed twice and
// nothing wrong is ever handed out. It knows digests, recipes and bytes, and no medicine.
//
// A recipe says what was asked; an object is what came out, filed under the SHA-256 of its content; a
// record leads from the recipe to the object. Next to them lie named files: run manifests and data sets.
//
// Invariants:
//   - An object is whole or absent, and never changes. A reader gets the bytes that were stored, or an
//     error: every Get decodes, measures and hashes anew.
//   - A record is written after the object it names is safe, so a crash at any moment leaves at most an
//     object that no record names, or a temporary file. Whoever deletes must delete records first.
//   - What Frames hands out undecoded is what the object was packed to, byte for byte, by its seal.
//   - An object's identity is its unencoded content: compressor, encoding and place may change.
//   - A hit needs the record and its object, present in its stored size. Everything else is a miss: a
//     record that does not parse, a recipe filed under another's digest, an object cut short or gone.
//   - Writers of one recipe, in one process or many, may repeat work and never spoil it. The first record
//     stays: all of them end with the digest it names.
//   - Nothing that a kept manifest names is deleted by Collect, nor anything under the hands of who holds a
//     lease: those who make artifacts must hold a shared one, those who delete an exclusive one.
//   - Nothing here reads patient data, and callers must not put any into recipes, notes or keys.
package artifacts

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"

	"github.com/cspine/cspine/internal/bucket"
)

// Store is one store, at one location. It may be used by many goroutines, and its location by many
// processes and Stores at once; a process should share one Store, since calls of Do wait for each other
// within one only. Objects go in by Put or Do and come out by Get, and stay until Remove.
type Store struct {
	driver Driver
	from   *lender // nil without Options.From
	look   bool    // Options.Look

	mu      sync.Mutex
	flights map[Digest]*flight // what Do is at, by recipe digest
}

// Options change how a store is opened. The zero value, and nil, mean the defaults.
type Options struct {
	// MustExist refuses a location that is no store yet, for commands that only look.
	MustExist bool
	// StaleAfter is the age from which unfinished files of other processes are swept away; 0 means a day.
	// It must be longer than any write takes.
	StaleAfter time.Duration
	// NoFlush lets a local store leave flushing to the operating system. A process may then still die at any
	// moment, but a crash of the machine may lose or tear what was written last: for stores that are thrown
	// away, such as a demo's. Four flushes a miss are saved.
	NoFlush bool
	// From is the location of another store, which is looked in for what this one misses, and never written:
	// what is found there is copied here and is a hit (see Store.Borrowed). It need not be there.
	From string
	// Look leaves what is found in From there: Lookup finds and Get reads it as if it were here, so that a plan can go on without
	// writing. Do must not be called.
	Look bool
}

// Open opens the store at a location, and makes one of an empty location. The location is a folder
// ("/data/store", "store", "file:///data/store"), "mem://" (a new one every time, gone with the process),
// or, where package artifacts/cloud is imported, a bucket ("s3://bucket/folder?region=…",
// "gs://bucket/folder", "azblob://container/folder"; parameters as gocloud.dev/blob has them).
//
// It returns an error that wraps ErrLayout if the location holds something else, or a store in a newer format.
func Open(ctx context.Context, location string, opts *Options) (*Store, error) {
	driver, err := OpenDriver(ctx, location, opts)
	if err != nil {
		return nil, err
	}
	s, err := New(ctx, driver, opts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", location, err), driver.Close())
	}
	return s, nil
}

// New opens the store that a driver leads to, as Open does. The store then owns the driver; after an error
// the caller still does.
func New(ctx context.Context, driver Driver, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	if err := openLayout(ctx, driver, opts.MustExist); err != nil {
		return nil, err
	}
	s := &Store{driver: driver, flights: make(map[Digest]*flight)}
	if opts.From != "" {
		from, err := openLender(ctx, opts.From)
		if err != nil {
			return nil, fmt.Errorf("the store behind it: %w", err)
		}
		s.from, s.look = from, opts.Look
	}
	return s, nil
}

// Close frees what the store holds. Nothing may be under way.
func (s *Store) Close() error {
	err := s.driver.Close()
	if s.from != nil {
		err = errors.Join(err, s.from.driver.Close())
	}
	return err
}

// OpenDriver returns the driver for a location, as Open takes it, without looking at what lies there.
func OpenDriver(ctx context.Context, location string, opts *Options) (Driver, error) {
	if location == "" {
		return nil, fmt.Errorf("artifacts: %w: the location is empty", ErrLayout)
	}
	if !strings.Contains(location, "://") {
		return NewFileDriver(location, opts)
	}
	u, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("artifacts: %w: %w", ErrLayout, err)
	}
	if u.Scheme == "file" {
		if u.Host != "" && u.Host != "localhost" || u.Path == "" || u.RawQuery != "" {
			return nil, fmt.Errorf("artifacts: %w: %s: write file:///folder, or the folder alone", ErrLayout, location)
		}
		return NewFileDriver(filepath.FromSlash(u.Path), opts)
	}
	if !blob.DefaultURLMux().ValidBucketScheme(u.Scheme) {
		return nil, fmt.Errorf("artifacts: %w: no driver for %s:// in this program (clouds: import artifacts/cloud)", ErrLayout, u.Scheme)
	}
	// gocloud ignores a bucket URL's path; people mean a folder in the bucket.
	folder := strings.Trim(u.Path, "/")
	u.Path = ""
	b, err := bucket.Open(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("artifacts: open %s://%s: %w", u.Scheme, u.Host, err)
	}
	d := &bucketDriver{bucket: b, name: u.Scheme + "://" + u.Host}
	if folder != "" {
		d.bucket, d.name = blob.PrefixedBucket(b, folder+"/"), d.name+"/"+folder
	}
	return d, nil
}
