package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
)

type prepareFlags struct {
	task, data, store, segmenter, engine, precision, name, runner, config, pictures string

	only      []string
	beamFlags []string
	json      bool
}

func newPrepare() *cobra.Command {
	var p prepareFlags
	c := &cobra.Command{
		Use:   "prepare --data DIR|URL --store URL --segmenter FILE.onnx|bundled|labels --run NAME",
		Short: "Make Parquet shards of vertebra crops from raw CT studies",
		Long: `Make a data set of vertebra crops from raw CT studies, one Beam pipeline:

  index → resample → segment → boxes → crop → shard

Every step's output is an artifact of the store. What is there already, from
whichever run, is not computed again. The data set lies in the store under
datasets/NAME: shard-*.parquet and manifest.json.

With --task segmentation it makes what a segmenter is trained on: the volumes of
the studies that have label files, with a label map each.

A study that can't be trusted goes into quarantine with a reason and a remedy;
the others go on. Exit status: 0 all good, 1 failed, 2 wrong usage, 3 done, but
some studies went into quarantine.`,
		Example: `  cspine prepare --data rsna2022 --store store --segmenter unet.onnx --run first
  cspine prepare --data s3://bucket/rsna2022 --store s3://bucket/cspine --segmenter labels --run truth
  cspine prepare --task segmentation --data rsna2022 --store store --run masks`,
		RunE: func(c *cobra.Command, _ []string) error { return p.run(c) },
	}
	f := c.Flags()
	f.StringVar(&p.task, "task", shard.Crops, "what to make: crops, or segmentation (volumes and label maps)")
	f.StringVar(&p.data, "data", "", "folder or bucket URL of the studies")
	f.StringVar(&p.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&p.segmenter, "segmenter", "", "an ONNX model, several with commas between (their mean), 'bundled', or 'labels' to take segmentations/<study>.nii")
	f.StringVar(&p.engine, "engine", "", "that runs the model: one of "+strings.Join(engines.Names(engines.Inference), ", ")+" (default auto)")
	f.StringVar(&p.precision, "precision", "", "of the model's arithmetic: f32, bf16, or int8 for a quantised model (default f32, or the model's own)")
	f.StringVar(&p.name, "run", "", "name of the run and of its data set")
	f.StringVar(&p.runner, "runner", "prism", "engine: prism (embedded), flink, dataflow or direct")
	f.StringVar(&p.config, "config", "", "parameters, as TOML (see docs/operations.md)")
	f.StringVar(&p.pictures, "pictures", "", "write a PNG of each study's volume, mask and crops to this folder")
	f.StringSliceVar(&p.only, "study", nil, "only these studies (folder names)")
	f.StringArrayVar(&p.beamFlags, "beam", nil, "a flag for Beam, such as --beam=--parallelism=4")
	f.BoolVar(&p.json, "json", false, "write the summary as JSON, no progress")
	return c
}

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (p *prepareFlags) check() error {
	switch p.task {
	case shard.Crops:
	case shard.Segmentations:
		if p.segmenter == "" {
			p.segmenter = "labels"
		}
		if p.segmenter != "labels" {
			return usage("--segmenter %q: a segmenter is trained on label files; leave the flag out", p.segmenter)
		}
	default:
		return usage("--task %q is not one of %s, %s", p.task, shard.Crops, shard.Segmentations)
	}
	for _, f := range []struct{ flag, value, what string }{
		{"--data", p.data, "where the studies lie"},
		{"--store", p.store, "where artifacts are kept"},
		{"--segmenter", p.segmenter, "an ONNX file, 'bundled' or 'labels'"},
		{"--run", p.name, "a name for the data set"},
	} {
		if f.value == "" {
			return usage("%s is missing: %s; see 'cspine prepare --help'", f.flag, f.what)
		}
	}
	if !runName.MatchString(p.name) {
		return usage("--run %q: use letters, digits, '.', '_' and '-'", p.name)
	}
	if p.precision != "" && !slices.Contains(models.Precisions, models.Precision(p.precision)) {
		return usage("--precision %q is not one of %v", p.precision, models.Precisions)
	}
	if p.engine != "" && !slices.Contains(engines.Names(engines.Inference), p.engine) {
		return usage("--engine %q is not one of %s", p.engine, strings.Join(engines.Names(engines.Inference), ", "))
	}
	for _, r := range pipelines.Runners {
		if p.runner == r {
			return nil
		}
	}
	return usage("--runner %q is not one of %v", p.runner, pipelines.Runners)
}

func (p *prepareFlags) run(c *cobra.Command) error {
	if err := p.check(); err != nil {
		return err
	}
	ctx := c.Context()
	cfg, err := readConfig(p.config)
	if err != nil {
		return usage("%w", err)
	}
	site := transforms.Site{Data: absolute(p.data), Store: absolute(p.store)}
	data, store, err := site.Open(ctx)
	if err != nil {
		return err
	}
	studies, err := p.studies(ctx, data)
	if err != nil {
		return err
	}
	model, err := p.model(ctx, store, cfg.Segment)
	if err != nil {
		return err
	}
	opts := pipelines.PrepareOptions{
		Site: site, Run: p.name, ID: time.Now().UTC().Format("20060102T150405.000Z"), Only: p.only,
		Ingest: cfg.Ingest, Resample: cfg.Resample, Model: model, Boxes: cfg.Boxes, Shard: cfg.Shard,
	}
	if opts.Shard.Buckets == 0 {
		opts.Shard.Buckets = shard.Buckets(p.task, len(studies))
	}
	start := time.Now()
	if err := p.watch(c.ErrOrStderr(), len(studies), opts.Shard.Buckets, func() error {
		return pipelines.Run(ctx, p.runner, p.beamFlags, func(s beam.Scope) error {
			if p.task == shard.Segmentations {
				pipelines.PrepareSegmentation(s, opts)
			} else {
				pipelines.Prepare(s, opts)
			}
			return nil
		})
	}); err != nil {
		return err
	}
	return p.conclude(ctx, c.OutOrStdout(), store, opts, time.Since(start).Seconds())
}

func (p *prepareFlags) studies(ctx context.Context, data *source.Source) ([]string, error) {
	all, err := ingest.Studies(ctx, data)
	if err != nil {
		return nil, err
	}
	studies := ingest.Select(all, p.only)
	if len(studies) == 0 {
		return nil, usage("--study %v: %s has %d studies, none of these", p.only, data, len(all))
	}
	return studies, nil
}

// model puts the segmenter's files into the store, where every worker finds them.
func (p *prepareFlags) model(ctx context.Context, store *artifacts.Store, m segment.Model) (segment.Model, error) {
	if p.segmenter == "labels" {
		return segment.Model{}, nil
	}
	if p.precision != "" {
		m.Precision = p.precision
	}
	if p.engine != "" {
		m.Engine = p.engine
	}
	files, m, err := readSegmenter(p.segmenter, m)
	if err != nil {
		return m, err
	}
	for _, file := range files {
		digest := artifacts.DigestOf(file)
		m.Digests = append(m.Digests, digest.String())
		if _, err := store.Stat(ctx, digest); err == nil {
			continue // packing a model takes longer than asking
		}
		if _, err := store.Put(ctx, artifacts.Content{Data: file}); err != nil {
			return m, err
		}
	}
	return m, nil
}

// watch shows the progress of what the embedded runner does in this process.
func (p *prepareFlags) watch(out io.Writer, studies, shards int, run func() error) error {
	bars := newProgress(out, p.json)
	steps := map[string]*stepProgress{}
	names := pipelines.PrepareSteps(p.task)
	for _, name := range names {
		total := studies
		if name == "shard" {
			total = shards
		}
		steps[name] = bars.step(name, total)
	}
	counter := newStudyCounter(names, func(step string) { steps[step].add() })
	stop := transforms.Observe(counter.observe)
	err := run()
	stop()
	bars.done()
	return err
}

func (p *prepareFlags) conclude(ctx context.Context, out io.Writer, store *artifacts.Store, opts pipelines.PrepareOptions, seconds float64) error {
	file, err := store.GetNamed(ctx, manifest.Key(opts.Run, opts.ID))
	if err != nil {
		return fmt.Errorf("the run's manifest: %w", err)
	}
	rows, err := artifacts.ReadManifest(file)
	if err != nil {
		return err
	}
	s := summarise(rows, pipelines.PrepareSteps(p.task), seconds)
	s.Run, s.Manifest, s.Dataset = opts.Run, manifest.Key(opts.Run, opts.ID), shard.Dir(opts.Run)
	if p.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(s); err != nil {
			return err
		}
	} else {
		s.print(out)
	}
	if p.pictures != "" {
		if err := writePictures(ctx, store, rows, p.pictures, out); err != nil {
			return err
		}
	}
	if s.Quarantined > 0 {
		return &exitError{code: exitQuarantine}
	}
	return nil
}

// absolute makes a local path absolute, since a worker may have another working directory.
func absolute(location string) string {
	if local(location) {
		if abs, err := filepath.Abs(location); err == nil {
			return abs
		}
	}
	return location
}

var scheme = regexp.MustCompile(`^[a-z0-9+]+://`)

func local(location string) bool { return !scheme.MatchString(location) }
