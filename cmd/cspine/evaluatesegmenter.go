package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/segment"
)

type evaluateSegmenterFlags struct {
	store, dataset, fold, segmenter, engine, precision string

	json bool
}

func newEvaluateSegmenter() *cobra.Command {
	var e evaluateSegmenterFlags
	c := &cobra.Command{
		Use:   "segmenter --store URL --dataset NAME --segmenter FILE.onnx[,FILE.onnx…]",
		Short: "Measure a segmenter's masks on a segmentation data set",
		Long: `Run a segmenter, or an ensemble of several, on the volumes of a data set that
'cspine prepare --task segmentation' made, and compare its masks with the labels:
dice of each level (a level that is not there counts 1 if none is predicted, else
0), their mean with its 95 % confidence interval over studies, the studies that do
worst, and every vertebra that was taken for another.`,
		Example: "  cspine evaluate segmenter --store store --dataset neck --segmenter bundled",
		RunE:    func(c *cobra.Command, _ []string) error { return e.run(c) },
	}
	f := c.Flags()
	f.StringVar(&e.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&e.dataset, "dataset", "", "name of a segmentation data set in the store")
	f.StringVar(&e.fold, "fold", "all", "only the studies of this fold")
	f.StringVar(&e.segmenter, "segmenter", bundledName, "'bundled', or ONNX files with commas between")
	f.StringVar(&e.engine, "engine", engines.Auto, "one of "+strings.Join(engines.Names(engines.Inference), ", "))
	f.StringVar(&e.precision, "precision", "", "f32, bf16, or int8 for a quantised model (default f32, or the model's own)")
	f.BoolVar(&e.json, "json", false, "write everything as JSON")
	return c
}

func (e *evaluateSegmenterFlags) run(c *cobra.Command) error {
	if e.store == "" || e.dataset == "" {
		return usage("--store and --dataset must be given; see 'cspine evaluate segmenter --help'")
	}
	if !runName.MatchString(e.dataset) {
		return usage("--dataset %q: use letters, digits, '.', '_' and '-'", e.dataset)
	}
	ctx := c.Context()
	files, model, err := readSegmenter(e.segmenter, segment.Model{Engine: e.engine, Precision: e.precision})
	if err != nil {
		return err
	}
	engine, err := engines.Find(model.Engine, engines.Inference)
	if err != nil {
		return err
	}
	var nets []models.Network
	for _, file := range files {
		net, err := engine.Compile(ctx, file, model.CompileOptions())
		if err != nil {
			return fmt.Errorf("--segmenter: %w", err)
		}
		defer net.Close()
		nets = append(nets, net)
	}
	studies, err := openStudies(ctx, absolute(e.store), e.dataset, e.fold)
	if err != nil {
		return err
	}
	defer studies.close()
	bar := newProgress(c.ErrOrStderr(), e.json)
	step := bar.step("studies", studies.Len())
	s, err := score.Segment(ctx, nets, counted(labelled(ctx, studies.Loader), step.add))
	bar.done()
	if err != nil {
		return err
	}
	if e.json {
		return writeJSON(c.OutOrStdout(), s)
	}
	printSegmenterScore(c.OutOrStdout(), s, engine, model)
	return nil
}

func printSegmenterScore(out io.Writer, s *score.Segmenter, e models.Engine, m segment.Model) {
	fmt.Fprintf(out, "%d studies, %s %s\n\nlevel  dice\n", s.Studies, e.Name(), m.CompileOptions().Precision)
	for level, d := range s.Dice {
		fmt.Fprintf(out, "%-5s  %.4f\n", volume.LevelName(level), d)
	}
	fmt.Fprintf(out, "mean   %.4f, 95 %% interval %.4f to %.4f\n", s.Mean, s.Interval[0], s.Interval[1])
	worst := score.Worst(s.PerStudy)
	fmt.Fprintf(out, "\nworst studies\n")
	for _, w := range worst[:min(5, len(worst))] {
		fmt.Fprintf(out, "%.4f %s\n", w.Mean, w.Study)
	}
	fmt.Fprintf(out, "\n%d of %d vertebrae taken for another\n", len(s.Swapped), s.Studies*volume.Levels)
	for _, w := range s.Swapped[:min(10, len(s.Swapped))] {
		fmt.Fprintf(out, "%s for %s in %s\n", w.Mask, w.Truth, w.Study)
	}
}

// storedStudies are the chosen studies of a segmentation data set.
type storedStudies struct {
	*load.Loader
	others *load.Loader // those of other folds; nil where all are chosen
	data   *load.Dataset
	store  *artifacts.Store
}

// openStudies opens the studies of one fold, or of "all".
func openStudies(ctx context.Context, url, dataset, fold string) (*storedStudies, error) {
	store, err := openStore(ctx, url)
	if err != nil {
		return nil, err
	}
	s := &storedStudies{store: store}
	if s.data, err = load.Open(ctx, store, dataset, load.Options{}); err == nil {
		err = s.choose(fold)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return s, nil
}

func (s *storedStudies) choose(fold string) error {
	s.Loader = s.data.Choose(load.All())
	if fold != "all" {
		k, err := strconv.Atoi(fold)
		if err != nil {
			return usage("--fold %q is neither a fold nor 'all'", fold)
		}
		s.Loader, s.others = s.data.Choose(load.Only(k)), s.data.Choose(load.AllBut(k))
	}
	if s.Len() == 0 {
		return usage("the data set has no study in fold %s", fold)
	}
	return nil
}

func (s *storedStudies) close() { _ = s.store.Close() }

// labelled yields studies by name.
func labelled(ctx context.Context, studies *load.Loader) iter.Seq2[score.Labelled, error] {
	return func(yield func(score.Labelled, error) bool) {
		for sample, err := range studies.Sorted(ctx) {
			var l score.Labelled
			if err == nil {
				l = score.Labelled{Study: sample.StudyUID, Volume: sample.Volume, Labels: sample.Labels}
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// counted calls count after each element.
func counted[T any](all iter.Seq2[T, error], count func()) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range all {
			if !yield(v, err) {
				return
			}
			count()
		}
	}
}
