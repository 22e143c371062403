package view

import (
	"cmp"
	"context"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/train"
)

// evaluationOptions say how held-out answers are looked at. Seed chooses among a run's trainings; "" takes the first.
type evaluationOptions struct {
	threshold float64
	seed      string
}

// evaluation is how good answers are: those for held-out studies, all folds together, or those of a run.
type evaluation struct {
	*score.Report
	// LogLoss is the competition's, and Constant that of the best answer that looks at no study.
	LogLoss, Constant float64
	Trainings         []string
	// Missing are the folds of which there are no answers yet.
	Missing   []int
	Seed      string
	Seeds     []string
	Charts    evaluationCharts
	Threshold float64
	Confusion []confusion
	Worst     []worstCase
}

type evaluationCharts struct {
	Areas, ROC template.HTML
	// Reliability is that of vertebrae, then of patients: the curve, and below it the counts.
	Reliability [][2]template.HTML
}

// confusion counts what is taken for fractured at a threshold.
type confusion struct {
	What string
	// Found and Missed are of those that are fractured, False and Intact of those that are not.
	Found, Missed, False, Intact int
}

// Sensitivity is the share of fractured ones that are found, Specificity of intact ones that are left alone, and Precision of found ones that
// are fractured. NaN where there are none.
func (c confusion) Sensitivity() float64 { return float64(c.Found) / float64(c.Found+c.Missed) }
func (c confusion) Specificity() float64 { return float64(c.Intact) / float64(c.Intact+c.False) }
func (c confusion) Precision() float64   { return float64(c.Found) / float64(c.Found+c.False) }

// worstCase is a study whose answer costs most.
type worstCase struct {
	Study string
	// Path is where its page is, in the newest run that has it; "" without one.
	Path    string
	Loss    float64
	Answers []worstAnswer
}

// worstAnswer is one of its answers, those that cost most first.
type worstAnswer struct {
	Target    string
	P, Loss   float64
	Fractured bool
}

const (
	worstCases   = 20
	worstAnswers = 3 // of a study
)

// evaluate judges the answers for held-out studies, where there are any. What is wrong with them is told on the page: the curves are there all the same.
func (s *Server) evaluate(ctx context.Context, p *trainingPage, o evaluationOptions) error {
	var seeds []string
	for _, t := range p.Tasks {
		if t.HeldOut && t.Fold != train.NoFold && !slices.Contains(seeds, t.Seed) {
			seeds = append(seeds, t.Seed)
		}
	}
	if len(seeds) == 0 {
		return nil
	}
	if o.seed == "" {
		o.seed = seeds[0]
	}
	if !slices.Contains(seeds, o.seed) {
		return missing("no training of this seed answered held-out studies", "choose one of the seeds "+strings.Join(seeds, ", "))
	}
	held, err := score.ReadHeldOut(ctx, s.store, p.Run, score.HeldOutOptions{Seed: o.seed})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.Problem = err.Error()
		return nil
	}
	rows, gaps := score.Join(held.Answers, held.Truth)
	e, err := s.judge(ctx, rows, gaps, o.threshold)
	if e == nil {
		p.Problem = "no label of the held-out studies is known"
		return err
	}
	e.Trainings, e.Missing, e.Seed, e.Seeds = held.Tasks, held.Missing, o.seed, seeds
	p.Evaluation = e
	return err
}

// judge says how good answers are; nil if no label of their studies is known.
func (s *Server) judge(ctx context.Context, rows []score.Judged, gaps score.Gaps, threshold float64) (*evaluation, error) {
	e := &evaluation{Report: score.Evaluate(rows, gaps, score.ByRow), Threshold: threshold}
	if e.Labels == 0 {
		return nil, nil
	}
	e.LogLoss, e.Constant = float64(e.Report.Loss), float64(e.Best.Loss)
	e.draw()
	var levels []int
	for level := range volume.Levels {
		levels = append(levels, level)
	}
	e.Confusion = []confusion{confusionOf("vertebrae", score.LabelsOf(rows, levels...), threshold),
		confusionOf("patients", score.LabelsOf(rows, classify.PatientTarget), threshold)}
	e.Worst = worst(rows)
	return e, lead(ctx, s, e.Worst, func(w *worstCase) (string, *string) { return w.Study, &w.Path })
}

// Name is what a row of the table is of.
func (e *evaluation) Name(m score.Measures) string { return score.TargetLabel(m.Target) }

// Interval is an area with its interval, on one line.
func (e *evaluation) Interval(m score.Measures) string {
	return strings.ReplaceAll(m.Area.String(), " ", "\u00a0")
}

// Address is the page with another seed.
func (e *evaluation) Address(seed string) string {
	return "?" + url.Values{"seed": {seed}, "threshold": {strconv.FormatFloat(e.Threshold, 'g', -1, 64)}}.Encode()
}

// draw draws areas, ROC curves and reliability.
func (e *evaluation) draw() {
	e.Charts.Areas, e.Charts.ROC = e.AreaChart().SVG(), e.ROCChart().SVG()
	for _, c := range []score.ReliabilityCharts{e.Report.Vertebrae.ReliabilityCharts("vertebrae"), e.Patient().ReliabilityCharts("patients")} {
		e.Charts.Reliability = append(e.Charts.Reliability, [2]template.HTML{c.Curve.SVG(), c.Counts.SVG()})
	}
}

// confusionOf counts what is taken for fractured if everything is whose probability is the threshold or more.
func confusionOf(what string, l score.Labels, threshold float64) confusion {
	c := confusion{What: what}
	for _, s := range score.Steps(l) {
		if s.Threshold >= threshold {
			c.Found, c.False = s.True, s.Falsely
		}
	}
	for _, fractured := range l.Fractured {
		if fractured {
			c.Missed++
		} else {
			c.Intact++
		}
	}
	c.Missed, c.Intact = c.Missed-c.Found, c.Intact-c.False
	return c
}

// worst returns the studies of the greatest loss, with the answers that cost most. The loss of one study is the metric of it alone, that of one answer
// the metric of a study of which nothing else is known.
func worst(rows []score.Judged) (cases []worstCase) {
	for _, row := range rows {
		w := worstCase{Study: row.Study, Loss: score.WeightedLogLoss([]score.Judged{row}, score.ByRow)}
		if math.IsNaN(w.Loss) {
			continue
		}
		for target, label := range row.Truth {
			one := score.Judged{P: row.P}
			for t := range one.Truth {
				one.Truth[t] = load.Unknown
			}
			one.Truth[target] = label
			if loss := score.WeightedLogLoss([]score.Judged{one}, score.ByRow); !math.IsNaN(loss) {
				w.Answers = append(w.Answers, worstAnswer{score.TargetLabel(classify.TargetName(target)), row.P[target], loss, label == 1})
			}
		}
		slices.SortStableFunc(w.Answers, func(a, b worstAnswer) int { return cmp.Compare(b.Loss, a.Loss) })
		w.Answers = w.Answers[:min(worstAnswers, len(w.Answers))]
		cases = append(cases, w)
	}
	slices.SortStableFunc(cases, func(a, b worstCase) int { return cmp.Compare(b.Loss, a.Loss) })
	return cases[:min(worstCases, len(cases))]
}

// lead gives cases the addresses of their studies' pages in the newest runs; one whose study only older ones have keeps none. of tells a case's study, and
// where its address goes.
func lead[C any](ctx context.Context, s *Server, cases []C, of func(*C) (study string, path *string)) error {
	refs, err := s.runs.list(ctx)
	if err != nil {
		return err
	}
	for _, ref := range refs[:min(remembered, len(refs))] {
		if !slices.ContainsFunc(cases, func(c C) bool { _, path := of(&c); return *path == "" }) {
			return nil
		}
		r, err := s.runs.get(ctx, ref)
		if err != nil {
			return err
		}
		for i := range cases {
			if study, path := of(&cases[i]); *path == "" && r.byName[study] != nil {
				*path = r.Path() + "/studies" + href(study)
			}
		}
	}
	return nil
}

// thresholdOf is the probability from which on something is to be taken for fractured.
func thresholdOf(r *http.Request) (float64, error) {
	text := strings.TrimSpace(r.FormValue("threshold"))
	if text == "" {
		return 0.5, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, wrong("this threshold is no probability", "give a number from 0 to 1, such as 0.5")
	}
	return v, nil
}
