package transforms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

// The verdicts of a manifest's rows.
const (
	OK       = "ok"
	Warned   = "warned"    // done, with warnings
	NotFound = "not_found" // a vertebra that the mask does not show
	Skipped  = "skipped"   // there is nothing to do for this study in this run
	Refused  = "refused"   // quarantined: the study went no further
)

// The reason codes that any step may give.
const (
	CodeChanged  refusal.Code = "source_changed"
	CodeFailed   refusal.Code = "failed"
	CodeArtifact refusal.Code = "damaged_artifact"
)

// Report collects what one step did with one study.
type Report struct {
	Store *artifacts.Store

	mu      sync.Mutex
	subject string
	rows    []artifacts.Row
}

// Rename gives the study the name under which all its rows are filed, once it is known.
func (r *Report) Rename(subject string) { r.subject = subject }

// Skip is returned by a step's function for a study it has nothing to do for.
type Skip struct {
	Code   refusal.Code
	Detail string
}

func (s *Skip) Error() string { return string(s.Code) + ": " + s.Detail }

// Run runs one step of one study. It recovers from panics, turns every failure into an outcome, and
// returns ok = false if the study goes no further. err is set only if the run as a whole can't go on.
func Run(ctx context.Context, store *artifacts.Store, step, subject string, emit func(artifacts.Row), do func(*Report) error) (ok bool, err error) {
	r := &Report{Store: store, subject: subject}
	defer func() {
		for _, row := range r.rows {
			row.Step, row.Subject = step, r.subject
			observe(row)
			emit(row)
		}
	}()
	err = r.guard(do)
	var skip *Skip
	var fatal *fatalError
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.As(err, &fatal):
		return false, fmt.Errorf("study %s, step %s: %w", subject, step, err)
	case errors.As(err, &skip):
		r.Row(artifacts.Row{Verdict: Skipped, Reason: string(skip.Code), Detail: skip.Detail})
	default:
		reason := Classify(err)
		r.Row(artifacts.Row{Verdict: Refused, Reason: string(reason.Code), Detail: reason.String()[len(reason.Code)+2:], Remedy: reason.Remedy})
	}
	return false, nil
}

func (r *Report) guard(do func(*Report) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = refusal.Recovered(p)
		}
	}()
	return do(r)
}

// fatalError marks an error that concerns the store, and so every study.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// Fatal marks err as one that ends the run.
func Fatal(err error) error { return &fatalError{err} }

// Do makes or finds one artifact and reports it. part names the vertebra, or is empty.
func (r *Report) Do(ctx context.Context, part string, recipe artifacts.Recipe, compute func(context.Context) (artifacts.Content, error)) (artifacts.Result, error) {
	var computeErr error
	res, err := r.Store.Do(ctx, recipe, func(ctx context.Context) (c artifacts.Content, err error) {
		computeErr = r.guard(func(*Report) error {
			c, err = compute(ctx)
			return err
		})
		return c, computeErr
	})
	switch {
	case computeErr != nil:
		return res, computeErr
	case err != nil:
		return res, Fatal(err)
	}
	r.Row(found(part, res))
	return res, nil
}

// Known returns the artifact of a recipe if the store has it, and reports it then. A step that makes
// several artifacts in one pass asks first which are missing.
func (r *Report) Known(ctx context.Context, part string, recipe artifacts.Recipe) (*artifacts.Result, error) {
	digest := recipe.Digest()
	record, ok, err := r.Store.Lookup(ctx, digest)
	switch {
	case errors.Is(err, artifacts.ErrCorrupt):
		return nil, nil
	case err != nil:
		return nil, Fatal(err)
	case !ok:
		return nil, nil
	}
	res := &artifacts.Result{Record: record, RecipeDigest: digest, Hit: true}
	r.Row(found(part, *res))
	return res, nil
}

// found makes the row of an artifact.
func found(part string, res artifacts.Result) artifacts.Row {
	row := artifacts.Row{Part: part, Transform: res.Recipe.Transform, Version: res.Recipe.Version, Recipe: res.RecipeDigest.String(),
		Digest: res.Output.Digest.String(), Hit: res.Hit, Why: "new recipe", Bytes: res.Output.Size, Stored: res.Output.Stored, Verdict: OK}
	if res.Hit {
		row.Why = "cached"
	} else {
		row.Seconds = res.Seconds
	}
	return row
}

// Get reads an artifact that an earlier step made. One that is gone or damaged ends the study, not the run.
func (r *Report) Get(ctx context.Context, digest string) ([]byte, error) {
	d, err := artifacts.ParseDigest(digest)
	if err != nil {
		return nil, err
	}
	data, err := r.Store.Get(ctx, d)
	if errors.Is(err, artifacts.ErrCorrupt) || errors.Is(err, artifacts.ErrNotFound) {
		return nil, refusal.New(CodeArtifact, "delete the named object and run again: it will be made anew", "%w", err)
	}
	return data, err
}

// Tensor reads an artifact that is an array, as Get does.
func (r *Report) Tensor(ctx context.Context, digest string) (*npy.Array, error) {
	data, err := r.Get(ctx, digest)
	if err != nil {
		return nil, err
	}
	return npy.Decode(data)
}

// Row adds a row of the step's own. It may be called from several goroutines.
func (r *Report) Row(row artifacts.Row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row)
}

// Classify turns any error into a reason.
func Classify(err error) refusal.Reason {
	var refused *refusal.Error
	var de *dicom.Error
	var ne *nifti.Error
	switch {
	case errors.As(err, &refused):
		return refused.Reason
	case errors.As(err, &de):
		return refusal.Reason{Code: refusal.Code(de.Code), Detail: err.Error(), Remedy: de.Remedy}
	case errors.As(err, &ne):
		return refusal.Reason{Code: "nifti_" + refusal.Code(ne.Code), Detail: err.Error(), Remedy: "check the mask file with another NIfTI reader, or write it again"}
	case errors.Is(err, source.ErrNotFound), errors.Is(err, source.ErrChanged), errors.Is(err, io.ErrUnexpectedEOF):
		return refusal.Reason{Code: CodeChanged, Detail: err.Error(), Remedy: "the data set changed during the run; run again when it is at rest"}
	}
	return refusal.Reason{Code: CodeFailed, Detail: err.Error(), Remedy: "see the detail; run again once mended, all other work is kept"}
}

var observers struct {
	sync.Mutex
	next int
	all  map[int]func(artifacts.Row)
}

// Observe calls f for every row reported in this process until stop is called: live progress where the
// runner is embedded. f is called from many goroutines.
func Observe(f func(artifacts.Row)) (stop func()) {
	observers.Lock()
	defer observers.Unlock()
	if observers.all == nil {
		observers.all = map[int]func(artifacts.Row){}
	}
	id := observers.next
	observers.next++
	observers.all[id] = f
	return func() {
		observers.Lock()
		defer observers.Unlock()
		delete(observers.all, id)
	}
}

func observe(row artifacts.Row) {
	observers.Lock()
	defer observers.Unlock()
	for _, f := range observers.all {
		f(row)
	}
}
