package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/predict"
)

// runRef names a run.
type runRef struct{ Name, ID string }

// refAt names the run whose manifest has this key.
func refAt(key string) runRef {
	name, id := manifest.NameOf(key)
	return runRef{name, id}
}

// Path is where its page is.
func (r runRef) Path() string { return href("runs", r.Name, r.ID) }

// Time is when it began, by its id.
func (r runRef) Time() time.Time {
	return manifest.Begun(r.ID)
}

// Ref is the run's name without all that it made.
func (r runRef) Ref() runRef { return r }

func (r runRef) key() string { return manifest.Key(r.Name, r.ID) }

// Label names it for people.
func (r runRef) Label() string {
	t := r.Time()
	if t.IsZero() {
		return r.Name + " " + r.ID
	}
	return r.Name + ", " + t.Local().Format("2 Jan 15:04:05")
}

// run is what one run made. It is never changed.
type run struct {
	runRef
	rows    []artifacts.Row
	Steps   []string // that occur, in order
	Studies []*study // sorted by name
	byName  map[string]*study
	// Answered tells that it has answers.
	Answered bool
	// Labels tells that its masks come from label files.
	Labels bool
	// Cropped tells that it cuts vertebrae out.
	Cropped bool
}

// study is what became of one study in one run. Digests are "" for what there is not.
type study struct {
	Name    string
	rows    []artifacts.Row
	Verdict string // transforms.OK, Warned, Refused or Skipped
	Reason  string // a code, of what was refused
	Detail  string
	Remedy  string
	Step    string // that refused it

	Index, Volume, Mask, Boxes string
	Crops                      [volume.Levels]string
	Kept                       [volume.Levels]bool // made of an earlier mask
	// NotFound has the levels without a crop by their reasons.
	NotFound [volume.Levels]string
	Found    int
	// Computed is how many artifacts were made in this run, of all Artifacts.
	Computed, Artifacts int
	// Patient is the answer, −1 if there is none, and Answers are all of them.
	Patient float64
	Answers []predict.Detail
}

// Masked tells whether there is a mask to be seen on a volume.
func (s *study) Masked() bool { return s.Volume != "" && s.Mask != "" }

// runs reads the store's runs, and remembers the last few.
type runs struct {
	store *artifacts.Store

	mu     sync.Mutex
	known  []*run // the last used at the end
	flight map[string]*sync.Mutex
}

// remembered is how many runs stay in memory: 20,000 studies take 100 MB.
const remembered = 4

// list returns the store's runs, the newest first.
func (r *runs) list(ctx context.Context) ([]runRef, error) {
	keys, err := manifest.Keys(ctx, r.store, "")
	if err != nil {
		return nil, err
	}
	var refs []runRef
	for _, key := range slices.Backward(keys) {
		refs = append(refs, refAt(key))
	}
	return refs, nil
}

// get returns a run.
func (r *runs) get(ctx context.Context, ref runRef) (*run, error) {
	if found := r.find(ref); found != nil {
		return found, nil
	}
	// One request reads it, the others wait.
	r.mu.Lock()
	if r.flight == nil {
		r.flight = map[string]*sync.Mutex{}
	}
	one := r.flight[ref.key()]
	if one == nil {
		one = &sync.Mutex{}
		r.flight[ref.key()] = one
	}
	r.mu.Unlock()
	one.Lock()
	defer one.Unlock()
	if found := r.find(ref); found != nil {
		return found, nil
	}
	read, err := readRun(ctx, r.store, ref)
	if errors.Is(err, artifacts.ErrNotFound) || errors.Is(err, artifacts.ErrKey) {
		return nil, missing(fmt.Sprintf("the store has no run %s of %s", ref.ID, ref.Name), "choose another run; 'cspine gc' deletes old ones")
	}
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = append(r.known, read)
	r.known = r.known[max(0, len(r.known)-remembered):]
	return read, nil
}

func (r *runs) find(ref runRef) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, known := range r.known {
		if known.runRef == ref {
			r.known = append(slices.Delete(r.known, i, i+1), known)
			return known
		}
	}
	return nil
}

// readRun reads what a run made.
func readRun(ctx context.Context, store *artifacts.Store, ref runRef) (*run, error) {
	rows, err := manifest.Read(ctx, store, ref.key())
	if err != nil {
		return nil, err
	}
	r := &run{runRef: ref, rows: rows, byName: map[string]*study{}}
	has := map[string]bool{}
	for first := 0; first < len(rows); {
		end := first
		for end < len(rows) && rows[end].Subject == rows[first].Subject {
			rows[end].Given, rows[end].Gave = "", "" // of no use here, and a third of the memory
			has[rows[end].Step] = true
			end++
		}
		if rows[first].Step != "shard" {
			s := readStudy(rows[first:end])
			r.Studies = append(r.Studies, s)
			r.byName[s.Name] = s
			r.Labels = r.Labels || slices.ContainsFunc(s.rows, func(row artifacts.Row) bool { return row.Transform == labelsTransform })
		}
		first = end
	}
	for _, step := range manifest.Steps {
		if has[step] {
			r.Steps = append(r.Steps, step)
		}
	}
	r.Cropped = has["crop"]
	return r, r.readAnswers(ctx, store)
}

// labelsTransform makes masks of label files.
const labelsTransform = "labels"

// readStudy sums up the rows of one study.
func readStudy(rows []artifacts.Row) *study {
	s := &study{Name: rows[0].Subject, rows: rows, Verdict: transforms.OK, Patient: -1}
	for _, row := range rows {
		level := volume.LevelOf(row.Part)
		switch row.Verdict {
		case transforms.Refused, transforms.Skipped:
			s.Verdict, s.Reason, s.Detail, s.Remedy, s.Step = row.Verdict, row.Reason, row.Detail, row.Remedy, row.Step
		case transforms.Warned:
			if s.Verdict == transforms.OK {
				s.Verdict, s.Reason, s.Detail, s.Step = row.Verdict, row.Reason, row.Detail, row.Step
			}
		case transforms.NotFound:
			if level >= 0 {
				s.NotFound[level] = row.Reason
			}
		}
		if row.Digest == "" {
			continue
		}
		s.Artifacts++
		if !row.Hit {
			s.Computed++
		}
		switch row.Step {
		case "index":
			s.Index = row.Digest
		case "resample":
			s.Volume = row.Digest
		case "segment":
			s.Mask = row.Digest
		case "boxes":
			s.Boxes = row.Digest
		case "crop":
			if level >= 0 {
				s.Crops[level], s.Kept[level] = row.Digest, row.Transform == crop.KeptTransform
				s.Found++
			}
		}
	}
	return s
}

// readAnswers reads the answers of a prediction: those of the run's name, if this is the run that wrote them. Of an earlier run of that name they are gone.
func (r *run) readAnswers(ctx context.Context, store *artifacts.Store) error {
	if !slices.Contains(r.Steps, "verdict") {
		return nil
	}
	newest, err := newestAnswering(ctx, store, r)
	if err != nil || newest != r.key() {
		return err
	}
	file, err := store.GetNamed(ctx, predict.Dir(r.Name)+"/"+predict.DetailsFile)
	if errors.Is(err, artifacts.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	details, err := predict.ReadDetails(file)
	if err != nil {
		return err
	}
	r.Answered = true
	for first := 0; first < len(details); {
		end := first
		for end < len(details) && details[end].Study == details[first].Study {
			end++
		}
		if s := r.byName[details[first].Study]; s != nil {
			s.Answers = details[first:end]
			for _, d := range s.Answers {
				if volume.LevelOf(d.Target) < 0 {
					s.Patient = d.Probability
				}
			}
		}
		first = end
	}
	return nil
}

// newestAnswering returns the key of the newest prediction of a run's name. Runs of one name may be of different pipelines; a run after r is taken
// for a prediction if it answers anything.
func newestAnswering(ctx context.Context, store *artifacts.Store, r *run) (string, error) {
	keys, err := manifest.Keys(ctx, store, r.Name)
	if err != nil {
		return "", err
	}
	for _, key := range slices.Backward(keys) {
		if key == r.key() {
			return key, nil
		}
		rows, err := manifest.Read(ctx, store, key)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(rows, func(row artifacts.Row) bool { return row.Step == "verdict" }) {
			return key, nil
		}
	}
	return "", nil
}
