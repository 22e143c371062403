package view

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/chart"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/train"
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
	// WorstMasks are the held-out studies whose masks agree least with their labels.
	WorstMasks []worstMask
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

// worstMask is a study that a segmenter held out.
type worstMask struct {
	score.StudyDice
	// Task is the training that held it out, and Level its least level, counted from 0.
	Task  string
	Level int
	// Path is where its page is, in the newest run that has it; "" without one.
	Path string
}

// worstMasks are how many held-out studies a page lists.
const worstMasks = 20

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
	if err := s.worstMasks(ctx, p); err != nil {
		return nil, err
	}
	return p, s.evaluate(ctx, p, o)
}

// worstMasks gathers what a run's segmenters did worst on. A training that is older than the file has none.
func (s *Server) worstMasks(ctx context.Context, p *trainingPage) error {
	for _, t := range p.Tasks {
		if t.Stage != train.SegmenterStage {
			continue
		}
		file, err := s.store.GetNamed(ctx, manifest.Dir(p.Run)+"/"+t.Name+"/"+score.HeldOutDiceFile)
		if errors.Is(err, artifacts.ErrNotFound) {
			continue
		}
		var studies []score.StudyDice
		if err == nil {
			studies, err = score.ReadDice(bytes.NewReader(file))
		}
		if err != nil {
			return fmt.Errorf("training %s: %w", t.Name, err)
		}
		for _, one := range score.Worst(studies) {
			p.WorstMasks = append(p.WorstMasks, worstMask{StudyDice: one, Task: t.Name, Level: slices.Index(one.Dice[:], slices.Min(one.Dice[:]))})
		}
	}
	slices.SortStableFunc(p.WorstMasks, func(a, b worstMask) int { return cmp.Compare(a.Mean, b.Mean) })
	p.WorstMasks = p.WorstMasks[:min(worstMasks, len(p.WorstMasks))]
	return lead(ctx, s, p.WorstMasks, func(w *worstMask) (string, *string) { return w.Study, &w.Path })
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
		if e := &v.Epochs[i]; e.Best && e.Measured() {
			v.Best = e
		}
	}
	if v.Note, err = train.ReadNote(ctx, s.store, row); err != nil {
		return nil, fmt.Errorf("training %s: %w", t.Name, err)
	}
	for _, c := range train.Charts(t.Name, v.Epochs) {
		v.Charts = append(v.Charts, c.SVG())
	}
	return v, nil
}

// overview draws all trainings' measure into one chart.
func (p *trainingPage) overview() {
	c := chart.Lines{X: "epoch", WholeX: true, Title: "Weighted log loss of held-out studies by epoch", Y: "weighted log loss"}
	if p.Stage == train.SegmenterStage {
		c.Title, c.Y = "Mean dice of held-out studies by epoch", "mean dice"
	}
	for i, t := range p.Tasks {
		l := chart.Line{Name: t.Name, Colour: picture.Hex(i % volume.Levels), Dashed: i >= volume.Levels}
		for k := range t.Epochs {
			e := &t.Epochs[k]
			switch v := e.Validation; {
			case !e.Measured():
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
