package transforms

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/planezstd"
	"github.com/cspine/cspine/internal/pseudonym"
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
	Differs  = "differs"   // computed anew, it came out other than what the store has
)

// The verdicts of a plan's rows; what is there already is OK.
const (
	WouldRun = "run"     // it would be computed
	Depends  = "depends" // on what comes of a step before it, which would be computed
)

// The reason codes that any step may give.
const (
	CodeChanged  refusal.Code = "source_changed"
	CodeFailed   refusal.Code = "failed"
	CodeArtifact refusal.Code = "damaged_artifact"
	CodeDiffers  refusal.Code = "not_reproducible"
)

// Report collects what one step did with one study.
type Report struct {
	Store *artifacts.Store

	earlier *Earlier
	names   *pseudonym.Key
	plan    bool
	verify  float64
	step    string

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
//
// pending is the element's own mark that a step before this one would be computed, in a plan: then this one is not looked at, and the element
// goes on as it is.
func (s Site) Run(ctx context.Context, step, subject string, pending *bool, emit func(artifacts.Row), do func(*Report) error) (ok bool, err error) {
	store, err := s.OpenStore(ctx)
	if err != nil {
		return false, err
	}
	s.tell(store)
	before, err := s.earlier(ctx, store)
	if err != nil {
		return false, err
	}
	names, err := s.Pseudonyms()
	if err != nil {
		return false, err
	}
	r := &Report{Store: store, earlier: before, names: names, plan: s.Plan, verify: s.Verify, step: step, subject: subject}
	if s.Plan {
		emit = func(artifacts.Row) {} // who plans observes
	}
	if *pending {
		do = func(*Report) error { return ErrPending }
	}
	ok, err = r.run(ctx, emit, do)
	*pending = r.pending()
	return ok, err
}

// Run runs one step of what is no study on its way through a pipeline, as Site.Run does.
func Run(ctx context.Context, store *artifacts.Store, step, subject string, emit func(artifacts.Row), do func(*Report) error) (ok bool, err error) {
	r := &Report{Store: store, step: step, subject: subject}
	return r.run(ctx, emit, do)
}

// ErrPlanned is what a step of a plan ends with where it would have to compute something.
var ErrPlanned = errors.New("transforms: it would be computed")

// ErrPending is what it ends with for an element that waits for a step before it.
var ErrPending = errors.New("transforms: a step before it would be computed")

// pending tells whether the step, or one before it, would be computed.
func (r *Report) pending() bool {
	return slices.ContainsFunc(r.rows, func(row artifacts.Row) bool { return row.Verdict == WouldRun || row.Verdict == Depends })
}

func (r *Report) run(ctx context.Context, emit func(artifacts.Row), do func(*Report) error) (ok bool, err error) {
	defer func() {
		for _, row := range r.rows {
			row.Step, row.Subject = r.step, r.subject
			observe(row)
			emit(row)
		}
	}()
	err = r.guard(do)
	var skip *Skip
	var fatal *fatalError
	switch {
	case err == nil, errors.Is(err, ErrPlanned):
		return true, nil
	case errors.Is(err, ErrPending):
		r.Row(artifacts.Row{Verdict: Depends})
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.As(err, &fatal):
		return false, fmt.Errorf("study %s, step %s: %w", r.subject, r.step, err)
	case errors.As(err, &skip):
		r.Row(artifacts.Row{Verdict: Skipped, Reason: string(skip.Code), Detail: skip.Detail})
	default:
		reason := Classify(err)
		if r.names != nil {
			reason = Nameless(err)
		}
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

// Once does a step whose outcome follows from what it is given: an earlier run that was given the same, and whose artifacts are still there,
// is done again without doing anything. given must stand for everything that the rows and gave depend on, the transform's version
// included; gave points to what the step hands on. Both are written as JSON.
func (r *Report) Once(ctx context.Context, given, gave any, do func() error) error {
	digest, err := artifacts.DigestOfJSON([]any{r.step, given})
	if err != nil {
		return err
	}
	// Under pseudonyms it is a keyed hash: names, sizes and dates of files could be guessed, and what was done without this key does not count.
	key := r.names.Digest(digest.String())
	if r.verify == 0 {
		rows, ok, err := r.earlier.again(ctx, key, gave)
		if err != nil {
			return Fatal(err)
		}
		if ok {
			r.rows = append(r.rows, rows...)
			return nil
		}
	}
	if err := do(); err != nil {
		return err
	}
	if slices.ContainsFunc(r.rows, func(row artifacts.Row) bool { return row.Verdict == Refused }) {
		return nil
	}
	handed, err := json.Marshal(gave)
	if err != nil {
		return err
	}
	first := 0 // one and the same row, in whatever order they were reported
	for i, row := range r.rows {
		r.rows[i].Given = key
		if f := r.rows[first]; cmp.Or(cmp.Compare(row.Part, f.Part), cmp.Compare(row.Recipe, f.Recipe)) < 0 {
			first = i
		}
	}
	if len(r.rows) > 0 {
		r.rows[first].Gave = string(handed)
	}
	return nil
}

// Do makes or finds one artifact and reports it. part names the vertebra, or is empty. In a plan it makes none and returns ErrPlanned.
func (r *Report) Do(ctx context.Context, part string, recipe artifacts.Recipe, compute func(context.Context) (artifacts.Content, error)) (artifacts.Result, error) {
	if r.plan {
		known, err := r.Known(ctx, part, recipe)
		if known == nil {
			return artifacts.Result{}, cmp.Or(err, ErrPlanned)
		}
		return *known, err
	}
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
	row := found(part, res)
	switch {
	case !res.Hit:
		if row.Why, err = r.why(ctx, part, recipe); err != nil {
			return res, err
		}
	case r.verifies(res.RecipeDigest):
		if err := r.compare(ctx, part, res, compute); err != nil {
			return res, err
		}
		row.Why = Verified
	}
	r.Row(row)
	return res, nil
}

// verifies tells whether what is there of a recipe is to be computed all the same. A recipe's digest is as good as drawing lots.
func (r *Report) verifies(recipe artifacts.Digest) bool {
	return float64(binary.BigEndian.Uint32(recipe[:])) < r.verify*(1<<32)
}

// compare computes what is there, and reports if it comes out another.
func (r *Report) compare(ctx context.Context, part string, res artifacts.Result, compute func(context.Context) (artifacts.Content, error)) error {
	var again artifacts.Content
	if err := r.guard(func(*Report) (err error) {
		again, err = compute(ctx)
		return err
	}); err != nil {
		return err
	}
	if again.Release != nil {
		defer again.Release()
	}
	if got := artifacts.DigestOf(again.Data); got != res.Output.Digest {
		r.Row(artifacts.Row{Part: part, Verdict: Differs, Reason: string(CodeDiffers),
			Detail: fmt.Sprintf("recipe %s of %s has %s in the store, and comes out as %s", res.RecipeDigest.Short(), res.Recipe.Transform, res.Output.Digest.Short(), got.Short()),
			Remedy: "if the program or the machine changed, its transform's version or identity was not raised: report it; 'cspine verify' tells whether the store is damaged"})
	}
	return nil
}

// why says why a recipe has to be computed.
func (r *Report) why(ctx context.Context, part string, recipe artifacts.Recipe) (string, error) {
	why, err := r.earlier.why(ctx, place{r.step, r.subject, part}, recipe)
	if err != nil {
		return why, Fatal(err)
	}
	return why, nil
}

// lookup returns the record of a recipe if it is a hit. A damaged one is none.
func (r *Report) lookup(ctx context.Context, recipe artifacts.Digest) (record artifacts.Record, ok bool, err error) {
	record, ok, err = r.Store.Lookup(ctx, recipe)
	switch {
	case errors.Is(err, artifacts.ErrCorrupt):
		return record, false, nil
	case err != nil:
		return record, false, Fatal(err)
	}
	return record, ok, nil
}

// Known returns the artifact of a recipe if the store has it, and reports it then. A step that makes
// several artifacts in one pass asks first which are missing. In a plan it reports those too; the step then ends with ErrPlanned, where
// Planning says so.
func (r *Report) Known(ctx context.Context, part string, recipe artifacts.Recipe) (*artifacts.Result, error) {
	digest := recipe.Digest()
	record, ok, err := r.lookup(ctx, digest)
	switch {
	case err != nil:
		return nil, err
	case !ok && r.plan:
		why, err := r.why(ctx, part, recipe)
		r.Row(artifacts.Row{Part: part, Transform: recipe.Transform, Version: recipe.Version, Recipe: digest.String(), Why: why, Verdict: WouldRun})
		return nil, err
	case !ok, !r.plan && r.verifies(digest):
		return nil, nil
	}
	res := &artifacts.Result{Record: record, RecipeDigest: digest, Hit: true}
	r.Row(found(part, *res))
	return res, nil
}

// found makes the row of an artifact.
func found(part string, res artifacts.Result) artifacts.Row {
	row := artifacts.Row{Part: part, Transform: res.Recipe.Transform, Version: res.Recipe.Version, Recipe: res.RecipeDigest.String(),
		Digest: res.Output.Digest.String(), Hit: res.Hit, Seconds: res.Seconds, Bytes: res.Output.Size, Stored: res.Output.Stored, Verdict: OK}
	if res.Hit {
		row.Why = Cached
	}
	return row
}

// Planning tells whether the step is only planned.
func (r *Report) Planning() bool { return r.plan }

// Get reads an artifact that an earlier step made. One that is gone or damaged ends the study, not the run.
func (r *Report) Get(ctx context.Context, digest string) ([]byte, error) {
	d, err := artifacts.ParseDigest(digest)
	if err != nil {
		return nil, err
	}
	data, err := r.Store.Get(ctx, d)
	return data, lost(err)
}

// lost turns an artifact's being gone or damaged into a refusal.
func lost(err error) error {
	if errors.Is(err, artifacts.ErrCorrupt) || errors.Is(err, artifacts.ErrNotFound) {
		return refusal.New(CodeArtifact, "run cspine verify --read-data --repair on the store, and run again: it will be made anew", "%w", err)
	}
	return err
}

// Tensor reads an artifact that is an array, as Get does.
func (r *Report) Tensor(ctx context.Context, digest string) (*npy.Array, error) {
	data, err := r.Get(ctx, digest)
	if err != nil {
		return nil, err
	}
	return npy.Decode(data)
}

// Packed is an array as an artifact, compressed in a layout with its header as the frame's head, so that Frame can hand it on as it is. The store releases it.
func Packed(a *npy.Array, l planezstd.Layout) artifacts.Content {
	head := len(a.Bytes()) - len(a.Data)
	return artifacts.Content{Data: a.Bytes(), Release: a.Release, Frames: l.Name(), Encode: func(dst, file []byte) []byte {
		return planezstd.Append(dst, file[:head], file[head:], l)
	}}
}

// Frame reads an artifact that is an array, as Get does: its frame, not unpacked, if Packed made it in this layout, else the array.
func (r *Report) Frame(ctx context.Context, digest string, l planezstd.Layout) (*planezstd.Frame, *npy.Array, error) {
	d, err := artifacts.ParseDigest(digest)
	if err != nil {
		return nil, nil, err
	}
	packed, data, err := r.Store.Frames(ctx, d, l.Name())
	if err != nil {
		return nil, nil, lost(err)
	}
	if packed != nil {
		frame, err := planezstd.Open(packed)
		return &frame, nil, err
	}
	array, err := npy.Decode(data)
	return nil, array, err
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

// Nameless turns any error into a reason that names no file or folder: files are counted, and of the text stays what comes from packages that
// promise to quote nothing.
func Nameless(err error) refusal.Reason {
	reason := Classify(err)
	var refused *refusal.Error
	var de *dicom.Error
	var ne *nifti.Error
	switch {
	case errors.As(err, &refused) && (refused.Err == nil || refused.Code == CodeArtifact):
	case errors.As(err, &de):
		reason.Detail = de.Error()
	case errors.As(err, &ne):
		reason.Detail = ne.Error()
	default:
		reason.Detail = "the detail may name files: a run without --pseudonymize tells it"
	}
	return reason.Nameless()
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
