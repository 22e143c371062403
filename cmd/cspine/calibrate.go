package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/score"
)

type calibrateFlags struct {
	heldOut            heldOutFlags
	normalise, weights string

	options score.CalibrateOptions
}

func newModelCalibrate() *cobra.Command {
	var b calibrateFlags
	c := &cobra.Command{
		Use:   "calibrate CLASSIFIER.onnx OUT.onnx --store URL --run NAME",
		Short: "Make a classifier as sure as it may be, by what its training answered out of fold",
		Long: `Fit a calibration on what the trainings of a run answered for the studies that each
held out, and write the classifier with it: 'cspine predict' then applies it to
each probability's logit. The order of studies stays, and with it every area under
a ROC curve; the log loss falls.

  --kind temperature   one factor: more or less sure
  --kind platt         a factor and a shift: the share of fractured may be off too

C1 to C7 share a calibration (--per-level gives each its own); the patient has its
own. By default the loss is the competition's, which counts a fractured one twice:
probabilities then come out higher than frequencies. --weights plain counts all
labels once, for probabilities that are frequencies.

The loss after calibration is told twice: on the answers that it was fitted on, and
cross-fitted, each fifth of the studies by a fit on the others. The latter is
what to expect. A calibration that the file had is replaced.`,
		Example: "  cspine model calibrate classifier.onnx calibrated.onnx --store store --run bones --kind platt",
		Args:    cobra.ExactArgs(2),
		RunE:    func(c *cobra.Command, args []string) error { return b.run(c, args[0], args[1]) },
	}
	f := c.Flags()
	b.heldOut.define(f)
	f.StringVar(&b.options.Kind, "kind", score.Temperature, "temperature or platt")
	f.BoolVar(&b.options.PerLevel, "per-level", false, "a calibration for each level")
	f.StringVar(&b.weights, "weights", "metric", "what the fit counts labels by: metric or plain")
	f.StringVar(&b.normalise, "normalise", string(score.ByRow), "what the metric's losses are divided by: row or global")
	return c
}

func (b *calibrateFlags) run(c *cobra.Command, in, out string) error {
	var err error
	if b.options.Normalise, err = score.ParseNormalise(b.normalise); err != nil {
		return usage("--normalise: %w", err)
	}
	if b.weights != "metric" && b.weights != "plain" {
		return usage("--weights %q is not one of metric, plain", b.weights)
	}
	if b.options.Kind != score.Temperature && b.options.Kind != score.Platt {
		return usage("--kind %q is not one of %s, %s", b.options.Kind, score.Temperature, score.Platt)
	}
	b.options.Plain = b.weights == "plain"
	file, err := models.ReadFile(in)
	if err != nil {
		return err
	}
	if _, err := classify.Describe(file); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	held, err := b.heldOut.read(c.Context())
	if err != nil {
		return err
	}
	rows, _ := score.Join(held.Answers, held.Truth)
	found, err := score.Calibrate(rows, b.options)
	if err != nil {
		return err
	}
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	if file, err = onnx.WithMetadata(file, map[string]string{classify.CalibrationKey: string(text)}); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if _, err := classify.Describe(file); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if err := os.WriteFile(out, file, 0o666); err != nil {
		return err
	}
	w := c.OutOrStdout()
	fmt.Fprintf(w, "%s\n", held)
	var same []string // targets that share a calibration
	for t, v := range found {
		same = append(same, classify.TargetName(t))
		if t+1 < len(found) && found[t+1] == v {
			continue
		}
		fmt.Fprintf(w, "%-26s %.4f·logit %+.4f\n", strings.Join(same, " "), v.Scale, v.Shift)
		same = nil
	}
	n := b.options.Normalise
	fmt.Fprintf(w, "weighted log loss, normalised by %s: %.4f before, %.4f after, %s cross-fitted\n%s, %s\n", n, score.WeightedLogLoss(rows, n),
		score.WeightedLogLoss(score.Calibrated(rows, found), n), score.Figure(score.CrossFitted(rows, b.options)), out, byteCount(int64(len(file))))
	return nil
}
