package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
// panic is such an error (*PanicError). compute may call Do, but not with its own recipe: it would wait
// for itself.
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
	seconds := time.Since(start).Seconds() + content.Seconds
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
