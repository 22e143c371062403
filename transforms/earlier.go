package transforms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cspine/cspine/artifacts"
)

// Earlier is what an earlier run's manifest tells a later one: what each step handed on, and by which recipes it made what. A step
// believes it only as far as the store has the artifacts.
//
// A nil Earlier knows nothing. It may be used from several goroutines.
type Earlier struct {
	store    *artifacts.Store
	rows     []artifacts.Row
	given    map[string][]int32 // rows by Given
	presence *artifacts.Presence
	// about is made when a step first has something to compute.
	about func() *places
}

// places are the rows by what they are about.
type places struct {
	last map[place][]int32 // those that name an artifact: of several models there are several
	gave map[place]string  // what was handed on, by step and subject
}

// place is what a row is about. Studies have the names of their folders until they are indexed, and those of their UIDs from then on.
type place struct{ step, subject, part string }

// rowsPerStudy is about how many artifacts a study has, for choosing how to ask the store for them.
const rowsPerStudy = 12

// ReadEarlier reads a manifest, for a run that takes some number of studies.
func ReadEarlier(ctx context.Context, store *artifacts.Store, key string, studies int) (*Earlier, error) {
	file, err := store.GetNamed(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("the earlier run's manifest: %w", err)
	}
	e := &Earlier{store: store, given: map[string][]int32{}}
	if e.rows, err = artifacts.ReadManifest(file); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	for i, row := range e.rows {
		if row.Given != "" {
			e.given[row.Given] = append(e.given[row.Given], int32(i))
		}
	}
	e.about = sync.OnceValue(e.places)
	e.presence, err = store.Presence(ctx, min(len(e.rows), rowsPerStudy*studies))
	return e, err
}

func (e *Earlier) places() *places {
	p := &places{last: map[place][]int32{}, gave: map[place]string{}}
	for i, row := range e.rows {
		if row.Gave != "" {
			p.gave[place{step: row.Step, subject: row.Subject}] = row.Gave
		}
		if row.Recipe == "" {
			continue
		}
		subjects := []string{row.Subject}
		if folder := folderOf(row); folder != "" {
			subjects = append(subjects, folder)
		}
		for _, subject := range subjects {
			at := place{row.Step, subject, row.Part}
			p.last[at] = append(p.last[at], int32(i))
		}
	}
	return p
}

// folderOf returns the folder of the study that a step handed on.
func folderOf(row artifacts.Row) string {
	var study struct{ Folder string }
	if !strings.HasPrefix(row.Gave, "{") || json.Unmarshal([]byte(row.Gave), &study) != nil {
		return ""
	}
	return study.Folder
}

// again returns the rows of a step that was given the same, and reads what it handed on into gave. ok is false where there are none, or
// the store lacks an artifact of them.
func (e *Earlier) again(ctx context.Context, given string, gave any) (rows []artifacts.Row, ok bool, err error) {
	if e == nil {
		return nil, false, nil
	}
	handed := ""
	for _, i := range e.given[given] {
		row := e.rows[i]
		if row.Recipe != "" {
			there, err := e.has(ctx, row)
			if err != nil || !there {
				return nil, false, err
			}
			row.Hit, row.Why = true, Cached
		}
		handed = max(handed, row.Gave)
		rows = append(rows, row)
	}
	if handed == "" || json.Unmarshal([]byte(handed), gave) != nil {
		return nil, false, nil
	}
	return rows, true, nil
}

func (e *Earlier) has(ctx context.Context, row artifacts.Row) (bool, error) {
	recipe, err := artifacts.ParseDigest(row.Recipe)
	if err != nil {
		return false, nil //nolint:nilerr // a row that makes no sense is one that can't be believed
	}
	object, err := artifacts.ParseDigest(row.Digest)
	if err != nil {
		return false, nil //nolint:nilerr // likewise
	}
	return e.presence.Has(ctx, recipe, object, row.Stored)
}

// The reasons for computing something, beside those that name what differs.
const (
	Cached    = "cached" // nothing was computed
	Verified  = "cached, and computed again to compare"
	NewSample = "new"  // nothing was known of this part of this subject
	Gone      = "gone" // the recipe is that of the earlier run, but the store lacks its record or its object
	NoRecord  = "the earlier record is gone"
)

// why says why a recipe has to be computed: in what it differs from that of the earlier run, from the nearest where there were several. The texts
// of equal reasons are equal, so that they can be counted.
func (e *Earlier) why(ctx context.Context, at place, recipe artifacts.Recipe) (string, error) {
	if e == nil {
		return NewSample, nil
	}
	last := e.about().last[at]
	if len(last) == 0 {
		return NewSample, nil
	}
	digest := recipe.Digest().String()
	var nearest []artifacts.Difference
	found := false
	for _, i := range last {
		if e.rows[i].Recipe == digest {
			return Gone, nil
		}
		before, err := artifacts.ParseDigest(e.rows[i].Recipe)
		if err != nil {
			continue
		}
		record, err := e.store.Record(ctx, before)
		switch {
		case errors.Is(err, artifacts.ErrNotFound), errors.Is(err, artifacts.ErrCorrupt):
			continue
		case err != nil:
			return "", err
		}
		if d := recipe.Differences(record.Recipe); !found || len(d) < len(nearest) {
			nearest, found = d, true
		}
	}
	if !found {
		return NoRecord, nil
	}
	return Reason(nearest), nil
}

// Reason words differences. Digests are told of models alone: those of a study's own inputs differ from study to study.
func Reason(differences []artifacts.Difference) string {
	var words []string
	for _, d := range differences {
		word := d.Name + " changed"
		_, sample, isSample := strings.Cut(d.Name, "/") // a shard's inputs are samples of studies
		switch {
		case isSample && d.Old == "":
			word = sample + " added"
		case isSample && d.New == "":
			word = sample + " removed"
		case isSample:
			word = sample + " changed"
		case d.Kind == artifacts.DifferentTransform:
			word = d.Old + " before"
		case d.Kind == artifacts.DifferentVersion:
			word = "version " + d.Old + " → " + d.New
		case d.Kind == artifacts.DifferentParam && (d.Name == "box" || d.Name == "grid" || d.Name == "folder"):
			// a study's own
		case d.Kind == artifacts.DifferentParam:
			word = fmt.Sprintf("%s %s → %s", d.Name, or(d.Old), or(d.New))
		case d.Old == "":
			word = "more of " + d.Name
		case d.New == "":
			word = "less of " + d.Name
		case d.Name == "model":
			word = fmt.Sprintf("model %.12s → %.12s", d.Old, d.New)
		}
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return "recipe changed"
	}
	return strings.Join(words, ", ")
}

func or(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// Before reads what this step handed on for this subject in the earlier run. It reports whether it did.
func (r *Report) Before(gave any) bool {
	if r.earlier == nil {
		return false
	}
	text := r.earlier.about().gave[place{step: r.step, subject: r.subject}]
	return text != "" && json.Unmarshal([]byte(text), gave) == nil
}

// BeforePart returns what the earlier run made of a part. ok is false where there is none, or the store has lost it.
func (r *Report) BeforePart(ctx context.Context, part string) (out artifacts.Output, ok bool, err error) {
	if r.earlier == nil {
		return out, false, nil
	}
	for _, i := range r.earlier.about().last[place{r.step, r.subject, part}] {
		recipe, err := artifacts.ParseDigest(r.earlier.rows[i].Recipe)
		if err != nil {
			continue
		}
		if record, ok, err := r.lookup(ctx, recipe); ok || err != nil {
			return record.Output, ok, err
		}
	}
	return out, false, nil
}

// Keep is Do for an artifact that stays although its recipe is another: compute says which, why, and that it may, or returns an error. It is
// reported as a hit, also in a plan, which records nothing.
func (r *Report) Keep(ctx context.Context, part string, recipe artifacts.Recipe, compute func(context.Context) (artifacts.Content, string, error)) (err error) {
	digest := recipe.Digest()
	record, ok, err := r.lookup(ctx, digest)
	if err != nil {
		return err
	}
	why := Cached
	if !ok {
		var kept artifacts.Content
		if kept, why, err = compute(ctx); err != nil {
			return err
		}
		record = artifacts.Record{Recipe: recipe, Output: *kept.Existing}
		if !r.plan {
			res, err := r.Store.Do(ctx, recipe, func(context.Context) (artifacts.Content, error) { return kept, nil })
			if err != nil {
				return Fatal(err)
			}
			record = res.Record
		}
	}
	row := found(part, artifacts.Result{Record: record, RecipeDigest: digest, Hit: true})
	row.Why = why
	r.Row(row)
	return nil
}
