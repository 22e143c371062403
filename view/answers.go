package view

import (
	"context"
	"net/http"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/score"
)

// answersView is how good a run's answers are.
type answersView struct {
	Run *run
	// Evaluation is nil where no label is known.
	Evaluation *evaluation
	Unready    bool // labels are still being read
}

// evaluationView is what the part of a page shows that evaluations share.
type evaluationView struct {
	Evaluation *evaluation
	Alone      bool
}

func (s *Server) answersPage(r *http.Request) (*Page, error) {
	run, err := s.runs.get(r.Context(), refOf(r))
	if err != nil {
		return nil, err
	}
	if !run.Answered {
		return nil, missing("run "+run.Label()+" has no answers, or a later one of this name has replaced them", "'cspine predict' makes answers; choose its newest run")
	}
	threshold, err := thresholdOf(r)
	if err != nil {
		return nil, err
	}
	content, err := s.answersContent(r.Context(), run, threshold)
	if err != nil {
		return nil, err
	}
	return &Page{Title: "Answers of run " + run.Label(), Section: "run", Template: "answers", Content: content, Run: run}, nil
}

func (s *Server) answersContent(ctx context.Context, r *run, threshold float64) (*answersView, error) {
	var answers []score.Answer
	truth := score.Truth{}
	for _, of := range r.Studies {
		if len(of.Answers) == 0 {
			continue
		}
		known, ok := s.truth.fractures(of.Name, r.Name)
		if !ok {
			continue
		}
		a := score.Answer{Study: of.Name}
		var so [classify.Targets]int8
		for i := range so {
			so[i] = load.Unknown
		}
		copy(so[:], known.Levels[:])
		so[classify.PatientTarget] = known.Patient
		for _, d := range of.Answers {
			target := volume.LevelOf(d.Target)
			if target < 0 {
				target = classify.PatientTarget
			}
			a.P[target] = d.Probability
		}
		answers = append(answers, a)
		truth[of.Name] = so
	}
	rows, gaps := score.Join(answers, truth)
	e, err := s.judge(ctx, rows, gaps, threshold)
	return &answersView{Run: r, Evaluation: e, Unready: !s.truth.ready()}, err
}
