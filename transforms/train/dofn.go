package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/shard"
)

func init() {
	beam.RegisterType(reflect.TypeFor[Task]())
	register.DoFn3x0[context.Context, []byte, func(Task)](&ListFn{})
	register.DoFn3x1[context.Context, Task, func(artifacts.Row), error](&DoFn{})
	register.Emitter1[Task]()
}

// Version and ClassifierVersion are raised when equal data, models and settings may give other weights, of a segmenter and of a
// classifier. They belong to the recipe.
const (
	Version           = 1
	ClassifierVersion = 1
)

// The stages that a task may train.
const (
	SegmenterStage  = "segmenter"
	ClassifierStage = "classifier"
)

// NoFold is the fold of a task that learns from all studies and holds none out.
const NoFold = -1

// CodeInterrupted is the reason of a training that was told to stop.
const CodeInterrupted refusal.Code = "interrupted"

// Task is one training of a pipeline: the element that travels.
type Task struct {
	// Stage is SegmenterStage or ClassifierStage.
	Stage string
	// Model is the digest of the ONNX file, in the store, that training starts from.
	Model string
	// Fold is held out; see NoFold.
	Fold int
	// Seed takes the place of the configuration's.
	Seed int
	// Config is a SegmenterConfig or a ClassifierConfig as JSON.
	Config string
}

// Name is what a task is called in reports and in the names of its files.
func (t Task) Name() string {
	fold := "all"
	if t.Fold != NoFold {
		fold = "fold" + strconv.Itoa(t.Fold)
	}
	return fmt.Sprintf("%s-seed%d", fold, uint64(t.Seed))
}

// folds chooses what is learned from and what is held out, which is nil where nothing is.
func (t Task) folds() (learned, held load.Selection) {
	if t.Fold == NoFold {
		return load.All(), nil
	}
	return load.AllBut(t.Fold), load.Only(t.Fold)
}

// ListFn emits the tasks of a pipeline.
type ListFn struct{ Tasks []Task }

// ProcessElement takes the impulse.
func (f *ListFn) ProcessElement(_ context.Context, _ []byte, emit func(Task)) {
	for _, t := range f.Tasks {
		emit(t)
	}
}

// DoFn trains one task.
type DoFn struct {
	transforms.Site
	// Dataset is the name of a data set in the store: of volumes for segmenters, of crops for classifiers.
	Dataset string
	// Engine is a name that engines.Find takes.
	Engine string
	// Run is what the records and the models are filed under: runs/<run>/<task>/…
	Run string
	// Logs is a local folder that gets the records too, by task. Empty means none.
	Logs string
	// Threads bounds the engine's; 0 means all.
	Threads int
}

// oneAtATime: each training uses all threads of a process.
var oneAtATime sync.Mutex

// findEngine is a variable for tests.
var findEngine = engines.FindTraining

// ProcessElement reports the model that the task gave.
func (f *DoFn) ProcessElement(ctx context.Context, task Task, outcome func(artifacts.Row)) error {
	store, err := f.OpenStore(ctx)
	if err != nil {
		return err
	}
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	_, err = transforms.Run(ctx, store, "train", task.Name(), outcome, func(r *transforms.Report) error {
		ctx, release := endable(ctx)
		defer release()
		return refuse(f.train(ctx, r, task))
	})
	return err
}

// refuse gives an error its reason code and remedy.
func refuse(err error) error {
	var wrong *models.Error
	switch {
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return refusal.New(CodeInterrupted, "run the same command again: it goes on from the last checkpoint", "%w", err)
	case errors.As(err, &wrong):
		return refusal.New(refusal.Code(wrong.Code), wrong.Remedy, "%s", wrong.Detail)
	}
	return err
}

// training is one task with all that it needs.
type training struct {
	*DoFn
	lesson
	task   Task
	store  *artifacts.Store
	engine models.TrainingEngine
	model  artifacts.Digest
	recipe artifacts.Recipe
}

// lesson is what a task's stage has of its own: settings, data, and what is said of the model.
type lesson struct {
	loop Loop
	// settings are those that a result depends on, as JSON.
	settings []byte
	version  int
	// stage is what the recipe says of it; empty for segmenters, whose recipes are older than classifiers.
	stage    string
	manifest *shard.Manifest
	// studies is the number of those to learn from, unlabelled that of the samples that were left out since nothing is known of them.
	studies, unlabelled int
	// run runs the loop on the task's samples.
	run func(ctx context.Context, job Job) (Result, error)
	// properties are what a model's metadata says besides, of its validation too, which may be nil. An empty one is taken away.
	properties func(*Validation) map[string]string
	// files are published with the model, by name, where studies are held out. Nil makes none.
	files func(*Validation) (map[string][]byte, error)
}

func (f *DoFn) train(ctx context.Context, r *transforms.Report, task Task) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := f.open(ctx, r.Store, task)
	if err != nil {
		return err
	}
	res, err := r.Do(ctx, "", t.recipe, t.compute)
	if err != nil {
		return err
	}
	if err := r.Store.PublishFile(ctx, ModelKey(f.Run, task), res.Output.Digest); err != nil {
		return transforms.Fatal(err)
	}
	var note Note
	if err := json.Unmarshal(res.Note, &note); err != nil {
		return fmt.Errorf("train: note of the model: %w", err)
	}
	if err := t.publishFiles(ctx, note); err != nil {
		return err
	}
	if res.Hit {
		if err := t.recordKnown(ctx, note); err != nil {
			return err
		}
	}
	observe(Event{Task: task, Done: true, Cached: res.Hit})
	return nil
}

// publishFiles puts what is published with the model beside it.
func (t *training) publishFiles(ctx context.Context, note Note) error {
	for _, name := range slices.Sorted(maps.Keys(note.Files)) {
		d, err := artifacts.ParseDigest(note.Files[name])
		if err != nil {
			return err
		}
		data, err := t.store.Get(ctx, d)
		if errors.Is(err, artifacts.ErrNotFound) {
			continue // cleaned away; the model is there
		}
		if err == nil {
			err = t.store.PutNamed(ctx, Dir(t.Run, t.task)+"/"+name, data)
		}
		if err != nil {
			return transforms.Fatal(err)
		}
	}
	return nil
}

// ModelKey is where a run's model of a task lies in the store.
func ModelKey(run string, task Task) string { return Dir(run, task) + "/" + task.Stage + ".onnx" }

// Dir is where the records of a run's task lie in the store.
func Dir(run string, task Task) string { return "runs/" + run + "/" + task.Name() }

func (f *DoFn) open(ctx context.Context, store *artifacts.Store, task Task) (*training, error) {
	t := &training{DoFn: f, task: task, store: store}
	var err error
	if t.model, err = artifacts.ParseDigest(task.Model); err != nil {
		return nil, err
	}
	switch task.Stage {
	case SegmenterStage:
		t.lesson, err = f.segmenter(ctx, store, task)
	case ClassifierStage:
		t.lesson, err = f.classifier(ctx, store, task, t.model)
	default:
		err = fmt.Errorf("train: there is no stage %q", task.Stage)
	}
	if err != nil {
		return nil, err
	}
	if t.engine, err = findEngine(f.Engine); err != nil {
		return nil, err
	}
	if !slices.Contains(t.engine.Precisions(), models.Precision(t.loop.Precision)) {
		return nil, &models.Error{Code: models.CodePrecision, Detail: fmt.Sprintf("%q is asked for, %s has %q here", t.loop.Precision, t.engine.Name(), t.engine.Precisions())}
	}
	t.recipe, err = t.describe()
	return t, err
}

// initial reads the model that training starts from.
func initial(ctx context.Context, store *artifacts.Store, model artifacts.Digest) ([]byte, error) {
	file, err := store.Get(ctx, model)
	if err != nil {
		return nil, fmt.Errorf("the initial model: %w", err)
	}
	return file, nil
}

// emptyFold says that no study, or none that is such, is held out.
func (f *DoFn) emptyFold(such string, task Task) error {
	return &models.Error{Code: CodeSamples, Detail: fmt.Sprintf("no study %sof data set %s is in fold %d", such, f.Dataset, task.Fold)}
}

// describe makes the recipe of a task.
func (t *training) describe() (artifacts.Recipe, error) {
	r := artifacts.Recipe{Transform: "train", Version: t.version,
		Params: []artifacts.Param{{Name: "config", Value: string(t.settings)}, {Name: "engine", Value: t.engine.Identity()},
			{Name: "fold", Value: strconv.Itoa(t.task.Fold)}},
		Inputs: []artifacts.Input{{Name: "model", Digest: t.model}}}
	if t.stage != "" {
		r.Params = append(r.Params, artifacts.Param{Name: "stage", Value: t.stage})
	}
	for _, p := range t.manifest.Shards {
		d, err := artifacts.ParseDigest(p.SHA256)
		if err != nil {
			return r, err
		}
		r.Inputs = append(r.Inputs, artifacts.Input{Name: p.File, Digest: d})
	}
	return r, nil
}

// Note is what a training's record remembers beside the model.
type Note struct {
	Fold  int `json:"fold"`
	Train int `json:"train_studies"`
	// Unlabelled is the number of samples that nothing is known of, and that were left out.
	Unlabelled int `json:"unlabelled,omitempty"`
	Epochs     int `json:"epochs"`
	BestEpoch  int `json:"best_epoch,omitempty"`
	// Validation is the best epoch's; nil where no study is held out.
	Validation *Validation `json:"validation,omitempty"`
	// Last and Best are the digests of the checkpoints, History that of the metrics as JSON lines.
	Last    string `json:"last_checkpoint"`
	Best    string `json:"best_checkpoint,omitempty"`
	History string `json:"history"`
	// Files are the digests of what is published with the model, by name.
	Files map[string]string `json:"files,omitempty"`
}

// ReadNote returns what the record of a training remembers that a manifest's row names; nil if the training is not done, or its record is gone.
func ReadNote(ctx context.Context, store *artifacts.Store, row artifacts.Row) (*Note, error) {
	if row.Digest == "" || row.Recipe == "" {
		return nil, nil
	}
	recipe, err := artifacts.ParseDigest(row.Recipe)
	if err != nil {
		return nil, err
	}
	record, ok, err := store.Lookup(ctx, recipe)
	if err != nil || !ok || len(record.Note) == 0 {
		return nil, err
	}
	var note Note
	return &note, json.Unmarshal(record.Note, &note)
}

// compute trains, and returns the model.
func (t *training) compute(ctx context.Context) (artifacts.Content, error) {
	file, err := initial(ctx, t.store, t.model)
	if err != nil {
		return artifacts.Content{}, err
	}
	model, err := onnx.Parse(file)
	if err != nil {
		return artifacts.Content{}, &models.Error{Code: models.CodeNotONNX, Detail: err.Error()}
	}
	keep := &keeper{store: t.store, recipe: t.recipe.Digest(), shapes: shapes(model)}
	last, best, err := keep.load(ctx)
	if err != nil {
		return artifacts.Content{}, err
	}
	if last != nil {
		p := last.Progress.clone()
		observe(Event{Task: t.task, Resumed: &p})
	}
	rec := &recorder{store: t.store, dir: Dir(t.Run, t.task), logs: t.Logs, task: t.task}
	result, err := t.run(ctx, Job{Model: file, Engine: t.engine, Loop: t.loop, Threads: t.Threads,
		Resume: last, Best: best, Hooks: Hooks{
			Save: keep.save,
			Step: func(s StepInfo) { observe(Event{Task: t.task, Step: &s}) },
			Epoch: func(history []Epoch) error {
				observe(Event{Task: t.task, History: history})
				return rec.write(ctx, history)
			},
		}})
	if err != nil {
		return artifacts.Content{}, err
	}
	return t.export(ctx, file, keep.pointer, result)
}

// export makes the artifact of a training that has ended.
func (t *training) export(ctx context.Context, initial []byte, p Pointer, result Result) (artifacts.Content, error) {
	history := result.Progress.History
	lines, err := Lines(history)
	if err != nil {
		return artifacts.Content{}, err
	}
	metrics, err := t.store.Put(ctx, artifacts.Content{Data: lines})
	if err != nil {
		return artifacts.Content{}, err
	}
	note := Note{Fold: t.task.Fold, Train: t.studies, Unlabelled: t.unlabelled, Epochs: len(history), BestEpoch: result.Progress.BestEpoch, Last: p.Last, Best: p.Best, History: metrics.Digest.String()}
	if note.BestEpoch > 0 {
		note.Validation = history[note.BestEpoch-1].Validation
	}
	if t.files != nil && result.Validation != nil {
		if err := t.keepFiles(ctx, &note, result.Validation); err != nil {
			return artifacts.Content{}, err
		}
	}
	text, err := json.Marshal(note)
	if err != nil {
		return artifacts.Content{}, err
	}
	file, err := t.file(initial, result, note)
	return artifacts.Content{Data: file, Encoding: artifacts.Identity, Note: text}, err
}

// keepFiles stores what is published with the model.
func (t *training) keepFiles(ctx context.Context, note *Note, v *Validation) error {
	files, err := t.files(v)
	if err != nil {
		return fmt.Errorf("train: held-out studies: %w", err)
	}
	note.Files = map[string]string{}
	for name, data := range files {
		out, err := t.store.Put(ctx, artifacts.Content{Data: data})
		if err != nil {
			return err
		}
		note.Files[name] = out.Digest.String()
	}
	return nil
}

// file is the model with the weights that were trained, and where they come from. It names no machine and no time: equal weights
// make equal bytes.
func (t *training) file(initial []byte, result Result, note Note) ([]byte, error) {
	trained, err := onnx.WithWeights(initial, result.Weights)
	if err != nil {
		return nil, err
	}
	set := t.properties(note.Validation)
	maps.Copy(set, map[string]string{"cspine.training": t.recipe.Digest().String(), "cspine.dataset": t.Dataset, "cspine.config": artifacts.DigestOf(t.settings).String(),
		"cspine.initial_model": t.model.String(), "cspine.fold": strconv.Itoa(t.task.Fold), "cspine.epoch": strconv.Itoa(note.Epochs)})
	shards, err := artifacts.DigestOfJSON(t.recipe.Inputs[1:])
	if err != nil {
		return nil, err
	}
	set["cspine.shards"] = shards.String()
	if note.Validation != nil {
		set["cspine.epoch"] = strconv.Itoa(note.BestEpoch)
	}
	return onnx.WithMetadata(trained, set)
}

// recordKnown writes the records of a training that another run made.
func (t *training) recordKnown(ctx context.Context, note Note) error {
	d, err := artifacts.ParseDigest(note.History)
	if err != nil {
		return err
	}
	lines, err := t.store.Get(ctx, d)
	if errors.Is(err, artifacts.ErrNotFound) {
		return nil // cleaned away; the model is there
	}
	if err != nil {
		return err
	}
	history, err := ReadLines(lines)
	if err != nil {
		return err
	}
	rec := &recorder{store: t.store, dir: Dir(t.Run, t.task), logs: t.Logs, task: t.task}
	return rec.write(ctx, history)
}

// shapes returns the dimensions of a model's constants.
func shapes(m *onnx.Model) map[string][]int {
	out := map[string][]int{}
	for _, t := range m.Graph.Initializers {
		dims := make([]int, len(t.Dims))
		for i, d := range t.Dims {
			dims[i] = int(d)
		}
		out[t.Name] = dims
	}
	return out
}
