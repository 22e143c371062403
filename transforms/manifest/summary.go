package manifest

import (
	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/crop"
)

// Summary is what a run did.
type Summary struct {
	Run         string        `json:"run"`
	Studies     int           `json:"studies"`
	Done        int           `json:"done"`
	Skipped     int           `json:"skipped"`
	Quarantined int           `json:"quarantined"`
	Crops       int           `json:"crops"`
	Volumes     int           `json:"labelled_volumes"`
	Kept        int           `json:"crops_kept"` // although their masks changed
	NotFound    int           `json:"vertebrae_not_found"`
	Hits        int           `json:"hits"`
	Misses      int           `json:"misses"`
	Borrowed    int           `json:"borrowed,omitempty"` // artifacts copied from the store of --cache-from
	Bytes       int64         `json:"bytes_computed"`
	Stored      int64         `json:"bytes_stored"`
	Seconds     float64       `json:"seconds"`
	PerStudy    float64       `json:"seconds_per_study"`
	Dataset     string        `json:"dataset"`
	Manifest    string        `json:"manifest"`
	Steps       []StepSummary `json:"steps"`
	Quarantine  []Entry       `json:"quarantine"`
	Warnings    []Entry       `json:"warnings"`
	Differing   []Entry       `json:"not_reproducible,omitempty"`
	// Empty are the studies in which a prediction found no vertebra.
	Empty []Entry `json:"no_vertebra,omitempty"`
}

// StepSummary is what one step did.
type StepSummary struct {
	Step    string  `json:"step"`
	Hits    int     `json:"hits"`
	Misses  int     `json:"misses"`
	Seconds float64 `json:"seconds"` // summed over everything computed, so it may exceed the run's time
	Studies int     `json:"studies"` // in which something was computed
	// PerStudy is Seconds for each of these.
	PerStudy float64 `json:"seconds_per_study"`
	Stored   int64   `json:"bytes_stored"`
}

// Entry is what became of a study where not all went well.
type Entry struct {
	Study  string `json:"study"`
	Step   string `json:"step"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// Summarise counts the rows of a manifest of a run of these steps.
func Summarise(rows []artifacts.Row, names []string, seconds float64) *Summary {
	s := &Summary{Seconds: seconds, Quarantine: []Entry{}, Warnings: []Entry{}}
	steps := map[string]*StepSummary{}
	for _, name := range names {
		steps[name] = &StepSummary{Step: name}
	}
	studies := map[string]bool{}
	worked := map[[2]string]bool{}
	for _, row := range rows {
		if row.Step != "shard" {
			studies[row.Subject] = true
		}
		entry := Entry{row.Subject, row.Step, row.Reason, row.Detail, row.Remedy}
		switch row.Verdict {
		case transforms.Refused:
			s.Quarantined++
			s.Quarantine = append(s.Quarantine, entry)
			continue
		case transforms.Differs:
			s.Differing = append(s.Differing, entry)
			continue
		case transforms.Warned:
			s.Warnings = append(s.Warnings, entry)
			continue
		case transforms.NotFound:
			if row.Step == "verdict" {
				s.Empty = append(s.Empty, entry)
			} else {
				s.NotFound++
			}
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
			if row.Transform == crop.KeptTransform {
				s.Kept++
			}
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
		if at := [2]string{row.Step, row.Subject}; !worked[at] {
			worked[at] = true
			step.Studies++
		}
		step.Stored += row.Stored
	}
	s.Studies = len(studies)
	s.Done = s.Studies - s.Quarantined - s.Skipped
	if s.Studies > 0 {
		s.PerStudy = seconds / float64(s.Studies)
	}
	for _, name := range names {
		if step := steps[name]; step.Studies > 0 {
			step.PerStudy = step.Seconds / float64(step.Studies)
		}
		s.Steps = append(s.Steps, *steps[name])
	}
	return s
}
