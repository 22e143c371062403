package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/train"
)

func newTrain() *cobra.Command {
	c := &cobra.Command{Use: "train", Short: "Train a model on a data set"}
	c.AddCommand(newTrainSegmenter())
	return c
}

type trainFlags struct {
	store, dataset, config, fold, engine, name, model, weights, out, logs string
	runner, accelerator                                                   string

	folds     bool
	seed      uint64
	threads   int
	beamFlags []string
	json      bool
}

func newTrainSegmenter() *cobra.Command {
	var t trainFlags
	var names []string
	for _, n := range nets.Networks {
		names = append(names, n.Name)
	}
	c := &cobra.Command{
		Use:   "segmenter --store URL --dataset NAME",
		Short: "Train stage 1: the network that finds the seven vertebrae",
		Long: `Train a segmenter on a data set that 'cspine prepare --task segmentation' made:
ONNX in, ONNX out.

A training is known by its data, its initial model, its configuration and its
engine. One that is done is not repeated, and one that was stopped, by Ctrl-C or
by kill -9, goes on from its last checkpoint when the same command runs again; it
ends with the weights that it would have had (same engine, same machine).

The store gets, under runs/RUN/fold0-seed1/: segmenter.onnx, metrics.jsonl, a
TensorBoard event file and curves.png. See docs/training.md.

Exit status: 0 all good, 1 failed or interrupted, 2 wrong usage.`,
		Example: `  cspine train segmenter --store store --dataset neck --out segmenter.onnx
  cspine train segmenter --store store --dataset neck --folds --config train.toml --run five`,
		RunE: func(c *cobra.Command, _ []string) error { return t.run(c) },
	}
	f := c.Flags()
	f.StringVar(&t.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&t.dataset, "dataset", "", "name of a segmentation data set in the store")
	f.StringVar(&t.config, "config", "", "settings, as TOML (see docs/training.md)")
	f.StringVar(&t.fold, "fold", "0", "the fold to hold out and measure on, or 'none' to learn from all studies")
	f.BoolVar(&t.folds, "folds", false, "train a model for each fold of the data set")
	f.StringVar(&t.engine, "engine", engines.Auto, "one of "+strings.Join(engines.Names(engines.Training), ", "))
	f.StringVar(&t.name, "run", "", "name of the run (default: the data set's)")
	f.Uint64Var(&t.seed, "seed", 1, "decides everything random, in place of the configuration's")
	f.StringVar(&t.model, "model", names[0], "an ONNX file to start from, or a network: "+strings.Join(names, ", "))
	f.StringVar(&t.weights, "weights", "", "an ONNX file of the same network, in any size, whose weights to begin with")
	f.StringVar(&t.out, "out", "", "write the trained model to this file too (with --folds: FILE-fold0.onnx, …)")
	f.StringVar(&t.logs, "logs", "", "write the records to this local folder too")
	f.IntVar(&t.threads, "threads", 0, "threads of the engine (default: all); changes no result")
	f.StringVar(&t.runner, "runner", "prism", "where it runs: prism (embedded), flink, dataflow or direct")
	f.StringVar(&t.accelerator, "accelerator", "", "for Dataflow, such as 'type:nvidia-l4;count:1;install-nvidia-driver'")
	f.StringArrayVar(&t.beamFlags, "beam", nil, "a flag for Beam, such as --beam=--parallelism=4")
	f.BoolVar(&t.json, "json", false, "write the summary as JSON, no progress")
	return c
}

func (t *trainFlags) check() error {
	for _, f := range []struct{ flag, value, what string }{
		{"--store", t.store, "where artifacts are kept"},
		{"--dataset", t.dataset, "the data set to learn from; 'cspine prepare --task segmentation --run NAME' makes one"},
	} {
		if f.value == "" {
			return usage("%s is missing: %s; see 'cspine train segmenter --help'", f.flag, f.what)
		}
	}
	if t.name == "" {
		t.name = t.dataset
	}
	for _, f := range []struct{ flag, value string }{{"--dataset", t.dataset}, {"--run", t.name}} {
		if !runName.MatchString(f.value) {
			return usage("%s %q: use letters, digits, '.', '_' and '-'", f.flag, f.value)
		}
	}
	if !slices.Contains(engines.Names(engines.Training), t.engine) {
		return usage("--engine %q is not one of %s", t.engine, strings.Join(engines.Names(engines.Training), ", "))
	}
	if !slices.Contains(pipelines.Runners, t.runner) {
		return usage("--runner %q is not one of %v", t.runner, pipelines.Runners)
	}
	return nil
}

func (t *trainFlags) run(c *cobra.Command) error {
	if err := t.check(); err != nil {
		return err
	}
	cfg, err := readTrainConfig(t.config)
	if err != nil {
		return usage("%w", err)
	}
	if c.Flags().Changed("seed") {
		cfg.Seed = t.seed
	}
	ctx := c.Context()
	t.store = absolute(t.store)
	store, err := artifacts.Open(ctx, t.store, &artifacts.Options{MustExist: true})
	if err != nil {
		return err
	}
	defer store.Close()
	tasks, err := t.tasks(ctx, store, cfg)
	if err != nil {
		return err
	}
	// Find out now what would fail each task.
	if _, err := engines.FindTraining(t.engine); err != nil && t.embedded() {
		return err
	}
	model, err := t.initial(ctx, store, cfg)
	if err != nil {
		return err
	}
	opts := pipelines.TrainOptions{Site: transforms.Site{Store: t.store}, Run: t.name, ID: time.Now().UTC().Format("20060102T150405.000Z") + ".train",
		Dataset: t.dataset, Model: model, Engine: t.engine, Threads: t.threads, Tasks: tasks}
	if t.logs != "" {
		opts.Logs = absolute(t.logs)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(math.MaxInt64) // a training's buffers are large, and are used again
	}
	if err := t.train(ctx, c.ErrOrStderr(), opts, cfg); err != nil {
		return err
	}
	return t.conclude(ctx, c.OutOrStdout(), store, opts)
}

// embedded tells whether training happens in this process.
func (t *trainFlags) embedded() bool { return t.runner == "prism" || t.runner == "direct" }

// train runs the pipeline. An embedded training is told to stop by ctx itself, and saves a checkpoint then; the runner must not end before.
func (t *trainFlags) train(ctx context.Context, out io.Writer, opts pipelines.TrainOptions, cfg train.SegmenterConfig) error {
	outer := ctx
	if t.embedded() {
		defer train.EndWith(ctx)()
		outer = context.WithoutCancel(ctx)
		show := newTrainProgress(out, t.json, len(opts.Tasks), cfg)
		defer train.Observe(show.observe)()
		defer show.done()
	}
	return pipelines.Run(outer, t.runner, append(pipelines.AcceleratorFlags(t.accelerator), t.beamFlags...), func(s beam.Scope) error {
		pipelines.Train(s, opts)
		return nil
	})
}

// readTrainConfig reads settings over the default ones.
func readTrainConfig(path string) (train.SegmenterConfig, error) {
	cfg := train.DefaultSegmenter()
	if path == "" {
		return cfg, nil
	}
	// Twice: what the file says of augmentation overrules the preset that it names.
	if _, err := toml.DecodeFile(path, &cfg); err != nil {
		return cfg, fmt.Errorf("--config: %w", err)
	}
	if err := cfg.Augment.UsePreset(); err != nil {
		return cfg, fmt.Errorf("--config %s: %w", path, err)
	}
	meta, err := toml.DecodeFile(path, &cfg)
	if err != nil {
		return cfg, fmt.Errorf("--config: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return cfg, fmt.Errorf("--config %s: there is no setting %s", path, unknown[0])
	}
	if err := cfg.Check(); err != nil {
		return cfg, fmt.Errorf("--config %s: %w", path, err)
	}
	return cfg, nil
}

// tasks makes one task for each fold that is asked for.
func (t *trainFlags) tasks(ctx context.Context, store *artifacts.Store, cfg train.SegmenterConfig) ([]train.Task, error) {
	data, err := load.Open(ctx, store, t.dataset, load.Options{})
	if err != nil {
		return nil, err
	}
	there := train.Folds(data.Manifest())
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
		tasks = append(tasks, train.Task{Fold: k, Seed: int(cfg.Seed), Config: string(text)})
	}
	return tasks, nil
}

// initial puts the model that training starts from into the store, and returns its digest.
func (t *trainFlags) initial(ctx context.Context, store *artifacts.Store, cfg train.SegmenterConfig) (string, error) {
	var file []byte
	var err error
	if i := slices.IndexFunc(nets.Networks, func(n nets.Network) bool { return n.Name == t.model }); i >= 0 {
		file, err = nets.Networks[i].Build(nets.Options{Size: cfg.Size}, cfg.Seed)
	} else {
		file, err = os.ReadFile(t.model)
	}
	if errors.Is(err, os.ErrNotExist) {
		var names []string
		for _, n := range nets.Networks {
			names = append(names, n.Name)
		}
		return "", usage("--model %s: there is no such file, and no such network; networks are %s", t.model, strings.Join(names, ", "))
	}
	if err != nil {
		return "", fmt.Errorf("--model %s: %w", t.model, err)
	}
	if _, err := models.Info(file); err != nil {
		return "", usage("--model %s: %w", t.model, err)
	}
	if t.weights != "" {
		if file, err = withWeightsOf(file, t.weights); err != nil {
			return "", usage("--weights %s: %w", t.weights, err)
		}
	}
	out, err := store.Put(ctx, artifacts.Content{Data: file})
	return out.Digest.String(), err
}

// withWeightsOf returns the model with the weights of another file.
func withWeightsOf(model []byte, name string) ([]byte, error) {
	file, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	m, err := onnx.Parse(file)
	if err != nil {
		return nil, err
	}
	values := map[string][]float32{}
	for name, w := range m.Weights() {
		values[name] = w.Values
	}
	return onnx.WithWeights(model, values)
}

// trained is what the summary says of a task.
type trained struct {
	Task     string      `json:"task"`
	Model    string      `json:"model,omitempty"` // the artifact
	File     string      `json:"file,omitempty"`  // in the store
	Cached   bool        `json:"cached"`
	Seconds  float64     `json:"seconds,omitempty"`
	Note     *train.Note `json:"training,omitempty"`
	Reason   string      `json:"reason,omitempty"`
	Detail   string      `json:"detail,omitempty"`
	Remedy   string      `json:"remedy,omitempty"`
	Exported string      `json:"out,omitempty"`
}

func (t *trainFlags) conclude(ctx context.Context, out io.Writer, store *artifacts.Store, opts pipelines.TrainOptions) error {
	ctx, interrupted := context.WithoutCancel(ctx), ctx.Err() != nil
	file, err := store.GetNamed(ctx, manifest.Key(opts.Run, opts.ID))
	if err != nil {
		return fmt.Errorf("the run's manifest: %w", err)
	}
	rows, err := artifacts.ReadManifest(file)
	if err != nil {
		return err
	}
	var all []trained
	failed := 0
	for _, task := range opts.Tasks {
		s := trained{Task: task.Name()}
		for _, row := range rows {
			if row.Subject != s.Task {
				continue
			}
			if row.Verdict == transforms.Refused {
				s.Reason, s.Detail, s.Remedy = row.Reason, row.Detail, row.Remedy
				failed++
				break
			}
			s.Model, s.Cached, s.Seconds, s.File = row.Digest, row.Hit, row.Seconds, train.ModelKey(opts.Run, task)
			if s.Note, err = noteOf(ctx, store, row); err != nil {
				return err
			}
			if s.Exported, err = t.export(ctx, store, task, row.Digest); err != nil {
				return err
			}
		}
		all = append(all, s)
	}
	if t.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(all); err != nil {
			return err
		}
	} else {
		for _, s := range all {
			s.print(out)
		}
	}
	switch {
	case interrupted:
		return &exitError{exitFailed, errors.New("interrupted; checkpoints are saved, run the same command to go on")}
	case failed > 0:
		return &exitError{exitFailed, fmt.Errorf("%d of %d trainings failed", failed, len(all))}
	}
	return nil
}

func noteOf(ctx context.Context, store *artifacts.Store, row artifacts.Row) (*train.Note, error) {
	recipe, err := artifacts.ParseDigest(row.Recipe)
	if err != nil {
		return nil, err
	}
	record, ok, err := store.Lookup(ctx, recipe)
	if err != nil || !ok {
		return nil, err
	}
	var note train.Note
	return &note, json.Unmarshal(record.Note, &note)
}

// export writes the model to the file that --out names.
func (t *trainFlags) export(ctx context.Context, store *artifacts.Store, task train.Task, digest string) (string, error) {
	if t.out == "" {
		return "", nil
	}
	path := t.out
	if t.folds {
		ext := filepath.Ext(path)
		path = strings.TrimSuffix(path, ext) + "-fold" + strconv.Itoa(task.Fold) + ext
	}
	file, err := content(ctx, store, digest)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, file, 0o666)
}

func (s *trained) print(out io.Writer) {
	if s.Reason != "" {
		fmt.Fprintf(out, "%-14s %s: %s\n", s.Task, s.Reason, s.Detail)
		if s.Remedy != "" {
			fmt.Fprintf(out, "%-14s → %s\n", "", s.Remedy)
		}
		return
	}
	how := "known"
	if !s.Cached {
		how = time.Duration(s.Seconds * float64(time.Second)).Round(time.Second).String()
	}
	fmt.Fprintf(out, "%-14s %s", s.Task, how)
	if n := s.Note; n != nil {
		fmt.Fprintf(out, ", %d studies, %d epochs", n.Train, n.Epochs)
		if v := n.Validation; v != nil {
			fmt.Fprintf(out, ", best %d: dice %.4f [%.4f, %.4f] on %d held-out studies, C1-C7", n.BestEpoch, v.Mean, v.Interval[0], v.Interval[1], v.Studies)
			for _, d := range v.Dice {
				fmt.Fprintf(out, " %.3f", d)
			}
		}
	}
	fmt.Fprintf(out, "\n%-14s %s\n", "", s.File)
	if s.Exported != "" {
		fmt.Fprintf(out, "%-14s %s\n", "", s.Exported)
	}
}
