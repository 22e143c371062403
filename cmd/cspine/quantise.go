package main

import (
	"context"
	"fmt"
	"iter"
	"os"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/models/quantise"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/segment"
)

type quantiseFlags struct {
	store, dataset, fold string

	samples int
}

func newModelQuantise() *cobra.Command {
	var q quantiseFlags
	c := &cobra.Command{
		Use:   "quantise SEGMENTER OUT.onnx --store URL --dataset NAME",
		Short: "Make an int8 segmenter and record what that costs in dice",
		Long: `Make a segmenter whose convolutions multiply eight-bit integers. Ranges of the
values inside are taken from studies of the other folds of a data set; then both models
are measured on studies of the held-out fold, and the two means of dice are kept in
the new file: no engine runs an int8 model without that record.

It needs OpenVINO. Run the new model with --precision int8.`,
		Example: "  cspine model quantise segmenter.onnx segmenter-int8.onnx --store store --dataset neck --fold 0",
		Args:    cobra.ExactArgs(2),
		RunE:    func(c *cobra.Command, args []string) error { return q.run(c, args[0], args[1]) },
	}
	f := c.Flags()
	f.StringVar(&q.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&q.dataset, "dataset", "", "name of a segmentation data set in the store")
	f.StringVar(&q.fold, "fold", "0", "the fold to measure on, or 'all'")
	f.IntVar(&q.samples, "samples", 24, "how many studies ranges are taken from")
	return c
}

func (q *quantiseFlags) run(c *cobra.Command, in, out string) error {
	if q.store == "" || q.dataset == "" || !runName.MatchString(q.dataset) {
		return usage("--store and --dataset must be given; see 'cspine model quantise --help'")
	}
	if q.samples < 1 {
		return usage("--samples must be at least 1")
	}
	ctx := c.Context()
	// Ranges need values from inside of the network, which OpenVINO alone shows; int8 is its own too.
	files, model, err := readSegmenter(in, segment.Model{Engine: "openvino", Precision: string(models.F32)})
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return usage("%s: quantise the models of an ensemble one by one", in)
	}
	engine, err := engines.Find(model.Engine, engines.Inference)
	if err != nil {
		return err
	}
	held, err := openStudies(ctx, absolute(q.store), q.dataset, q.fold)
	if err != nil {
		return err
	}
	defer held.close()
	seen := held.others
	if seen == nil {
		seen = held.Loader
	}
	quantised, err := quantise.Int8(ctx, engine, files[0], model.CompileOptions(), inputs(labelled(ctx, seen), q.samples))
	if err != nil {
		return err
	}
	record := models.Int8Record{Model: artifacts.DigestOf(files[0]).String(), Measure: "mean dice", Dataset: q.dataset, Samples: held.Len()}
	for _, m := range []struct {
		file      []byte
		precision models.Precision
		to        *float64
	}{{files[0], models.F32, &record.Float}, {quantised, models.INT8, &record.Int8}} {
		if m.precision == models.INT8 { // engines ask for a record; this one is not written anywhere
			if m.file, err = models.WithInt8Record(m.file, record); err != nil {
				return err
			}
		}
		if *m.to, err = meanDice(ctx, engine, m.file, m.precision, held); err != nil {
			return err
		}
	}
	if quantised, err = models.WithInt8Record(quantised, record); err != nil {
		return err
	}
	if err := os.WriteFile(out, quantised, 0o666); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s, %s: mean dice %.4f on %d studies, %.4f in float32\n", out, inwords.Bytes(int64(len(quantised))), record.Int8, record.Samples, record.Float)
	return nil
}

func meanDice(ctx context.Context, e models.Engine, file []byte, p models.Precision, studies *storedStudies) (float64, error) {
	net, err := e.Compile(ctx, file, &models.CompileOptions{Precision: p, EqualChannels: true})
	if err != nil {
		return 0, err
	}
	defer net.Close()
	s, err := score.Segment(ctx, []models.Network{net}, labelled(ctx, studies.Loader))
	if err != nil {
		return 0, err
	}
	return s.Mean, nil
}

// inputs yields what a segmenter of one channel sees of the first n studies.
func inputs(studies iter.Seq2[score.Labelled, error], n int) iter.Seq2[[][]float32, error] {
	return func(yield func([][]float32, error) bool) {
		left := n
		for s, err := range studies {
			var in []float32
			if err == nil {
				in = segment.Input(s.Volume)
			}
			if left--; !yield([][]float32{in}, err) || err != nil || left == 0 {
				return
			}
		}
	}
}
