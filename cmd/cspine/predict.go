package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/bundled"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/predict"
)

type predictFlags struct {
	studyFlags
	classifier, out, details string

	flips bool
	top   int
}

func newPredict() *cobra.Command {
	var p predictFlags
	c := &cobra.Command{
		Use:   "predict --data DIR|URL --store URL --segmenter FILE.onnx|bundled|labels --classifier FILE.onnx[,FILE.onnx…]|bundled --run NAME --out submission.csv",
		Short: "Answer which vertebrae of raw CT studies are fractured",
		Long: `Answer which vertebrae of raw CT studies are fractured, one Beam pipeline:

  index → resample → segment → boxes → crop → classify → verdict

Every step's output is an artifact of the store: a second classifier costs its own
answers alone, and after a new segmenter only the vertebrae whose crops changed
are classified again. The answers lie in the store under predictions/NAME:
submission.csv (row_id,fractured), and predictions.parquet, which has of every
answer the slices, boxes, classifiers and a flag.

Every study is answered. A vertebra that was not found, and a study that can't be
trusted, get the share of fractured that the classifiers learned from, and a flag.

Exit status: 0 all good, 1 failed, 2 wrong usage, 3 done, but some studies were
refused or show no vertebra.`,
		Example: `  cspine predict --data rsna2022/test_images --store store --segmenter unet.onnx --classifier fold0.onnx,fold1.onnx --run first --out submission.csv`,
		RunE:    func(c *cobra.Command, _ []string) error { return p.run(c) },
	}
	f := c.Flags()
	f.StringVar(&p.out, "out", "", "write the submission to this file, too")
	f.StringVar(&p.details, "details", "", "write predictions.parquet to this file, too")
	p.addAnswers(c, "an ONNX model of either type, several with commas between, or 'bundled'")
	p.addTo(c, "name of the run and of its predictions")
	return c
}

// addAnswers gives a command the flags that say how it is answered.
func (p *predictFlags) addAnswers(c *cobra.Command, classifier string) {
	f := c.Flags()
	f.StringVar(&p.classifier, "classifier", "", classifier)
	f.BoolVar(&p.flips, "flips", false, "ask the classifiers about mirror images, too")
	f.IntVar(&p.top, "top", 0, "how many of a vertebra's 15 slices count, the most suspect ones (default all)")
}

func (p *predictFlags) run(c *cobra.Command) error {
	if err := p.check("predict", flagValue{"--classifier", p.classifier, "an ONNX file, several, or 'bundled'"}); err != nil {
		return err
	}
	ctx := c.Context()
	opts, store, err := p.build(c)
	if err != nil {
		return err
	}
	build := func(s beam.Scope) { pipelines.Predict(s, opts) }
	if p.runner.dry {
		return p.runner.printJob(ctx, c.OutOrStdout(), opts.Run, opts.ID, build)
	}
	end, err := announce(c, store, "predict of run "+p.name)
	if err != nil {
		return err
	}
	defer end()
	start := time.Now()
	rows, err := p.runner.watched(ctx, c.ErrOrStderr(), p.json, store, &opts.Site, opts.Run, opts.ID, pipelines.PredictSteps, nil, build)
	if err != nil {
		return err
	}
	return p.conclude(ctx, c.OutOrStdout(), store, opts, rows, time.Since(start).Seconds())
}

// build opens what the pipeline needs, and says what it is to do.
func (p *predictFlags) build(c *cobra.Command) (opts pipelines.PredictOptions, store *artifacts.Store, err error) {
	ctx := c.Context()
	cfg, err := readConfig(p.config)
	if err != nil {
		return opts, nil, usage("%w", err)
	}
	if c.Flags().Changed("top") {
		cfg.Predict.Top = p.top
	}
	if _, err := cfg.Predict.WithDefaults(); err != nil {
		return opts, nil, usage("%w", err)
	}
	site, store, err := p.open(ctx)
	if err != nil {
		return opts, nil, err
	}
	classifiers, err := p.classifiers(ctx, store, cfg.Classify)
	if err != nil {
		return opts, nil, err
	}
	segmenter, err := p.model(ctx, store, cfg.Segment)
	if err != nil {
		return opts, nil, err
	}
	return pipelines.PredictOptions{
		PrepareOptions: p.options(site, cfg, segmenter),
		Classifiers:    classifiers, Predict: cfg.Predict,
	}, store, nil
}

// classifiers puts the classifiers' files into the store, and settles how they are run.
func (p *predictFlags) classifiers(ctx context.Context, store *artifacts.Store, e classify.Ensemble) (classify.Ensemble, error) {
	if p.engine != "" {
		e.Engine = p.engine
	}
	if p.precision != "" && models.Precision(p.precision) != models.INT8 {
		e.Precision = p.precision // int8 is the segmenter's: a classifier says itself whether it is quantised
	}
	e.Flips = e.Flips || p.flips
	files, err := readModels("--classifier", p.classifier, bundled.Classifier(), &e.Precision, func(file []byte) error {
		spec, err := e.Check(file)
		e.Files = append(e.Files, classify.File{Spec: spec})
		return err
	})
	if err != nil {
		return e, err
	}
	digests, err := p.storeModels(ctx, store, files)
	if err != nil {
		return e, err
	}
	for i, digest := range digests {
		e.Files[i].Digest = digest
	}
	return e, nil
}

// predictSummary is what a prediction did.
type predictSummary struct {
	*summary
	Flagged int `json:"flagged"` // studies that are answered by the priors
	// Submission and Details are names in the store.
	Submission string `json:"submission"`
	Details    string `json:"details"`
}

func (p *predictFlags) conclude(ctx context.Context, out io.Writer, store *artifacts.Store, opts pipelines.PredictOptions, rows []artifacts.Row, seconds float64) error {
	s := predictSummary{summary: summarise(rows, pipelines.PredictSteps, seconds),
		Submission: path.Join(predict.Dir(opts.Run), predict.SubmissionFile), Details: path.Join(predict.Dir(opts.Run), predict.DetailsFile)}
	s.Run, s.Manifest = opts.Run, manifest.Key(opts.Run, opts.ID)
	s.Done -= len(s.Empty)
	s.Flagged = s.Quarantined + s.Skipped + len(s.Empty)
	for _, copied := range []struct{ key, file string }{{s.Submission, p.out}, {s.Details, p.details}} {
		if copied.file == "" {
			continue
		}
		data, err := store.GetNamed(ctx, copied.key)
		if err != nil {
			return err
		}
		if err := os.WriteFile(copied.file, data, 0o666); err != nil {
			return err
		}
	}
	return p.report(ctx, out, store, rows, s.summary, s, func() { s.print(out, p) }, s.Flagged > 0)
}

func (s *predictSummary) print(out io.Writer, p *predictFlags) {
	fmt.Fprintf(out, "\n%d studies: %d predicted, %d flagged (%d refused, %d skipped, %d without any vertebra); %d vertebrae not found\n",
		s.Studies, s.Done, s.Flagged, s.Quarantined, s.Skipped, len(s.Empty), s.NotFound)
	s.printWork(out)
	for _, file := range []string{p.out, p.details} {
		if file != "" {
			fmt.Fprintln(out, "written:", file)
		}
	}
	fmt.Fprintln(out, "submission:", s.Submission)
	fmt.Fprintln(out, "details:", s.Details)
	fmt.Fprintln(out, "manifest:", s.Manifest)
	list(out, "warnings", s.Warnings)
	list(out, "without any vertebra", s.Empty)
	list(out, "quarantine", s.Quarantine)
	list(out, "not reproducible", s.Differing)
}
