// Package train trains a network of one of the method's two stages, a segmenter or a classifier: an ONNX model and labelled samples
// in, the model with better weights out.
//
// The loop (Run) is the same for both, and pure: it knows no Beam, no bucket and no flag. What differs is a Stage. The Beam wrapper
// stands in dofn.go.
//
// Invariants:
//   - All that decides how training goes on must be in a Checkpoint, so that a run that is killed and resumed ends with
//     the weights of one that was not, on the same engine and machine. Nothing random may depend on more
//     than the seed and a count of what came before.
//   - A checkpoint must be taken between updates only: gradients that wait, and running statistics that have
//     moved for them, are not part of it.
//   - Held-out studies must not influence a weight; they choose among checkpoints, and nothing else.
//   - A loss or a norm that is not finite ends the run. No weight of such a step is stored.
package train

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
)

// Levels is the number of vertebrae, C1 to C7.
const Levels = volume.Levels

// Matter is what is trained on: a stage, and samples of it.
type Matter[S any] struct {
	Stage Stage[S]
	// Train is what is learned from. Valid, which may be nil, is what is measured on; its epochs should all be equal.
	Train, Valid Samples[S]
}

// Job is what Run does, whatever the stage.
type Job struct {
	// Model is the ONNX file that training starts from.
	Model  []byte
	Engine models.TrainingEngine
	Loop   Loop
	// Threads bounds the engine; 0 means all. It changes no result.
	Threads int
	// Resume is where to go on, nil at the start. Best is the best checkpoint so far, where Resume names one
	// (Progress.BestEpoch) that it is not itself.
	Resume, Best *Checkpoint
	// Answers asks for Result.Validation.
	Answers bool
	Hooks   Hooks
}

// Hooks are called by Run, in its goroutine. Each may be nil. An error ends the run.
type Hooks struct {
	// Save must keep a checkpoint before it returns. best says that it is the best so far as well. The context is
	// not cancelled with the run's.
	Save func(ctx context.Context, c *Checkpoint, best bool) error
	// Step is told of every update.
	Step func(StepInfo)
	// Epoch is told of every epoch's end, with the history up to it. When a run resumes it is told of the history there is.
	Epoch func(history []Epoch) error
}

// StepInfo says where a run is.
type StepInfo struct {
	Epoch, Epochs int // the epoch under way, from 1
	Step, Steps   int // updates of this epoch, done and in all
	Updates       int64
	Samples       int     // that each update takes
	Loss          float64 // of this update
	MeanLoss      float64 // of this process's last 30 updates
	Rate          float64
	Norm          float64 // of the gradient before clipping; 0 where nothing asks for it
}

// Result is a run that came to its end.
type Result struct {
	// Weights are the best epoch's, averaged where the configuration says so, by initializer.
	Weights  map[string][]float32
	Progress Progress
	// Validation is the best epoch's with all that a history does not keep of it. It is nil unless Job.Answers asks for it and
	// samples are held out.
	Validation *Validation
}

// ErrInterrupted is wrapped by the error of a run whose context ended. The error wraps the context's too.
var ErrInterrupted = errors.New("train: interrupted")

// The codes of this package's errors that models lacks.
const (
	CodeDiverged = "diverged" // the loss or the gradient is not finite
	CodeSamples  = "samples"  // there are too few, or they do not fit the model
	CodeResume   = "resume"   // the checkpoint is of another training
)

// Run trains until the configuration's last epoch, or until patience ends. When ctx ends it saves a checkpoint, unless nothing
// happened since the last, and returns an error that wraps ErrInterrupted.
func Run[S any](ctx context.Context, job Job, matter Matter[S]) (Result, error) {
	r, err := newRun(ctx, job, matter)
	if err != nil {
		return Result{}, err
	}
	defer r.trainer.Close()
	if err := r.restore(); err != nil {
		return Result{}, err
	}
	for !r.finished() {
		if err := r.epoch(ctx); err != nil {
			return Result{}, err
		}
	}
	weights := r.best
	if weights == nil {
		if weights, err = r.weights(); err != nil {
			return Result{}, err
		}
	}
	v, err := r.answers(ctx, weights)
	return Result{Weights: weights, Progress: r.progress, Validation: v}, err
}

// run is Run under way.
type run[S any] struct {
	job      Job
	matter   Matter[S]
	loop     Loop
	trainer  models.Trainer
	schedule schedule
	steps    int // updates of an epoch

	progress Progress
	average  *average             // nil unless the configuration asks for one
	best     map[string][]float32 // the best epoch's weights; nil before there is one
	measured *Validation          // the best epoch's; nil where another process measured it
	recent   window
	saved    int64 // updates when a checkpoint was last saved
	savedAt  time.Time
}

func newRun[S any](ctx context.Context, job Job, matter Matter[S]) (*run[S], error) {
	r := &run[S]{job: job, matter: matter, loop: job.Loop, savedAt: time.Now(), saved: -1}
	if err := r.loop.Check(); err != nil {
		return nil, err
	}
	size := r.loop.Batch * r.loop.Accumulate
	r.steps = matter.Train.Len() / size
	if r.loop.Steps > 0 {
		r.steps = min(r.steps, r.loop.Steps)
	}
	if r.steps == 0 {
		return nil, &models.Error{Code: CodeSamples, Detail: fmt.Sprintf("%d samples to train on, and an update takes %d", matter.Train.Len(), size),
			Remedy: "lower Batch or Accumulate, or prepare more studies"}
	}
	r.schedule = r.loop.schedule(r.steps)
	info, err := models.Info(job.Model)
	if err != nil {
		return nil, err
	}
	ports, err := matter.Stage.Ports(info, r.loop.Batch)
	if err != nil {
		return nil, err
	}
	r.trainer, err = job.Engine.CompileTraining(ctx, job.Model, models.TrainingOptions{InputShapes: [][]int{ports.Input}, Loss: ports.Loss,
		AdamW: r.loop.adamW(), Precision: models.Precision(r.loop.Precision), Threads: job.Threads, Seed: r.loop.Seed})
	if err != nil {
		return nil, err
	}
	var outputs [][]int
	for _, port := range r.trainer.Outputs() {
		outputs = append(outputs, port.Shape)
	}
	if !slices.EqualFunc(outputs, ports.Outputs, slices.Equal[[]int]) {
		r.trainer.Close()
		return nil, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("for an input of %v the model's outputs are %v, expected %v", ports.Input, outputs, ports.Outputs)}
	}
	return r, nil
}

// restore puts the run where its checkpoint was taken.
func (r *run[S]) restore() error {
	if r.loop.Average.Decay > 0 {
		r.average = &average{decay: r.loop.Average.Decay}
	}
	c := r.job.Resume
	if c == nil {
		return r.startAverage()
	}
	if c.Progress.Steps != r.steps || c.Progress.Samples != r.matter.Train.Len() || (c.Average == nil) != (r.average == nil) {
		return &models.Error{Code: CodeResume, Detail: fmt.Sprintf("the checkpoint is of %d samples and %d steps an epoch, this training has %d and %d",
			c.Progress.Samples, c.Progress.Steps, r.matter.Train.Len(), r.steps), Remedy: "start this training anew"}
	}
	if err := r.trainer.SetState(c.State); err != nil {
		return err
	}
	r.progress = c.Progress.clone()
	r.saved = r.progress.Updates
	if r.average != nil {
		r.average.weights = cloneWeights(c.Average)
	}
	switch {
	case r.progress.BestEpoch == 0:
	case r.job.Best != nil:
		r.best = r.job.Best.weights()
	case r.progress.BestEpoch == r.progress.Epoch && r.progress.Step == 0:
		r.best = c.weights()
	default:
		return &models.Error{Code: CodeResume, Detail: fmt.Sprintf("the best checkpoint, of epoch %d, is missing", r.progress.BestEpoch)}
	}
	if r.job.Hooks.Epoch != nil && len(r.progress.History) > 0 {
		return r.job.Hooks.Epoch(r.progress.History)
	}
	return nil
}

// startAverage lets the average begin at the initial weights.
func (r *run[S]) startAverage() error {
	r.progress.Steps, r.progress.Samples = r.steps, r.matter.Train.Len()
	if r.average == nil {
		return nil
	}
	s, err := r.trainer.State()
	r.average.weights = s.Weights
	return err
}

// finished tells whether no epoch is left.
func (r *run[S]) finished() bool {
	return r.progress.Epoch >= r.loop.Epochs || r.loop.Patience > 0 && r.progress.Stale >= r.loop.Patience && r.progress.Step == 0
}

// epoch goes on with the epoch under way to its end.
func (r *run[S]) epoch(ctx context.Context) error {
	start := time.Now()
	size := r.loop.Batch * r.loop.Accumulate
	next, stop := iter.Pull2(r.matter.Train.Epoch(ctx, r.progress.Epoch, r.progress.Step*size))
	defer stop()
	samples := make([]S, size)
	for r.progress.Step < r.steps {
		err := ctx.Err()
		if err == nil {
			err = read(next, samples)
		}
		switch {
		case ctx.Err() != nil:
			return r.interrupted(ctx)
		case err != nil:
			return err
		}
		// An update is taken whole: its batches move running statistics, which can't be taken back.
		if err := r.update(context.WithoutCancel(ctx), samples); err != nil {
			return err
		}
		if r.progress.Step < r.steps && r.due() {
			if err := r.save(ctx, false); err != nil {
				return err
			}
		}
	}
	stop()
	return r.endEpoch(ctx, start)
}

func read[S any](next func() (S, error, bool), samples []S) error {
	for i := range samples {
		s, err, ok := next()
		if !ok {
			return &models.Error{Code: CodeSamples, Detail: "an epoch has fewer samples than it says"}
		}
		if err != nil {
			return fmt.Errorf("train: sample %d: %w", i, err)
		}
		samples[i] = s
	}
	return nil
}

// update takes one step of the optimiser.
func (r *run[S]) update(ctx context.Context, samples []S) error {
	var sum float64
	for part := range slices.Chunk(samples, r.loop.Batch) {
		batch, err := r.matter.Stage.Fill(part, r.loop.mix(r.progress.Draws))
		if err != nil {
			return err
		}
		loss, err := r.trainer.Gradients(ctx, batch)
		if err != nil {
			return fmt.Errorf("train: step %d: %w", r.progress.Updates+1, err)
		}
		r.progress.Draws++
		sum += float64(loss)
	}
	loss := sum / float64(r.loop.Accumulate)
	if !finite(loss) {
		return r.diverged("loss", loss)
	}
	rate := r.schedule.rate(r.progress.Updates)
	norm, err := r.trainer.Update(ctx, rate)
	if err != nil {
		return fmt.Errorf("train: step %d: %w", r.progress.Updates+1, err)
	}
	if !finite(norm) {
		return r.diverged("gradient's norm", norm)
	}
	p := &r.progress
	p.Updates++
	p.Step++
	p.LossSum += loss
	p.NormSum += norm
	r.recent.add(loss)
	if r.average != nil && p.Updates%int64(r.loop.Average.Every) == 0 {
		s, err := r.trainer.State()
		if err != nil {
			return err
		}
		r.average.add(s.Weights, p.Updates/int64(r.loop.Average.Every))
	}
	if r.job.Hooks.Step != nil {
		r.job.Hooks.Step(StepInfo{Epoch: p.Epoch + 1, Epochs: r.loop.Epochs, Step: p.Step, Steps: r.steps, Updates: p.Updates,
			Samples: len(samples), Loss: loss, MeanLoss: r.recent.mean(), Rate: rate, Norm: norm})
	}
	return nil
}

func (r *run[S]) diverged(what string, value float64) error {
	return &models.Error{Code: CodeDiverged, Detail: fmt.Sprintf("the %s is %g at step %d", what, value, r.progress.Updates+1),
		Remedy: "lower the learning rate, set ClipNorm or a longer warmup"}
}

// endEpoch measures the epoch that ends, and saves.
func (r *run[S]) endEpoch(ctx context.Context, start time.Time) error {
	p := &r.progress
	e := Epoch{Epoch: p.Epoch + 1, Updates: p.Updates, Rate: r.schedule.rate(p.Updates - 1),
		Loss: p.LossSum / float64(r.steps), Norm: p.NormSum / float64(r.steps)}
	last := e.Epoch == r.loop.Epochs
	best := false
	if r.matter.Valid != nil && r.matter.Valid.Len() > 0 && (last || e.Epoch%r.loop.Validate.Every == 0) {
		v, err := r.validate(ctx)
		if ctx.Err() != nil {
			return r.interrupted(ctx)
		}
		if err != nil {
			return err
		}
		e.Validation = v
		best = p.BestEpoch == 0 || v.Better(p.History[p.BestEpoch-1].Validation)
		p.Stale += r.loop.Validate.Every
		if best {
			r.measured = v
			p.BestEpoch, p.Stale = e.Epoch, 0
		}
	}
	e.Best = best
	e.Seconds = time.Since(start).Seconds()
	e.Time = float64(time.Now().UnixMilli()) / 1000
	p.History = append(p.History, e)
	p.Epoch, p.Step, p.LossSum, p.NormSum = e.Epoch, 0, 0, 0
	if best {
		weights, err := r.weights()
		if err != nil {
			return err
		}
		r.best = weights
	}
	if err := r.save(ctx, best); err != nil {
		return err
	}
	if r.job.Hooks.Epoch != nil {
		return r.job.Hooks.Epoch(p.History)
	}
	return nil
}

// weights returns a copy of what would be exported now.
func (r *run[S]) weights() (map[string][]float32, error) {
	if r.average != nil {
		return cloneWeights(r.average.weights), nil
	}
	s, err := r.trainer.State()
	return s.Weights, err
}

// due tells whether it is time for a checkpoint inside an epoch.
func (r *run[S]) due() bool {
	k := r.loop.Checkpoint
	return k.Steps > 0 && r.progress.Updates-r.saved >= int64(k.Steps) || k.Minutes > 0 && time.Since(r.savedAt).Minutes() >= k.Minutes
}

func (r *run[S]) save(ctx context.Context, best bool) error {
	r.saved, r.savedAt = r.progress.Updates, time.Now()
	if r.job.Hooks.Save == nil {
		return nil
	}
	s, err := r.trainer.State()
	if err != nil {
		return err
	}
	c := &Checkpoint{State: s, Progress: r.progress.clone()}
	if r.average != nil {
		c.Average = cloneWeights(r.average.weights)
	}
	if err := r.job.Hooks.Save(context.WithoutCancel(ctx), c, best); err != nil {
		return fmt.Errorf("train: checkpoint at step %d: %w", r.progress.Updates, err)
	}
	return nil
}

// interrupted saves what is not saved yet.
func (r *run[S]) interrupted(ctx context.Context) error {
	err := fmt.Errorf("%w at step %d: %w", ErrInterrupted, r.progress.Updates, context.Cause(ctx))
	if r.progress.Updates == max(r.saved, 0) {
		return err
	}
	return errors.Join(err, r.save(ctx, false))
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// window is the mean of the last losses, for people: it is no part of a checkpoint.
type window struct {
	values [30]float64
	n      int
}

func (w *window) add(v float64) {
	w.values[w.n%len(w.values)] = v
	w.n++
}

func (w *window) mean() float64 {
	n := min(w.n, len(w.values))
	sum := 0.0
	for _, v := range w.values[:n] {
		sum += v
	}
	return sum / float64(max(n, 1))
}
