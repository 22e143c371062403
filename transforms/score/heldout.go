package score

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/shard"
)

// What a training writes of the studies that it did not learn from, beside its other records: what it answers, in a submission's format,
// and what is known of them, in train.csv's.
const (
	HeldOutFile      = "held-out.csv"
	HeldOutTruthFile = "held-out-truth.csv"
)

// HeldOut is what the trainings of a run answer for studies that they held out: out-of-fold predictions.
type HeldOut struct {
	Answers []Answer
	Truth   Truth
	// Tasks are the trainings, in order, and Missing the folds that none of them held out.
	Tasks   []string
	Missing []int
}

// HeldOutOptions choose among a run's trainings.
type HeldOutOptions struct {
	// Seed is that of the trainings to take; empty takes all, of which no two may have held out the same study.
	Seed string
	// Dataset is the data set that they learned from, which says what folds there are; empty stands for the run's name. If the store
	// has no data set of the run's name, folds are those from 0 to the last of which there is a record.
	Dataset string
}

// task is the name of a training that held a fold out.
var task = regexp.MustCompile(`^fold(\d{1,3})-seed(\d+)$`)

// ReadHeldOut gathers the answers of all trainings of a run.
func ReadHeldOut(ctx context.Context, store *artifacts.Store, run string, o HeldOutOptions) (*HeldOut, error) {
	files, err := store.ListNamed(ctx, "runs/"+run+"/")
	if err != nil {
		return nil, err
	}
	all := &HeldOut{Truth: Truth{}}
	from := map[string]string{} // the training that held a study out
	held := map[int]bool{}
	last := 0 // fold that was begun
	for _, f := range files {
		name := path.Base(path.Dir(f.Key))
		parts := task.FindStringSubmatch(name)
		if parts == nil || path.Dir(path.Dir(f.Key)) != "runs/"+run || o.Seed != "" && parts[2] != o.Seed {
			continue
		}
		fold, _ := strconv.Atoi(parts[1]) // digits
		last = max(last, fold)
		if path.Base(f.Key) != HeldOutFile {
			continue
		}
		answers, truth, err := readTask(ctx, store, path.Dir(f.Key))
		if err != nil {
			return nil, err
		}
		for study, known := range truth {
			if other, twice := from[study]; twice {
				return nil, fmt.Errorf("score: run %s: study %s was held out by both %s and %s: choose one by its seed", run, study, other, name)
			}
			from[study], all.Truth[study] = name, known
		}
		for _, a := range answers {
			if from[a.Study] != name {
				return nil, fmt.Errorf("score: run %s: %s answers study %s, which it did not hold out", run, name, a.Study)
			}
		}
		all.Answers, all.Tasks = append(all.Answers, answers...), append(all.Tasks, name)
		held[fold] = true
	}
	if len(all.Tasks) == 0 {
		return nil, fmt.Errorf("score: run %s has no answers for held-out studies%s; 'cspine train classifier --run %s' makes them", run, ofSeed(o.Seed), run)
	}
	folds, err := foldsOf(ctx, store, o.Dataset, run)
	if err != nil {
		return nil, err
	}
	if folds == nil {
		for fold := range last + 1 {
			folds = append(folds, fold)
		}
	}
	for _, fold := range folds {
		if !held[fold] {
			all.Missing = append(all.Missing, fold)
		}
	}
	return all, nil
}

func ofSeed(seed string) string {
	if seed == "" {
		return ""
	}
	return " of seed " + seed
}

// readTask reads what one training wrote.
func readTask(ctx context.Context, store *artifacts.Store, dir string) ([]Answer, Truth, error) {
	var text [2][]byte
	for i, file := range []string{HeldOutFile, HeldOutTruthFile} {
		var err error
		if text[i], err = store.GetNamed(ctx, dir+"/"+file); err != nil {
			return nil, nil, fmt.Errorf("score: %s/%s: %w", dir, file, err)
		}
	}
	answers, err := ReadSubmission(bytes.NewReader(text[0]))
	if err != nil {
		return nil, nil, fmt.Errorf("%s/%s: %w", dir, HeldOutFile, err)
	}
	truth, err := ReadTruth(bytes.NewReader(text[1]))
	if err != nil {
		return nil, nil, fmt.Errorf("%s/%s: %w", dir, HeldOutTruthFile, err)
	}
	return answers, truth, nil
}

// foldsOf returns the folds of a data set in order, or nil where none was named and there is none of the run's name.
func foldsOf(ctx context.Context, store *artifacts.Store, dataset, run string) ([]int, error) {
	name := dataset
	if name == "" {
		name = run
	}
	text, err := store.GetNamed(ctx, shard.Dir(name)+"/"+shard.ManifestFile)
	if errors.Is(err, artifacts.ErrNotFound) && dataset == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("score: data set %s: %w", name, err)
	}
	m, err := shard.ReadManifest(text)
	if err != nil {
		return nil, fmt.Errorf("score: data set %s: %w", name, err)
	}
	return m.Folds(), nil
}

// String says which trainings these are, and what is missing, for people.
func (h *HeldOut) String() string {
	text := "out of fold, by " + strings.Join(h.Tasks, ", ")
	if len(h.Missing) > 0 {
		text += fmt.Sprintf("; missing: folds %v", h.Missing)
	}
	return text
}
