package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Result is a record and how it was come by. Records are shared between callers: read only.
type Result struct {
	Record
	RecipeDigest Digest
	// Hit: this call computed nothing, because the record was there or another call was already at it.
	Hit bool
}

// Do returns the record of a recipe: the one in the store if it is a hit, else what compute makes, its
// object stored first and its record last. If another process made the record meanwhile, that one stays
// and is returned.
//
// Of calls with one recipe at one time in one Store, one computes and all get its result. The context that
// compute gets has the values of its own caller's, and is cancelled only when every one of those callers
// has gone. A caller that waits returns as soon as its context is done; the one whose compute runs returns
// after it, so that compute may use its caller's memory.
//
// An error of compute goes to all of them, as it is, and nothing is stored: the next call computes anew. A
// panic is such an error (*PanicError).
func (s *Store) Do(ctx context.Context, recipe Recipe, compute func(ctx context.Context) (Content, error)) (Result, error) {
	if err := recipe.Validate(); err != nil {
		return Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	key := recipe.Digest()
	f, leads := s.join(ctx, key)
	stopWatching := context.AfterFunc(ctx, func() { s.leave(key, f) })
	defer stopWatching()
	if leads {
		defer s.land(key, f) // also when compute ends its goroutine
		f.result, f.err = s.produce(f.ctx, key, recipe, compute)
		if f.err != nil && ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		return f.result, f.err
	}
	select {
	case <-f.done:
		result := f.result
		result.Hit = f.err == nil
		return result, f.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// Lookup returns the record of the recipe with this digest, and whether it is a hit. A record that is
// damaged is an error that wraps ErrCorrupt; Do takes it for a miss.
func (s *Store) Lookup(ctx context.Context, recipe Digest) (Record, bool, error) {
	r, err := s.readRecord(ctx, recipe)
	if errors.Is(err, ErrNotFound) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, err
	}
	info, err := s.driver.Stat(ctx, objectKey(r.Output.Digest, r.Output.Encoding))
	if errors.Is(err, ErrNotFound) || err == nil && info.Size != r.Output.Stored {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, err
	}
	return r, true, nil
}

// RecordFile is a record and where it is filed.
type RecordFile struct {
	Record
	RecipeDigest Digest
	Modified     time.Time
}

// Records yields every record, whether or not its object is there, in no particular order. A damaged
// record comes with its digest and an error that wraps ErrCorrupt, and more follow; after any other error
// it yields nothing more. Files that are not records are passed over.
func (s *Store) Records(ctx context.Context) iter.Seq2[RecordFile, error] {
	return func(yield func(RecordFile, error) bool) {
		for info, err := range s.driver.List(ctx, recordsFolder+"/") {
			if err != nil {
				yield(RecordFile{}, err)
				return
			}
			recipe, ok := parseRecordKey(info.Key)
			if !ok {
				continue
			}
			r, err := s.readRecord(ctx, recipe)
			if errors.Is(err, ErrNotFound) {
				continue // removed meanwhile
			}
			more := yield(RecordFile{Record: r, RecipeDigest: recipe, Modified: info.Modified}, err)
			if !more || err != nil && !errors.Is(err, ErrCorrupt) {
				return
			}
		}
	}
}

// RemoveRecord deletes the record of the recipe with this digest, so that the next Do computes it anew.
func (s *Store) RemoveRecord(ctx context.Context, recipe Digest) error {
	return s.driver.Delete(ctx, recordKey(recipe))
}

func (s *Store) readRecord(ctx context.Context, recipe Digest) (Record, error) {
	file, err := s.driver.Read(ctx, recordKey(recipe))
	if err != nil {
		return Record{}, err
	}
	return parseRecord(file, recipe)
}

// A flight is one recipe being looked up or computed on behalf of all callers that ask for it meanwhile.
type flight struct {
	ctx     context.Context // of compute: cancelled when nobody waits any more
	cancel  context.CancelFunc
	waiting int // callers not gone yet; Store.mu guards it

	done   chan struct{} // closed when result and err stand
	result Result
	err    error
}

// join returns the flight of a recipe; leads tells its one caller who must produce and land it.
func (s *Store) join(ctx context.Context, key Digest) (f *flight, leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, underWay := s.flights[key]
	if !underWay {
		f = &flight{done: make(chan struct{}), err: errors.New("artifacts: compute ended its goroutine")}
		f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.flights[key] = f
	}
	f.waiting++
	return f, !underWay
}

// leave takes one caller off a flight, and with the last one calls it off: who asks later starts another.
func (s *Store) leave(key Digest, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting--
	if f.waiting == 0 {
		f.cancel()
		s.forget(key, f)
	}
}

// land ends a flight.
func (s *Store) land(key Digest, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(key, f)
	f.cancel()
	close(f.done)
}

func (s *Store) forget(key Digest, f *flight) {
	if s.flights[key] == f {
		delete(s.flights, key)
	}
}

// produce is Do for one caller.
func (s *Store) produce(ctx context.Context, key Digest, recipe Recipe, compute func(context.Context) (Content, error)) (_ Result, err error) {
	defer recoverInto(&err, recipe.Transform)
	found, hit, err := s.Lookup(ctx, key)
	if hit {
		return Result{Record: found, RecipeDigest: key, Hit: true}, nil
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return Result{}, err
	}
	start := time.Now()
	content, err := compute(ctx)
	if err != nil {
		return Result{}, err
	}
	seconds := time.Since(start).Seconds()
	if content.Note != nil && !json.Valid(content.Note) {
		return Result{}, fmt.Errorf("artifacts: %s: its note is not JSON", recipe.Transform)
	}
	out, err := s.Put(ctx, content)
	if err != nil {
		return Result{}, err
	}
	recipe.Params = sortedParams(recipe.Params)
	r, err := s.putRecord(ctx, key, Record{
		Format: recordFormat, Recipe: recipe, Output: out, Note: content.Note,
		Created: time.Now().UTC(), Seconds: seconds,
	})
	return Result{Record: r, RecipeDigest: key}, err
}

// putRecord files a record. One that is there already and good stays, and is returned instead.
func (s *Store) putRecord(ctx context.Context, key Digest, r Record) (Record, error) {
	file, err := encodeRecord(r)
	if err != nil {
		return Record{}, err
	}
	err = s.driver.Create(ctx, recordKey(key), file)
	if !errors.Is(err, ErrExist) {
		return r, err
	}
	present, hit, err := s.Lookup(ctx, key)
	if hit {
		return present, nil
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return Record{}, err
	}
	return r, s.driver.Replace(ctx, recordKey(key), file)
}

// PanicError is a panic in a transform's compute, as an error.
type PanicError struct {
	Transform string
	Where     string // file:line
	Value     any    // what was thrown; it may hold anything, patient data too
	Stack     []byte
}

// Error names the transform, the place, and the runtime's own words (index out of range, …). Other
// values are named by type only, since nobody vouches for their text.
func (e *PanicError) Error() string {
	what := fmt.Sprintf("a %T", e.Value)
	if err, ok := e.Value.(runtime.Error); ok {
		what = err.Error()
	}
	return fmt.Sprintf("artifacts: transform %s panicked at %s: %s", e.Transform, e.Where, what)
}

// recoverInto turns a panic of the function that defers it into its error.
func recoverInto(err *error, transform string) {
	if value := recover(); value != nil {
		*err = &PanicError{Transform: transform, Where: panicSite(), Value: value, Stack: debug.Stack()}
	}
}

// panicSite returns file:line of the innermost function outside the runtime that the present panic left.
func panicSite() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for panicking := false; ; {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}
