package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cspine/cspine/internal/pseudonym"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/score"
)

type evaluateFlags struct {
	submission, truth string
	keyFile           string
	heldOut           heldOutFlags
	outOfFold         bool
	normalise, plots  string

	allowMissing, json bool
}

func newEvaluate() *cobra.Command {
	var e evaluateFlags
	c := &cobra.Command{
		Use:   "evaluate --submission FILE --truth train.csv | --out-of-fold --store URL --run NAME",
		Short: "Score predictions by the competition's metric; measure a segmenter",
		Long: `Score predictions against what is known: the competition's weighted log loss beside
that of the best constant answer and of saying 0.5; for each level, all levels and
the patient the area under the ROC curve with its 95 % confidence interval, average
precision, sensitivity at 90 % specificity, specificity at 90 % sensitivity, and the
Brier score. A dash is what is undefined, as an area where nothing is fractured.

  --submission    a table row_id,fractured, as 'cspine predict' writes it; one that
                  was made with --pseudonymize is compared by the same key
  --out-of-fold   what the trainings of a run answered for the studies that each held
                  out, all folds together

The metric weighs a fractured vertebra 2 and an intact one 1, the patient 14 and 7.
Losses are divided by the sum of weights of each study (--normalise row, as the
public graders do) or of all (--normalise global).`,
		Example: `  cspine evaluate --submission submission.csv --truth rsna2022/train.csv --plots plots
  cspine evaluate --submission pseudonyms.csv --truth rsna2022/train.csv --pseudonymize keyfile
  cspine evaluate --out-of-fold --store store --run bones`,
		RunE: func(c *cobra.Command, _ []string) error { return e.run(c) },
	}
	f := c.Flags()
	f.StringVar(&e.submission, "submission", "", "predictions: a table row_id,fractured")
	f.StringVar(&e.truth, "truth", "", "what is so: a table StudyInstanceUID,patient_overall,C1,…,C7; an empty field is unknown")
	f.StringVar(&e.keyFile, "pseudonymize", "", "the key file of the predictions' pseudonyms: the truth's studies are given theirs")
	f.BoolVar(&e.outOfFold, "out-of-fold", false, "score what the trainings of a run answered for held-out studies")
	e.heldOut.define(f)
	f.StringVar(&e.normalise, "normalise", string(score.ByRow), "what losses are divided by: row or global")
	f.BoolVar(&e.allowMissing, "allow-missing", false, "leave out what only one of the two tables has")
	f.StringVar(&e.plots, "plots", "", "write "+strings.Join([]string{score.ROCFile, score.ReliabilityFile, score.LevelsFile}, ", ")+" to this folder")
	f.BoolVar(&e.json, "json", false, "write everything as JSON")
	c.AddCommand(newEvaluateSegmenter())
	return c
}

// heldOutFlags choose the trainings of a run.
type heldOutFlags struct{ store, run, dataset, seed string }

func (h *heldOutFlags) define(f *pflag.FlagSet) {
	f.StringVar(&h.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&h.run, "run", "", "name of the run whose trainings held studies out")
	f.StringVar(&h.dataset, "dataset", "", "data set that they learned from, which says what folds there are (default: the run's name)")
	f.StringVar(&h.seed, "seed", "", "only the trainings of this seed")
}

func (h *heldOutFlags) read(ctx context.Context) (*score.HeldOut, error) {
	if h.store == "" {
		return nil, usage("--store is missing: where the artifacts are kept")
	}
	if h.run == "" {
		return nil, usage("--run is missing: the name of a run of 'cspine train classifier'")
	}
	for flag, name := range map[string]string{"run": h.run, "dataset": h.dataset} {
		if name != "" && !runName.MatchString(name) {
			return nil, usage("--%s %q: use letters, digits, '.', '_' and '-'", flag, name)
		}
	}
	store, err := openStore(ctx, absolute(h.store))
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return score.ReadHeldOut(ctx, store, h.run, score.HeldOutOptions{Seed: h.seed, Dataset: h.dataset})
}

// evaluation is what evaluate says as JSON.
type evaluation struct {
	*score.Report
	// Trainings and MissingFolds are of a run that is scored out of fold.
	Trainings    []string `json:"trainings,omitempty"`
	MissingFolds []int    `json:"missing_folds,omitempty"`
}

func (e *evaluateFlags) run(c *cobra.Command) error {
	normalise, err := score.ParseNormalise(e.normalise)
	if err != nil {
		return usage("--normalise: %w", err)
	}
	var held *score.HeldOut
	switch {
	case e.outOfFold && e.keyFile != "":
		return usage("--pseudonymize goes with --submission: what trainings held out has the names of its truth")
	case e.outOfFold && (e.submission != "" || e.truth != ""):
		return usage("--out-of-fold takes no --submission and no --truth: both are in the store")
	case e.outOfFold:
		held, err = e.heldOut.read(c.Context())
	case e.submission == "" || e.truth == "":
		return usage("give --submission and --truth, or --out-of-fold; see 'cspine evaluate --help'")
	case e.heldOut != heldOutFlags{}:
		return usage("--store, --run, --dataset and --seed go with --out-of-fold")
	default:
		held, err = readAnswers(e.submission, e.truth)
	}
	if err == nil && e.keyFile != "" {
		held.Truth, err = pseudonymous(held.Truth, e.keyFile)
	}
	if err != nil {
		return err
	}
	rows, gaps := score.Join(held.Answers, held.Truth)
	// What a training holds out lacks the vertebrae that were not found.
	if err := e.check(gaps); err != nil && !e.outOfFold {
		return err
	}
	r := score.Evaluate(rows, gaps, normalise)
	if r.Labels == 0 {
		return errors.New("no known label has a probability: is this the truth of these studies?")
	}
	if e.json {
		if err := writeJSON(c.OutOrStdout(), evaluation{r, held.Tasks, held.Missing}); err != nil {
			return err
		}
	} else {
		if e.outOfFold {
			fmt.Fprintf(c.OutOrStdout(), "%s\n", held)
		}
		printReport(c.OutOrStdout(), r)
	}
	return e.plot(c.OutOrStdout(), r)
}

// check refuses tables of which one has more than the other.
func (e *evaluateFlags) check(g score.Gaps) error {
	if e.allowMissing {
		return nil
	}
	const remedy = "give the tables of the same studies, or --allow-missing to leave these out"
	switch {
	case g.Unanswered > 0:
		return fmt.Errorf("%s has no row for %d labels that %s knows, the first %s: %s", e.submission, g.Unanswered, e.truth, g.FirstUnanswered, remedy)
	case g.Unlabelled > 0:
		return fmt.Errorf("%s does not have the studies of %d rows of %s, the first %s: %s", e.truth, g.Unlabelled, e.submission, g.FirstUnlabelled, remedy)
	}
	return nil
}

func (e *evaluateFlags) plot(out io.Writer, r *score.Report) error {
	if e.plots == "" {
		return nil
	}
	plots := r.Plots()
	if err := os.MkdirAll(e.plots, 0o777); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(plots)) {
		file := filepath.Join(e.plots, name)
		if err := os.WriteFile(file, plots[name], 0o666); err != nil {
			return err
		}
		if !e.json {
			fmt.Fprintln(out, "picture:", file)
		}
	}
	return nil
}

// readAnswers reads a submission and what is so.
func readAnswers(submission, truth string) (*score.HeldOut, error) {
	var held score.HeldOut
	var err error
	if held.Answers, err = readTable(submission, score.ReadSubmission); err == nil {
		held.Truth, err = readTable(truth, score.ReadTruth)
	}
	return &held, err
}

// pseudonymous names studies as the commands do that take the key.
func pseudonymous(truth score.Truth, keyFile string) (score.Truth, error) {
	key, err := pseudonym.Read(keyFile)
	if err != nil {
		return nil, usage("--pseudonymize: %w", err)
	}
	named := make(score.Truth, len(truth))
	for study, known := range truth {
		named[key.UID(study)] = known
	}
	return named, nil
}

// readTable reads a file by one of package score's readers.
func readTable[T any](name string, read func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(name)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	table, err := read(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return table, err
}

func printReport(out io.Writer, r *score.Report) {
	fmt.Fprintf(out, "%s, %s\n", plural(r.Studies, "study", "studies"), plural(r.Labels, "label", "labels"))
	if g := r.Gaps; g.Unanswered > 0 {
		fmt.Fprintf(out, "left out: %s without a probability, the first %s\n", plural(g.Unanswered, "label", "labels"), g.FirstUnanswered)
	}
	if g := r.Gaps; g.Unlabelled > 0 {
		fmt.Fprintf(out, "left out: %s of unknown studies, the first %s\n", plural(g.Unlabelled, "probability", "probabilities"), g.FirstUnlabelled)
	}
	fmt.Fprintf(out, "\n%-14s weighted log loss, normalised by %s\n", "", r.Normalise)
	for _, l := range []struct {
		name string
		loss score.Figure
	}{{"predictions", r.Loss}, {"best constant", r.Best.Loss}, {"prevalence", r.Prevalence.Loss}, {"always 0.5", r.Half}} {
		fmt.Fprintf(out, "%-14s %.4f\n", l.name, float64(l.loss))
	}
	fmt.Fprintf(out, "\n%-9s %6s %9s %8s %8s  %-20s %6s %12s %12s %6s\n", "", "n", "fractured", "log loss", "constant", "AUC, 95 % interval", "AP", "sens@90spec", "spec@90sens", "Brier")
	last := len(r.Targets) - 1
	for _, m := range append(slices.Clone(r.Targets[:last]), r.Vertebrae, r.Targets[last]) {
		name := m.Target
		if name == classify.TargetName(classify.PatientTarget) {
			name = "patient"
		}
		fmt.Fprintf(out, "%-9s %6d %9d %8s %8s  %-20s %6s %12s %12s %6s\n", name, m.N, m.Fractured, m.Loss, m.BestLoss, m.Area, m.Precision,
			m.Sensitivity.Value, m.Specificity.Value, m.Brier)
	}
	fmt.Fprintf(out, "\nexpected calibration error: vertebrae %s, patient %s\n", r.Vertebrae.Error, r.Targets[last].Error)
}

// plural is a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
