package view

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/manifest"
)

// runPage is what a run did.
type runPage struct {
	*manifest.Summary
	Run *run
	// Runs are the store's, the newest first.
	Runs []runRef
	// Refused and Warned are studies by reason, and NotFound counts vertebrae by theirs.
	Refused, Warned []reasonOf
	NotFound        []reasonOf
	Why             []whyOf
	Plan            *Plan
	Running         []running
}

// reasonOf is why something did not go well, and where.
type reasonOf struct {
	Step, Code, Detail, Remedy string
	Studies                    []string
}

// whyOf counts what a step computed for one reason.
type whyOf struct {
	Step, Why string
	Artifacts int
	Studies   int
}

// home leads to the newest run.
func (s *Server) home(r *http.Request) (*Page, error) {
	refs, err := s.runs.list(r.Context())
	if err != nil {
		return nil, err
	}
	under, err := s.running(r.Context())
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 {
		return &Page{Title: "No runs yet", Section: "run", Template: "empty", Content: map[string]any{"Running": under}, Scripts: []string{"live.js"}}, nil
	}
	return s.runPage(r.Context(), refs[0])
}

func (s *Server) run(r *http.Request) (*Page, error) { return s.runPage(r.Context(), refOf(r)) }

// refOf is the run that a request names.
func refOf(r *http.Request) runRef { return runRef{r.PathValue("run"), r.PathValue("id")} }

func (s *Server) runPage(ctx context.Context, ref runRef) (*Page, error) {
	r, err := s.runs.get(ctx, ref)
	if err != nil {
		return nil, err
	}
	refs, err := s.runs.list(ctx)
	if err != nil {
		return nil, err
	}
	under, err := s.running(ctx)
	if err != nil {
		return nil, err
	}
	content := runContent(r)
	content.Runs, content.Plan, content.Running = refs, s.options.Plan, under
	return &Page{Title: "Run " + r.Label(), Section: "run", Template: "run", Content: content, Run: r, Scripts: []string{"live.js"}}, nil
}

// runContent is what the run's manifest alone says.
func runContent(r *run) *runPage {
	p := &runPage{Summary: manifest.Summarise(r.rows, r.Steps, 0), Run: r}
	p.Refused = reasons(r, func(row artifacts.Row) bool {
		return row.Verdict == transforms.Refused || row.Verdict == transforms.Skipped
	})
	p.Warned = reasons(r, func(row artifacts.Row) bool {
		return row.Verdict == transforms.Warned || row.Verdict == transforms.Differs
	})
	p.NotFound = reasons(r, func(row artifacts.Row) bool { return row.Verdict == transforms.NotFound })
	why := map[[2]string]*whyOf{}
	subjects := map[[3]string]bool{}
	for _, row := range r.rows {
		if row.Digest == "" || row.Hit {
			continue
		}
		key := [2]string{row.Step, row.Why}
		if why[key] == nil {
			why[key] = &whyOf{Step: row.Step, Why: row.Why}
		}
		why[key].Artifacts++
		if at := [3]string{row.Step, row.Why, row.Subject}; !subjects[at] {
			subjects[at] = true
			why[key].Studies++
		}
	}
	for _, w := range why {
		p.Why = append(p.Why, *w)
	}
	slices.SortFunc(p.Why, func(a, b whyOf) int {
		return cmp.Or(cmp.Compare(slices.Index(r.Steps, a.Step), slices.Index(r.Steps, b.Step)), cmp.Compare(b.Artifacts, a.Artifacts), cmp.Compare(a.Why, b.Why))
	})
	return p
}

// reasons groups the rows that keep keeps, the most frequent reason first.
func reasons(r *run, keep func(artifacts.Row) bool) []reasonOf {
	found := map[[2]string]*reasonOf{}
	for _, s := range r.Studies {
		for _, row := range s.rows {
			if !keep(row) {
				continue
			}
			key := [2]string{row.Step, row.Reason}
			if found[key] == nil {
				found[key] = &reasonOf{Step: row.Step, Code: row.Reason, Detail: row.Detail, Remedy: row.Remedy}
			}
			if of := found[key]; len(of.Studies) == 0 || of.Studies[len(of.Studies)-1] != s.Name {
				of.Studies = append(of.Studies, s.Name)
			}
		}
	}
	all := slices.Collect(maps.Values(found))
	slices.SortFunc(all, func(a, b *reasonOf) int {
		return cmp.Or(cmp.Compare(len(b.Studies), len(a.Studies)), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Code, b.Code))
	})
	list := make([]reasonOf, len(all))
	for i, of := range all {
		list[i] = *of
	}
	return list
}
