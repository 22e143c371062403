package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/train"
)

func newTrain() *cobra.Command {
	c := &cobra.Command{Use: "train", Short: "Train a model on a data set"}
	c.AddCommand(newTrainSegmenter(), newTrainClassifier())
	return c
}

// trainFlags are those that both stages have.
type trainFlags struct {
	store, dataset, config, fold, engine, name, model, weights, out, logs string
	runner                                                                runnerFlags

	folds   bool
	seed    uint64
	threads int
	json    bool
}

// trainStage is what a command has of its own.
type trainStage struct {
	name string // train.SegmenterStage or train.ClassifierStage
	// task is what its data sets are for, and prepare what 'cspine prepare' is told to make them; empty where it makes them unasked.
	task, prepare string
	// networks are the names that --model takes, the default first.
	networks []string
	// settings reads --config. config is encoded as JSON for tasks, loop is its part that both stages have.
	settings func(path string) (config any, loop *train.Loop, err error)
	// build makes a network by its name, check says what is wrong with a model, and may complete the flags by what it is.
	build func(name string, config any) ([]byte, error)
	check func(file []byte) error
}

func (t *trainFlags) add(f *pflag.FlagSet, s *trainStage, dataset, run string) {
	f.StringVar(&t.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&t.dataset, "dataset", "", "name of a data set of "+dataset+" in the store")
	f.StringVar(&t.config, "config", "", "settings, as TOML (see docs/training.md)")
	f.StringVar(&t.fold, "fold", "0", "the fold to hold out and measure on, or 'none' to learn from all studies")
	f.BoolVar(&t.folds, "folds", false, "train a model for each fold of the data set")
	f.StringVar(&t.engine, "engine", engines.Auto, "one of "+strings.Join(engines.Names(engines.Training), ", "))
	f.StringVar(&t.name, "run", "", "name of the run (default: "+run+")")
	f.Uint64Var(&t.seed, "seed", 1, "decides everything random, in place of the configuration's")
	f.StringVar(&t.model, "model", s.networks[0], "an ONNX file to start from, or a network: "+strings.Join(s.networks, ", "))
	f.StringVar(&t.weights, "weights", "", "an ONNX file whose weights to begin with, wherever names and shapes are the model's own (with --folds: FILE-fold0.onnx, …, where they are there)")
	f.StringVar(&t.out, "out", "", "write the trained model to this file too (with --folds: FILE-fold0.onnx, …)")
	f.StringVar(&t.logs, "logs", "", "write the records to this local folder too")
	f.IntVar(&t.threads, "threads", 0, "threads of the engine (default: all); changes no result")
	t.runner.add(f)
	f.BoolVar(&t.json, "json", false, "write the summary as JSON, no progress")
}

func (t *trainFlags) check(s *trainStage) error {
	for _, f := range []struct{ flag, value, what string }{
		{"--store", t.store, "where artifacts are kept"},
		{"--dataset", t.dataset, "the data set to learn from; 'cspine prepare " + s.prepare + "--run NAME' makes one"},
	} {
		if f.value == "" {
			return usage("%s is missing: %s; see 'cspine train %s --help'", f.flag, f.what, s.name)
		}
	}
	for _, f := range []struct{ flag, value string }{{"--dataset", t.dataset}, {"--run", t.name}} {
		if f.value != "" && !runName.MatchString(f.value) {
			return usage("%s %q: use letters, digits, '.', '_' and '-'", f.flag, f.value)
		}
	}
	if !slices.Contains(engines.Names(engines.Training), t.engine) {
		return usage("--engine %q is not one of %s", t.engine, strings.Join(engines.Names(engines.Training), ", "))
	}
	if err := t.runner.check(); err != nil {
		return err
	}
	return t.runner.reachable(flagValue{"--store", t.store, "cspine"})
}

func (t *trainFlags) run(c *cobra.Command, s *trainStage) error {
	if err := t.check(s); err != nil {
		return err
	}
	cfg, loop, err := s.settings(t.config)
	if err != nil {
		return usage("%w", err)
	}
	if c.Flags().Changed("seed") {
		loop.Seed = t.seed
	}
	ctx := c.Context()
	t.store = absolute(t.store)
	store, err := openStore(ctx, t.store)
	if err != nil {
		return err
	}
	defer store.Close()
	if !t.runner.dry {
		end, err := announce(c, store, "train on data set "+t.dataset)
		if err != nil {
			return err
		}
		defer end()
	}
	tasks, err := t.tasks(ctx, store, s, cfg, loop)
	if err != nil {
		return err
	}
	// Find out now what would fail each task.
	if _, err := engines.FindTraining(t.engine); err != nil && t.runner.InProcess() {
		return err
	}
	file, err := t.initial(s, cfg)
	if err != nil {
		return err
	}
	for i := range tasks {
		if tasks[i].Model, err = t.begin(ctx, c.ErrOrStderr(), store, file, tasks[i].Fold); err != nil {
			return err
		}
	}
	if t.name == "" {
		t.name = t.dataset
	}
	opts := pipelines.TrainOptions{Site: transforms.Site{Store: t.store}, Run: t.name, ID: runID() + ".train",
		Dataset: t.dataset, Engine: t.engine, Threads: t.threads, Tasks: tasks}
	if t.logs != "" {
		opts.Logs = absolute(t.logs)
	}
	if t.runner.dry {
		return t.runner.printJob(ctx, c.OutOrStdout(), opts.Run, opts.ID, func(s beam.Scope) { pipelines.Train(s, opts) })
	}
	leaveMemory()
	if err := t.train(ctx, c.ErrOrStderr(), opts, loop.Epochs); err != nil {
		return err
	}
	return t.conclude(ctx, c.OutOrStdout(), store, opts)
}

// train runs the pipeline. An embedded training is told to stop by ctx itself, and saves a checkpoint then; the runner must not end before.
func (t *trainFlags) train(ctx context.Context, out io.Writer, opts pipelines.TrainOptions, epochs int) error {
	outer := ctx
	if t.runner.InProcess() {
		defer train.EndWith(ctx)()
		outer = context.WithoutCancel(ctx)
		show := newTrainProgress(out, t.json, len(opts.Tasks), epochs)
		defer train.Observe(show.observe)()
		defer show.done()
	}
	t.runner.Job = jobName(opts.Run, opts.ID)
	return t.runner.Run(outer, func(s beam.Scope) { pipelines.Train(s, opts) })
}

// readSettings reads the file over the settings in cfg, and checks them. preset takes those that the file's preset stands for.
func readSettings[C interface{ Check() error }](path string, cfg *C, preset func() error) error {
	if path == "" {
		return nil
	}
	// Twice: what the file says of augmentation overrules the preset that it names.
	if _, err := toml.DecodeFile(path, cfg); err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	if err := preset(); err != nil {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	meta, err := toml.DecodeFile(path, cfg)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("--config %s: there is no setting %s", path, unknown[0])
	}
	if err := (*cfg).Check(); err != nil {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	return nil
}

// tasks makes one task for each fold that is asked for.
func (t *trainFlags) tasks(ctx context.Context, store *artifacts.Store, s *trainStage, cfg any, loop *train.Loop) ([]train.Task, error) {
	m, err := load.Manifest(ctx, store, t.dataset, s.task)
	if err != nil {
		return nil, err
	}
	there := m.Folds()
	chosen := there
	switch {
	case t.folds:
	case t.fold == "none":
		chosen = []int{train.NoFold}
	default:
		k, err := strconv.Atoi(t.fold)
		if err != nil || !slices.Contains(there, k) {
			return nil, usage("--fold %q is not one of %v, the folds of data set %s, nor 'none'", t.fold, there, t.dataset)
		}
		chosen = []int{k}
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	var tasks []train.Task
	for _, k := range chosen {
		tasks = append(tasks, train.Task{Stage: s.name, Fold: k, Seed: int(loop.Seed), Config: string(text)})
	}
	return tasks, nil
}

// initial returns the model that training starts from, but for --weights.
func (t *trainFlags) initial(s *trainStage, cfg any) ([]byte, error) {
	var file []byte
	var err error
	if slices.Contains(s.networks, t.model) {
		file, err = s.build(t.model, cfg)
	} else {
		file, err = models.ReadFile(t.model)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, usage("--model %s: there is no such file, and no such network; networks are %s", t.model, strings.Join(s.networks, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("--model %s: %w", t.model, err)
	}
	if err := s.check(file); err != nil {
		return nil, usage("--model %s: %w", t.model, err)
	}
	return file, nil
}

// begin puts the model that a fold's training starts from into the store, with the weights that --weights says, and returns its digest.
func (t *trainFlags) begin(ctx context.Context, say io.Writer, store *artifacts.Store, model []byte, fold int) (string, error) {
	if t.weights != "" {
		name := t.weights
		if of := ofFold(name, fold); t.folds && exists(of) {
			name = of
		}
		other, err := models.ReadFile(name)
		if err != nil {
			return "", usage("--weights %s: %w", name, err)
		}
		var taken, all int
		if model, taken, all, err = withWeightsOf(model, other); err != nil {
			return "", usage("--weights %s: %w", name, err)
		}
		if !t.json {
			fmt.Fprintf(say, "--weights %s: %d of the model's %d tensors are taken\n", name, taken, all)
		}
		if properties, err := onnx.Metadata(other); err == nil && fold != train.NoFold && properties["cspine.dataset"] == t.dataset &&
			properties["cspine.fold"] != strconv.Itoa(fold) {
			fmt.Fprintf(say, "--weights %s: it has learned from studies of %s that fold %d holds out: what is measured on them will be too good\n", name, t.dataset, fold)
		}
	}
	if t.runner.dry {
		return artifacts.DigestOf(model).String(), nil
	}
	out, err := store.Put(ctx, artifacts.Content{Data: model})
	return out.Digest.String(), err
}

// ofFold is the name of a fold's file among those of --folds.
func ofFold(name string, fold int) string {
	ext := filepath.Ext(name)
	return strings.TrimSuffix(name, ext) + "-fold" + strconv.Itoa(fold) + ext
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// withWeightsOf returns the model with those weights of another file that have its names and shapes, and how many of its own they are.
func withWeightsOf(model, other []byte) (file []byte, taken, all int, err error) {
	from, err := onnx.Parse(other)
	if err != nil {
		return nil, 0, 0, err
	}
	to, err := onnx.Parse(model)
	if err != nil {
		return nil, 0, 0, err
	}
	to.Untie()
	own, values := to.Weights(), map[string][]float32{}
	for name, w := range from.Weights() {
		if mine, ok := own[name]; ok && slices.Equal(mine.Dims, w.Dims) {
			values[name] = w.Values
		}
	}
	if len(values) == 0 {
		return nil, 0, 0, errors.New("none of its weights has a name and a shape of the model's: it is of another network")
	}
	file, err = onnx.WithWeights(model, values)
	return file, len(values), len(own), err
}
