package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/manifest"
)

// summary is a run's summary as people read it.
type summary struct {
	*manifest.Summary
}

// summarise counts the rows of a manifest of a run of these steps.
func summarise(rows []artifacts.Row, names []string, seconds float64) *summary {
	return &summary{manifest.Summarise(rows, names, seconds)}
}

func (s *summary) print(out io.Writer) {
	made := fmt.Sprintf("%d crops, %d vertebrae not found", s.Crops, s.NotFound)
	if s.Volumes > 0 {
		made = fmt.Sprintf("%d volumes with label maps", s.Volumes)
	}
	if s.Kept > 0 {
		made += fmt.Sprintf(", %d kept", s.Kept)
	}
	fmt.Fprintf(out, "\n%d studies: %d done, %d skipped, %d in quarantine; %s\n", s.Studies, s.Done, s.Skipped, s.Quarantined, made)
	s.printWork(out)
	if s.Crops+s.Volumes == 0 {
		fmt.Fprintln(out, "no samples, so no data set was written")
	} else if s.Dataset != "" {
		fmt.Fprintln(out, "data set:", s.Dataset)
	}
	if s.Manifest != "" {
		fmt.Fprintln(out, "manifest:", s.Manifest)
	}
	list(out, "warnings", s.Warnings)
	list(out, "quarantine", s.Quarantine)
	list(out, "not reproducible", s.Differing)
}

// borrowed counts what was copied from the store of --cache-from.
func (s *summary) borrowed(store *artifacts.Store) { s.Borrowed, _ = store.Borrowed() }

// printWork says what was computed, and how long that took.
func (s *summary) printWork(out io.Writer) {
	if s.Borrowed > 0 {
		fmt.Fprintf(out, "%d artifacts copied from --cache-from\n", s.Borrowed)
	}
	if s.Misses == 0 {
		fmt.Fprintf(out, "nothing to do: all %d artifacts were there already (%.1f s)\n", s.Hits, s.Seconds)
		return
	}
	fmt.Fprintf(out, "%d artifacts computed (%s, stored as %s), %d found; %.1f s, %.2f s a study\n",
		s.Misses, inwords.Bytes(s.Bytes), inwords.Bytes(s.Stored), s.Hits, s.Seconds, s.PerStudy)
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "step\tcomputed\tfound\tseconds\ta study\tstored")
	for _, st := range s.Steps {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.2f\t%.2f\t%s\n", st.Step, st.Misses, st.Hits, st.Seconds, st.PerStudy, inwords.Bytes(st.Stored))
	}
	_ = t.Flush()
}

// writeJSON writes what a command found for machines.
func writeJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func list(out io.Writer, title string, entries []manifest.Entry) {
	if len(entries) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s:\n", title)
	for _, e := range entries {
		fmt.Fprintf(out, "  %s  step %s: %s\n      %s\n", e.Study, e.Step, e.Reason, e.Detail)
		if e.Remedy != "" {
			fmt.Fprintf(out, "      remedy: %s\n", e.Remedy)
		}
	}
}

// studyCounter counts, per step, the studies that have passed it: a step may report several rows of one
// study, and a refused study passes no later step.
type studyCounter struct {
	steps []string
	mu    sync.Mutex
	seen  map[[2]string]bool
	add   func(step string)
}

func newStudyCounter(steps []string, add func(step string)) *studyCounter {
	return &studyCounter{steps: steps, seen: map[[2]string]bool{}, add: add}
}

func (c *studyCounter) observe(row artifacts.Row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A study that a step speaks of is through with all before it, which may have had nothing to say; one that was refused or skipped also
	// with all that would have followed. Shards are no studies.
	at := slices.Index(c.steps, row.Step)
	passed := c.steps[:at+1]
	switch {
	case row.Step == "shard":
		passed = passed[max(at, 0):]
	case row.Verdict == transforms.Refused || row.Verdict == transforms.Skipped:
		passed = slices.DeleteFunc(slices.Clone(c.steps), func(step string) bool { return step == "shard" })
	}
	for _, step := range passed {
		if key := [2]string{step, row.Subject}; !c.seen[key] {
			c.seen[key] = true
			c.add(step)
		}
	}
}
