package main

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
)

// summary is what a run did.
type summary struct {
	Run         string        `json:"run"`
	Studies     int           `json:"studies"`
	Done        int           `json:"done"`
	Skipped     int           `json:"skipped"`
	Quarantined int           `json:"quarantined"`
	Crops       int           `json:"crops"`
	Volumes     int           `json:"labelled_volumes"`
	NotFound    int           `json:"vertebrae_not_found"`
	Hits        int           `json:"hits"`
	Misses      int           `json:"misses"`
	Bytes       int64         `json:"bytes_computed"`
	Stored      int64         `json:"bytes_stored"`
	Seconds     float64       `json:"seconds"`
	PerStudy    float64       `json:"seconds_per_study"`
	Dataset     string        `json:"dataset"`
	Manifest    string        `json:"manifest"`
	Steps       []stepSummary `json:"steps"`
	Quarantine  []refused     `json:"quarantine"`
	Warnings    []refused     `json:"warnings"`
}

type stepSummary struct {
	Step    string  `json:"step"`
	Hits    int     `json:"hits"`
	Misses  int     `json:"misses"`
	Seconds float64 `json:"seconds"` // summed over everything computed, so it may exceed the run's time
	Stored  int64   `json:"bytes_stored"`
}

type refused struct {
	Study  string `json:"study"`
	Step   string `json:"step"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// summarise counts the rows of a manifest of a run of these steps.
func summarise(rows []artifacts.Row, names []string, seconds float64) *summary {
	s := &summary{Seconds: seconds, Quarantine: []refused{}, Warnings: []refused{}}
	steps := map[string]*stepSummary{}
	for _, name := range names {
		steps[name] = &stepSummary{Step: name}
	}
	studies := map[string]bool{}
	for _, row := range rows {
		if row.Step != "shard" {
			studies[row.Subject] = true
		}
		entry := refused{row.Subject, row.Step, row.Reason, row.Detail, row.Remedy}
		switch row.Verdict {
		case transforms.Refused:
			s.Quarantined++
			s.Quarantine = append(s.Quarantine, entry)
			continue
		case transforms.Warned:
			s.Warnings = append(s.Warnings, entry)
			continue
		case transforms.NotFound:
			s.NotFound++
			continue
		case transforms.Skipped:
			s.Skipped++
			continue
		}
		step := steps[row.Step]
		if step == nil {
			continue
		}
		switch row.Step {
		case "crop":
			s.Crops++
		case "labelmap":
			s.Volumes++
		}
		if row.Hit {
			s.Hits++
			step.Hits++
			continue
		}
		s.Misses++
		s.Bytes += row.Bytes
		s.Stored += row.Stored
		step.Misses++
		step.Seconds += row.Seconds
		step.Stored += row.Stored
	}
	s.Studies = len(studies)
	s.Done = s.Studies - s.Quarantined - s.Skipped
	if s.Studies > 0 {
		s.PerStudy = seconds / float64(s.Studies)
	}
	for _, name := range names {
		s.Steps = append(s.Steps, *steps[name])
	}
	return s
}

func (s *summary) print(out io.Writer) {
	made := fmt.Sprintf("%d crops, %d vertebrae not found", s.Crops, s.NotFound)
	if s.Volumes > 0 {
		made = fmt.Sprintf("%d volumes with label maps", s.Volumes)
	}
	fmt.Fprintf(out, "\n%d studies: %d done, %d skipped, %d in quarantine; %s\n", s.Studies, s.Done, s.Skipped, s.Quarantined, made)
	if s.Misses == 0 {
		fmt.Fprintf(out, "nothing to do: all %d artifacts were there already (%.1f s)\n", s.Hits, s.Seconds)
	} else {
		fmt.Fprintf(out, "%d artifacts computed (%s, stored as %s), %d found; %.1f s, %.2f s a study\n",
			s.Misses, byteCount(s.Bytes), byteCount(s.Stored), s.Hits, s.Seconds, s.PerStudy)
		t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "step\tcomputed\tfound\tseconds\tstored")
		for _, st := range s.Steps {
			fmt.Fprintf(t, "%s\t%d\t%d\t%.2f\t%s\n", st.Step, st.Misses, st.Hits, st.Seconds, byteCount(st.Stored))
		}
		_ = t.Flush()
	}
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
}

func list(out io.Writer, title string, entries []refused) {
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
	passed := []string{row.Step}
	if row.Verdict == transforms.Refused || row.Verdict == transforms.Skipped {
		// The study is through with all that would have followed, but for the shards.
		passed = nil
		for _, step := range c.steps[:len(c.steps)-1] {
			if len(passed) > 0 || step == row.Step {
				passed = append(passed, step)
			}
		}
	}
	for _, step := range passed {
		if key := [2]string{step, row.Subject}; !c.seen[key] {
			c.seen[key] = true
			c.add(step)
		}
	}
}
