// Package plan sums up what a run would do, from what its steps say when they are only planned (transforms.Site.Plan).
//
// Invariants:
//   - What is said to be cached must not be computed by the run that follows, and what is said to run must be. What depends may or may not: it
//     depends on the content of something that runs.
//   - Times and sizes are an earlier run's means, by step. They are of work, of one worker after the other.
package plan

import (
	"cmp"
	"slices"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
)

// Plan is what a run would do.
type Plan struct {
	Studies int      `json:"studies"`
	Steps   []Step   `json:"steps"`
	Reasons []Reason `json:"reasons"`
	// Refused are the studies that would be refused as they are.
	Refused []Work `json:"refused"`
	// Work is everything that is not cached, sorted by subject, step and part.
	Work []Work `json:"work"`
}

// Step is what becomes of one step. Cached and Run count artifacts, Depends counts studies (or shards) of which nothing is known before
// the run.
type Step struct {
	Step    string `json:"step"`
	Cached  int    `json:"cached"`
	Run     int    `json:"run"`
	Depends int    `json:"depends"`
	// Seconds and Bytes (as stored) are what Run takes, DependsSeconds and DependsBytes what Depends takes at most. They are 0 where the earlier run made none.
	Seconds        float64 `json:"seconds"`
	Bytes          int64   `json:"bytes"`
	DependsSeconds float64 `json:"depends_seconds"`
	DependsBytes   int64   `json:"depends_bytes"`
}

// Reason counts what runs for one reason.
type Reason struct {
	Step      string `json:"step"`
	Why       string `json:"why"`
	Artifacts int    `json:"artifacts"`
	Subjects  int    `json:"subjects"` // studies, or shards
}

// Work is one thing that is not cached.
type Work struct {
	Subject string `json:"subject"`
	Part    string `json:"part,omitempty"`
	Step    string `json:"step"`
	Verdict string `json:"verdict"` // transforms.WouldRun, Depends or Refused
	Why     string `json:"why,omitempty"`
	Recipe  string `json:"recipe,omitempty"`
}

// Of sums up the rows of a planned run of these steps, beside those of an earlier run, of which there may be none.
func Of(steps []string, rows, earlier []artifacts.Row) *Plan {
	p := &Plan{Reasons: []Reason{}, Refused: []Work{}, Work: []Work{}}
	past := meansOf(earlier)
	studies := map[string]bool{}
	byStep := map[string]*Step{}
	for _, name := range steps {
		byStep[name] = &Step{Step: name}
	}
	reasons := map[[2]string]map[string]int{}
	for _, row := range rows {
		if row.Step != "shard" {
			studies[row.Subject] = true
		}
		step := byStep[row.Step]
		if step == nil {
			continue
		}
		work := Work{row.Subject, row.Part, row.Step, row.Verdict, row.Why, row.Recipe}
		switch row.Verdict {
		case transforms.OK:
			step.Cached++
			continue
		case transforms.WouldRun:
			step.Run++
			key := [2]string{row.Step, row.Why}
			if reasons[key] == nil {
				reasons[key] = map[string]int{}
			}
			reasons[key][row.Subject]++
		case transforms.Depends:
			step.Depends++
		case transforms.Refused:
			work.Why = row.Reason
			p.Refused = append(p.Refused, work)
			continue
		default:
			continue
		}
		p.Work = append(p.Work, work)
	}
	p.Studies = len(studies)
	for _, name := range steps {
		step, m := byStep[name], past[name]
		step.Seconds, step.Bytes = float64(step.Run)*m.seconds, int64(float64(step.Run)*m.bytes)
		of := float64(step.Depends) * m.perSubject
		step.DependsSeconds, step.DependsBytes = of*m.seconds, int64(of*m.bytes)
		p.Steps = append(p.Steps, *step)
	}
	p.Reasons = count(steps, reasons)
	slices.SortFunc(p.Work, func(a, b Work) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(slices.Index(steps, a.Step), slices.Index(steps, b.Step)), cmp.Compare(a.Part, b.Part))
	})
	slices.SortFunc(p.Refused, func(a, b Work) int { return cmp.Compare(a.Subject, b.Subject) })
	return p
}

// means is what an artifact of a step took.
type means struct{ seconds, bytes, perSubject float64 }

func meansOf(rows []artifacts.Row) map[string]means {
	sums, n, subjects := map[string]means{}, map[string]float64{}, map[string]map[string]bool{}
	for _, row := range rows {
		if row.Recipe == "" {
			continue
		}
		m := sums[row.Step]
		m.seconds += row.Seconds
		m.bytes += float64(row.Stored)
		sums[row.Step] = m
		n[row.Step]++
		if subjects[row.Step] == nil {
			subjects[row.Step] = map[string]bool{}
		}
		subjects[row.Step][row.Subject] = true
	}
	for step, m := range sums {
		sums[step] = means{m.seconds / n[step], m.bytes / n[step], n[step] / float64(len(subjects[step]))}
	}
	return sums
}

// count lists the reasons by step, the most frequent first.
func count(steps []string, reasons map[[2]string]map[string]int) []Reason {
	all := []Reason{}
	for key, subjects := range reasons {
		r := Reason{Step: key[0], Why: key[1], Subjects: len(subjects)}
		for _, n := range subjects {
			r.Artifacts += n
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(slices.Index(steps, a.Step), slices.Index(steps, b.Step)), cmp.Compare(b.Artifacts, a.Artifacts), cmp.Compare(a.Why, b.Why))
	})
	return all
}

// Total sums up the steps.
func (p *Plan) Total() Step {
	t := Step{Step: "all"}
	for _, s := range p.Steps {
		t.Cached, t.Run, t.Depends = t.Cached+s.Cached, t.Run+s.Run, t.Depends+s.Depends
		t.Seconds, t.Bytes = t.Seconds+s.Seconds, t.Bytes+s.Bytes
		t.DependsSeconds, t.DependsBytes = t.DependsSeconds+s.DependsSeconds, t.DependsBytes+s.DependsBytes
	}
	return t
}
