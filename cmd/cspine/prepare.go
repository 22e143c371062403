package main

import (
	"context"
	"io"
	"path/filepath"
	"regexp"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/shard"
)

type prepareFlags struct {
	studyFlags
	task string
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
	p.addTo(c, "name of the run and of its data set")
	return c
}

func (p *prepareFlags) check(command string) error {
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
	return p.studyFlags.check(command)
}

func (p *prepareFlags) run(c *cobra.Command) error {
	if err := p.check("prepare"); err != nil {
		return err
	}
	ctx := c.Context()
	opts, store, err := p.build(ctx)
	if err != nil {
		return err
	}
	build := func(s beam.Scope) { pipelines.PrepareTask(s, p.task, opts) }
	if p.runner.dry {
		return p.runner.printJob(ctx, c.OutOrStdout(), opts.Run, opts.ID, build)
	}
	end, err := announce(c, store, "prepare of run "+p.name)
	if err != nil {
		return err
	}
	defer end()
	start := time.Now()
	totals := map[string]int{"shard": opts.Shard.Buckets}
	rows, err := p.runner.watched(ctx, c.ErrOrStderr(), p.json, store, &opts.Site, opts.Run, opts.ID, pipelines.PrepareSteps(p.task), totals, build)
	if err != nil {
		return err
	}
	return p.conclude(ctx, c.OutOrStdout(), store, opts, rows, time.Since(start).Seconds())
}

// build opens what the pipeline needs, and says what it is to do.
func (p *prepareFlags) build(ctx context.Context) (opts pipelines.PrepareOptions, store *artifacts.Store, err error) {
	cfg, err := readConfig(p.config)
	if err != nil {
		return opts, nil, usage("%w", err)
	}
	site, store, err := p.open(ctx)
	if err != nil {
		return opts, nil, err
	}
	model, err := p.model(ctx, store, cfg.Segment)
	if err != nil {
		return opts, nil, err
	}
	opts = p.options(site, cfg, model)
	opts.Shard = cfg.Shard
	if opts.Shard.Buckets == 0 {
		opts.Shard.Buckets = shard.Buckets(p.task, site.Studies)
	}
	return opts, store, nil
}

func (p *prepareFlags) conclude(ctx context.Context, out io.Writer, store *artifacts.Store, opts pipelines.PrepareOptions, rows []artifacts.Row, seconds float64) error {
	s := summarise(rows, pipelines.PrepareSteps(p.task), seconds)
	s.Run, s.Manifest, s.Dataset = opts.Run, manifest.Key(opts.Run, opts.ID), shard.Dir(opts.Run)
	return p.report(ctx, out, store, rows, s, s, func() { s.print(out) }, s.Quarantined > 0)
}

// runID names a run begun now among those of its name.
func runID() string { return manifest.ID(time.Now()) }

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
