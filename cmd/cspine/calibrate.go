package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/score"
)

type calibrateFlags struct {
	heldOut            heldOutFlags
	submission, truth  string
	normalise, weights string

	options score.CalibrateOptions
}

func newModelCalibrate() *cobra.Command {
	var b calibrateFlags
	c := &cobra.Command{
		Use:   "calibrate CLASSIFIER.onnx OUT.onnx --store URL --run NAME | --submission FILE --truth train.csv",
		Short: "Make a classifier as sure as it may be, by its answers for studies that it did not learn from",
		Long: `Fit a calibration on a classifier's answers for studies that it did not learn from, and
write the classifier with it: 'cspine predict' then applies it to each probability's
logit. The answers are what the trainings of a run said of the studies that each held
out (--store, --run), or what 'cspine predict' said with this classifier alone, before
calibration (--submission): of studies of the place where it is to be used, where
other shares are fractured than where it learned: those shares then answer what is not
found, too. The order of studies stays, and with it every area under a ROC curve; the
log loss falls.

  --kind temperature   one factor: more or less sure
  --kind platt         a factor and a shift: the share of fractured may be off too

C1 to C7 share a calibration (--per-level gives each its own); the patient has its
own. By default the loss is the competition's, which counts a fractured one twice:
probabilities then come out higher than frequencies. --weights plain counts all
labels once, for probabilities that are frequencies.

The loss after calibration is told twice: on the answers that it was fitted on, and
cross-fitted, each fifth of the studies by a fit on the others. The latter is
what to expect. A calibration that the file had is replaced.`,
		Example: "  cspine model calibrate classifier.onnx calibrated.onnx --store store --run bones --kind platt\n" +
			"  cspine model calibrate classifier.onnx here.onnx --submission here.csv --truth train.csv --kind platt",
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return b.run(c, args[0], args[1]) },
	}
	f := c.Flags()
	b.heldOut.define(f)
	f.StringVar(&b.submission, "submission", "", "what the classifier alone predicted, in place of a run's held-out answers")
	f.StringVar(&b.truth, "truth", "", "what is so of the submission's studies: a table as train.csv")
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
	spec, err := classify.Describe(file)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	held, err := b.answers(c, spec)
	if err != nil {
		return err
	}
	rows, gaps := score.Join(held.Answers, held.Truth)
	found, err := score.Calibrate(rows, b.options)
	if err != nil {
		return err
	}
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	set := map[string]string{classify.CalibrationKey: string(text)}
	if b.submission != "" {
		// What is not found there is answered by what is usual there.
		for t, share := range score.Prevalence(rows, b.options.Normalise).P {
			switch {
			case !math.IsNaN(float64(share)):
				spec.Prior[t] = float64(share)
			case !spec.PriorKnown:
				spec.Prior[t] = 0.5
			}
		}
		if text, err = json.Marshal(spec.Prior); err != nil {
			return err
		}
		set[classify.PriorKey] = string(text)
	}
	if file, err = onnx.WithMetadata(file, set); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if _, err := classify.Describe(file); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if err := os.WriteFile(out, file, 0o666); err != nil {
		return err
	}
	w := c.OutOrStdout()
	if b.submission == "" {
		fmt.Fprintf(w, "%s\n", held)
	} else {
		fmt.Fprintf(w, "%s of %s, %d labels unanswered, %d answers without a label\n", plural(len(held.Answers), "study", "studies"), b.submission, gaps.Unanswered, gaps.Unlabelled)
	}
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
		score.WeightedLogLoss(score.Calibrated(rows, found), n), score.Figure(score.CrossFitted(rows, b.options)), out, inwords.Bytes(int64(len(file))))
	return nil
}

// answers reads what the calibration is fitted on.
func (b *calibrateFlags) answers(c *cobra.Command, spec classify.Spec) (*score.HeldOut, error) {
	switch {
	case b.submission == "" && b.truth == "":
		return b.heldOut.read(c.Context())
	case b.submission == "" || b.truth == "":
		return nil, usage("--submission and --truth go together")
	case b.heldOut != heldOutFlags{}:
		return nil, usage("give a run's --store and --run, or --submission and --truth")
	case spec.Calibration != [classify.Targets]classify.Calibration{}:
		return nil, usage("the classifier is calibrated: predict with what it was before, or the fit is on answers that a calibration has changed")
	}
	return readAnswers(b.submission, b.truth)
}
