package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/train"
	"github.com/cspine/cspine/view/chart"
)

// trainingRow is a run of trainings in the list.
type trainingRow struct {
	Run   string
	Stage string // train.SegmenterStage, train.ClassifierStage, or "" as long as no model is there
	Tasks []*task
	Done  int
	// Changed is when the newest of its files was written.
	Changed time.Time
}

// task is one training of a run: what lies under its name.
type task struct {
	Name  string
	Fold  int // train.NoFold for none
	Seed  string
	Stage string
	// HeldOut tells that there are its answers for the studies that it held out.
	HeldOut bool
	Changed time.Time
}

// Model is the file that it made; "" for one that is not done.
func (t *task) Model() string {
	if t.Stage == "" {
		return ""
	}
	return t.Stage + ".onnx"
}

// taskName is what a training is called: see train.Task.
var taskName = regexp.MustCompile(`^(?:all|fold(\d{1,3}))-seed(\d{1,20})$`)

// readTasks returns the trainings of a run, or of all runs if run is empty, by run and in order.
func readTasks(ctx context.Context, store *artifacts.Store, run string) (map[string][]*task, error) {
	prefix := "runs/"
	if run != "" {
		prefix = manifest.Dir(run) + "/"
	}
	files, err := store.ListNamed(ctx, prefix)
	if err != nil {
		return nil, err
	}
	all := map[string][]*task{}
	for _, f := range files { // in order of their keys: those of a training come together
		dir := path.Dir(f.Key)
		name, of := path.Base(dir), path.Base(path.Dir(dir))
		parts := taskName.FindStringSubmatch(name)
		if parts == nil || path.Dir(dir) != manifest.Dir(of) {
			continue
		}
		tasks := all[of]
		if len(tasks) == 0 || tasks[len(tasks)-1].Name != name {
			t := &task{Name: name, Fold: train.NoFold, Seed: parts[2]}
			if parts[1] != "" {
				t.Fold, _ = strconv.Atoi(parts[1]) // digits
			}
			tasks = append(tasks, t)
			all[of] = tasks
		}
		t := tasks[len(tasks)-1]
		switch path.Base(f.Key) {
		case train.SegmenterStage + ".onnx":
			t.Stage = train.SegmenterStage
		case train.ClassifierStage + ".onnx":
			t.Stage = train.ClassifierStage
		case score.HeldOutFile:
			t.HeldOut = true
		}
		if f.Modified.After(t.Changed) {
			t.Changed = f.Modified
		}
	}
	for _, tasks := range all {
		slices.SortStableFunc(tasks, func(a, b *task) int { return cmp.Or(cmp.Compare(a.Seed, b.Seed), cmp.Compare(a.Fold, b.Fold)) })
	}
	return all, nil
}

func (s *Server) trainings(r *http.Request) (*Page, error) {
	rows, err := s.trainingsContent(r.Context())
	if err != nil {
		return nil, err
	}
	return &Page{Title: "Trainings", Section: "trainings", Template: "trainings", Content: rows}, nil
}

// trainingsContent lists the runs that trained, the last that changed first.
func (s *Server) trainingsContent(ctx context.Context) (rows []trainingRow, err error) {
	all, err := readTasks(ctx, s.store, "")
	if err != nil {
		return nil, err
	}
	for _, run := range slices.Sorted(maps.Keys(all)) {
		row := trainingRow{Run: run, Tasks: all[run]}
		for _, t := range row.Tasks {
			row.Stage = cmp.Or(row.Stage, t.Stage)
			if t.Stage != "" {
				row.Done++
			}
			if t.Changed.After(row.Changed) {
				row.Changed = t.Changed
			}
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b trainingRow) int { return b.Changed.Compare(a.Changed) })
	return rows, nil
}

// trainingPage is what the trainings of a run did.
type trainingPage struct {
	Run   string
	Stage string
	Tasks []*taskView
	// Overview has all folds' measure by epoch; "" where no training was measured.
	Overview template.HTML
	// Dice is of segmenters: each level's by training.
	Dice []levelDice
	// Means is the chart of their means with intervals.
	Means template.HTML
	// Evaluation is of classifiers; nil as long as no held-out study is answered. Problem is why it can't be had.
	Evaluation *evaluation
	Problem    string
}

// taskView is one training.
type taskView struct {
	*task
	Epochs []train.Epoch
	// Best is the epoch that was measured best; nil before there is one.
	Best *train.Epoch
	// Note is what the training's record remembers; nil for one that is not done.
	Note *train.Note
	// Digest is the model's, where a manifest names it.
	Digest string
	// Reason, Detail and Remedy are of a training that failed last.
	Reason, Detail, Remedy string
	Charts                 []template.HTML
}

// levelDice is a level's dice in each training, as they are in order; NaN for those that were not measured.
type levelDice struct {
	Level int
	Name  string
	Dice  []float64
}

// Headline says how good the best epoch was.
func (t *taskView) Headline() string {
	if t.Best == nil {
		return ""
	}
	return t.Best.Validation.Headline()
}

// Last is the last epoch that ended; nil before there is one.
func (t *taskView) Last() *train.Epoch {
	if len(t.Epochs) == 0 {
		return nil
	}
	return &t.Epochs[len(t.Epochs)-1]
}

// Ended is when that was.
func (t *taskView) Ended() time.Time {
	if e := t.Last(); e != nil {
		return time.UnixMilli(int64(e.Time * 1000))
	}
	return time.Time{}
}

// measured tells whether an epoch's held-out studies were.
func measured(e *train.Epoch) bool {
	return e.Validation != nil && (e.Validation.ClassifierScore != nil || e.Validation.SegmenterScore != nil)
}

func (s *Server) training(r *http.Request) (*Page, error) {
	threshold, err := thresholdOf(r)
	if err != nil {
		return nil, err
	}
	p, err := s.trainingContent(r.Context(), r.PathValue("run"), evaluationOptions{threshold, r.FormValue("seed")})
	if err != nil {
		return nil, err
	}
	return &Page{Title: "Trainings of run " + p.Run, Section: "trainings", Template: "training", Content: p}, nil
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

// trainingContent is what the trainings of a run did so far.
func (s *Server) trainingContent(ctx context.Context, run string, o evaluationOptions) (*trainingPage, error) {
	all, err := readTasks(ctx, s.store, run)
	if err != nil && !errors.Is(err, artifacts.ErrKey) {
		return nil, err
	}
	tasks := all[run]
	if len(tasks) == 0 {
		return nil, missing("the store has no trainings of this run", "choose a run of the list; a training shows here when its first epoch ends")
	}
	p := &trainingPage{Run: run}
	rows, err := trainRows(ctx, s.store, run)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		v, err := s.readTask(ctx, run, t, rows[t.Name])
		if err != nil {
			return nil, err
		}
		p.Tasks = append(p.Tasks, v)
		p.Stage = cmp.Or(p.Stage, t.Stage)
		if v.Best != nil && p.Stage == "" { // it is not done, and known by what it measures
			p.Stage = train.SegmenterStage
			if v.Best.Validation.ClassifierScore != nil {
				p.Stage = train.ClassifierStage
			}
		}
	}
	p.overview()
	p.dice()
	return p, s.evaluate(ctx, p, o)
}

// reportEvaluation tells of the trainings of a run's name, and of its classifiers of patients, if there are any.
func (s *Server) reportEvaluation(ctx context.Context, r *run, section func(file string, content any) error) error {
	for _, name := range []string{r.Name, r.Name + patientRuns} {
		tasks, err := readTasks(ctx, s.store, name)
		if err != nil {
			return err
		}
		if len(tasks) == 0 {
			continue
		}
		p, err := s.trainingContent(ctx, name, evaluationOptions{threshold: 0.5})
		if err == nil {
			err = section("training", p)
		}
		if err != nil {
			return fmt.Errorf("trainings of run %s: %w", name, err)
		}
	}
	return nil
}

// patientRuns ends the names of runs that train classifiers of patients, unless they are given another: see 'cspine train classifier --run'.
const patientRuns = "-type2"

// lookAtTrainings is how many manifests of a run's trainings are read.
const lookAtTrainings = 20

// trainRows returns what a run's newest manifests say of each training.
func trainRows(ctx context.Context, store *artifacts.Store, run string) (map[string]artifacts.Row, error) {
	files, err := store.ListNamed(ctx, manifest.Dir(run)+"/")
	if err != nil {
		return nil, err
	}
	found := map[string]artifacts.Row{}
	read := 0
	for _, f := range slices.Backward(files) {
		if !strings.HasSuffix(f.Key, ".train.parquet") || path.Dir(f.Key) != manifest.Dir(run) || read == lookAtTrainings {
			continue
		}
		read++
		rows, err := manifest.Read(ctx, store, f.Key)
		if errors.Is(err, artifacts.ErrNotFound) || errors.Is(err, artifacts.ErrCorrupt) {
			continue // what the trainings recorded is there all the same
		}
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if _, newer := found[row.Subject]; !newer {
				found[row.Subject] = row
			}
		}
	}
	return found, nil
}

// readTask reads what a training recorded.
func (s *Server) readTask(ctx context.Context, run string, t *task, row artifacts.Row) (*taskView, error) {
	v := &taskView{task: t, Digest: row.Digest}
	if row.Verdict == transforms.Refused {
		v.Reason, v.Detail, v.Remedy = row.Reason, row.Detail, row.Remedy
	}
	lines, err := s.store.GetNamed(ctx, manifest.Dir(run)+"/"+t.Name+"/"+train.LinesFile)
	if err == nil {
		v.Epochs, err = train.ReadLines(lines)
	}
	if err != nil && !errors.Is(err, artifacts.ErrNotFound) {
		return nil, fmt.Errorf("training %s: %w", t.Name, err)
	}
	for i := range v.Epochs {
		if e := &v.Epochs[i]; e.Best && measured(e) {
			v.Best = e
		}
	}
	if v.Note, err = train.ReadNote(ctx, s.store, row); err != nil {
		return nil, fmt.Errorf("training %s: %w", t.Name, err)
	}
	v.draw()
	return v, nil
}

// draw draws the training's curves.
func (t *taskView) draw() {
	if len(t.Epochs) == 0 {
		return
	}
	draw := func(what, y string, c chart.Lines) {
		c.Title, c.X, c.Y, c.WholeX = what+" of "+t.Name+" by epoch", "epoch", y, true
		t.Charts = append(t.Charts, c.SVG())
	}
	learned, held, rate := chart.Line{Name: "training"}, chart.Line{Name: "held-out studies", Dashed: true}, chart.Line{Name: "learning rate"}
	var of []*train.Epoch
	for i := range t.Epochs {
		e := &t.Epochs[i]
		x := float64(e.Epoch)
		learned.Add(x, e.Loss)
		rate.Add(x, e.Rate)
		if measured(e) {
			held.Add(x, e.Validation.Loss)
			of = append(of, e)
		}
	}
	losses := []chart.Line{learned}
	if len(of) > 0 {
		losses = append(losses, held)
	}
	draw("Loss", "loss, as it is trained for", chart.Lines{Lines: losses})
	draw("Learning rate", "learning rate (logarithmic)", chart.Lines{Lines: []chart.Line{rate}, LogY: true})
	if len(of) == 0 {
		return
	}
	levels := make([]chart.Line, volume.Levels)
	for level := range levels {
		levels[level] = chart.Line{Name: volume.LevelName(level), Colour: hexColour(level)}
	}
	share := [2]float64{0, 1}
	if of[0].Validation.ClassifierScore == nil {
		mean := chart.Line{Name: "mean, 95 %", Colour: textColour, Wide: true}
		for _, e := range of {
			v := e.Validation
			mean.Add(float64(e.Epoch), v.Mean)
			mean.Low, mean.High = append(mean.Low, v.Interval[0]), append(mean.High, v.Interval[1])
			for level, d := range v.Dice {
				levels[level].Add(float64(e.Epoch), d)
			}
		}
		draw("Dice", "dice of held-out studies", chart.Lines{Lines: append(levels, mean), YRange: share})
		return
	}
	loss := chart.Line{Name: "log loss"}
	vertebrae, patients := chart.Line{Name: "vertebrae", Colour: textColour, Wide: true}, chart.Line{Name: "patients", Colour: textColour, Dashed: true}
	for _, e := range of {
		x, v := float64(e.Epoch), e.Validation
		loss.Add(x, float64(v.LogLoss))
		vertebrae.Add(x, float64(v.VertebraAUC))
		patients.Add(x, float64(v.PatientAUC))
		for level, a := range v.AUC {
			levels[level].Add(x, float64(a))
		}
	}
	draw("Log loss", "log loss, held-out studies", chart.Lines{Lines: []chart.Line{loss}})
	draw("AUC", "AUC, held-out studies", chart.Lines{Lines: append(levels, vertebrae, patients), YRange: share})
}

// textColour is that of what belongs to no level: the text's, in light and in dark.
const textColour = "currentColor"

// overview draws all trainings' measure into one chart.
func (p *trainingPage) overview() {
	c := chart.Lines{X: "epoch", WholeX: true, Title: "Weighted log loss of held-out studies by epoch", Y: "weighted log loss"}
	if p.Stage == train.SegmenterStage {
		c.Title, c.Y = "Mean dice of held-out studies by epoch", "mean dice"
	}
	for i, t := range p.Tasks {
		l := chart.Line{Name: t.Name, Colour: hexColour(i % volume.Levels), Dashed: i >= volume.Levels}
		for k := range t.Epochs {
			e := &t.Epochs[k]
			switch v := e.Validation; {
			case !measured(e):
			case v.ClassifierScore != nil:
				l.Add(float64(e.Epoch), float64(v.LogLoss))
			default:
				l.Add(float64(e.Epoch), v.Mean)
			}
		}
		if len(l.X) > 0 {
			c.Lines = append(c.Lines, l)
		}
	}
	if len(c.Lines) > 0 {
		p.Overview = c.SVG()
	}
}

// dice gathers how well segmenters do.
func (p *trainingPage) dice() {
	if p.Stage != train.SegmenterStage {
		return
	}
	means := chart.Intervals{Title: "Mean dice of held-out studies, each training's best epoch", X: "mean dice, 95 % interval over studies"}
	for level := range volume.Levels {
		row := levelDice{Level: level, Name: volume.LevelName(level)}
		for _, t := range p.Tasks {
			d := math.NaN()
			if t.Best != nil && t.Best.Validation.SegmenterScore != nil {
				d = t.Best.Validation.Dice[level]
			}
			row.Dice = append(row.Dice, d)
		}
		p.Dice = append(p.Dice, row)
	}
	for _, t := range p.Tasks {
		if t.Best == nil || t.Best.Validation.SegmenterScore == nil {
			continue
		}
		v := t.Best.Validation
		means.Rows = append(means.Rows, chart.Interval{Name: t.Name, Value: v.Mean, Low: v.Interval[0], High: v.Interval[1],
			Note: fmt.Sprintf("%.4f [%.4f, %.4f], %s", v.Mean, v.Interval[0], v.Interval[1], plural(v.Studies, "study", "studies"))})
	}
	if len(means.Rows) > 0 {
		p.Means = means.SVG()
	}
}

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
	Missing []int
	Seed    string
	Seeds   []string
	// Rows are the levels, all of them together, and the patient.
	Rows      []score.Measures
	Charts    evaluationCharts
	Threshold float64
	Confusion []confusion
	Worst     []worstCase
}

type evaluationCharts struct{ Areas, ROC, Vertebrae, Patients template.HTML }

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
	last := len(e.Targets) - 1
	e.Rows = append(slices.Clone(e.Targets[:last]), e.Report.Vertebrae, e.Targets[last])
	e.draw()
	var levels []int
	for level := range volume.Levels {
		levels = append(levels, level)
	}
	e.Confusion = []confusion{confusionOf("vertebrae", score.LabelsOf(rows, levels...), threshold),
		confusionOf("patients", score.LabelsOf(rows, classify.PatientTarget), threshold)}
	e.Worst = worst(rows)
	return e, s.lead(ctx, e.Worst)
}

// targetName is a target for people.
func targetName(target string) string {
	switch target {
	case classify.TargetName(classify.PatientTarget):
		return "patient"
	case "vertebrae":
		return "C1 to C7"
	}
	return target
}

// Name is what a row of the table is of.
func (e *evaluation) Name(m score.Measures) string { return targetName(m.Target) }

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
	roc := chart.Lines{Title: "ROC curves", X: "share of intact ones taken for fractured", Y: "share of fractured ones found", Square: true,
		XRange: [2]float64{0, 1}, YRange: [2]float64{0, 1}}
	areas := chart.Intervals{Title: "Area under the ROC curve, by level", X: "area, 95 % interval", Range: [2]float64{0, 1}, Reference: 0.5}
	for i, m := range e.Rows {
		l := chart.Line{Name: targetName(m.Target), Colour: textColour, Dashed: i > volume.Levels, Wide: true}
		if i < volume.Levels {
			l.Colour, l.Wide = hexColour(i), false
		}
		for _, p := range m.ROC {
			l.Add(p.FalsePositive, p.TruePositive)
		}
		areas.Rows = append(areas.Rows, chart.Interval{Name: l.Name, Value: float64(m.AUC), Low: float64(m.Interval[0]), High: float64(m.Interval[1]), Colour: l.Colour,
			Note: fmt.Sprintf("%s, %d of %d fractured", m.Area, m.Fractured, m.N)})
		if len(l.X) > 0 {
			roc.Lines = append(roc.Lines, l)
		}
	}
	e.Charts.Areas, e.Charts.ROC = areas.SVG(), roc.SVG()
	e.Charts.Vertebrae, e.Charts.Patients = reliability("vertebrae", e.Report.Vertebrae), reliability("patients", e.Targets[len(e.Targets)-1])
}

// reliability draws what comes true of probabilities.
func reliability(what string, m score.Measures) template.HTML {
	l := chart.Line{Name: what, Points: true}
	for _, b := range m.Reliability {
		if b.N > 0 {
			l.Add(float64(b.Mean), float64(b.Share))
			l.Low, l.High = append(l.Low, float64(b.Interval[0])), append(l.High, float64(b.Interval[1]))
		}
	}
	return chart.Lines{Title: "Reliability of " + what, X: "mean probability of a fracture", Y: "share of fractured, 95 % interval", Square: true, Lines: []chart.Line{l},
		XRange: [2]float64{0, 1}, YRange: [2]float64{0, 1}}.SVG()
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
				w.Answers = append(w.Answers, worstAnswer{targetName(classify.TargetName(target)), row.P[target], loss, label == 1})
			}
		}
		slices.SortStableFunc(w.Answers, func(a, b worstAnswer) int { return cmp.Compare(b.Loss, a.Loss) })
		w.Answers = w.Answers[:min(worstAnswers, len(w.Answers))]
		cases = append(cases, w)
	}
	slices.SortStableFunc(cases, func(a, b worstCase) int { return cmp.Compare(b.Loss, a.Loss) })
	return cases[:min(worstCases, len(cases))]
}

// lead finds the pages of studies in the newest runs; there is none of a study that only older ones have.
func (s *Server) lead(ctx context.Context, cases []worstCase) error {
	refs, err := s.runs.list(ctx)
	if err != nil {
		return err
	}
	for _, ref := range refs[:min(remembered, len(refs))] {
		if !slices.ContainsFunc(cases, func(w worstCase) bool { return w.Path == "" }) {
			return nil
		}
		r, err := s.runs.get(ctx, ref)
		if err != nil {
			return err
		}
		for i := range cases {
			if w := &cases[i]; w.Path == "" && r.byName[w.Study] != nil {
				w.Path = r.Path() + "/studies" + href(w.Study)
			}
		}
	}
	return nil
}
