package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/pipelines/runners"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/plan"
	"github.com/cspine/cspine/transforms/shard"
)

type planFlags struct {
	predictFlags
	task string
}

func newPlan() *cobra.Command {
	var p planFlags
	c := &cobra.Command{
		Use:   "plan --data DIR|URL --store URL --segmenter FILE.onnx|bundled|labels --run NAME [--classifier FILE.onnx|bundled]",
		Short: "Say what 'prepare' or 'predict' would compute, why, and how long it would take",
		Long: `Say what a run would compute, and why, without computing or writing anything. The flags
are those of 'cspine prepare'; with --classifier those of 'cspine predict'.

  cached    the store has it, or that of --cache-from
  run       it would be computed
  depends   on the content of something that runs before it: where that comes out
            as it was, this is not computed

Reasons are found by comparing recipes with those of the last run of this name, or
of the last run of all: a model, a parameter, a transform's version, slices or a mask
that changed, an artifact that is gone. Seconds are of work, by that run's means.

Exit status: 0 all good, 1 failed, 2 wrong usage, 3 some studies would be refused.`,
		Example: `  cspine plan --data rsna2022 --store store --segmenter new.onnx --run first
  cspine plan --data rsna2022 --store store --segmenter new.onnx --run first --study 1.2.826.0.1.3680043.10
  cspine plan --data rsna2022 --store store --segmenter new.onnx --classifier a.onnx --run answers --json`,
		RunE: func(c *cobra.Command, _ []string) error { return p.run(c) },
	}
	f := c.Flags()
	f.StringVar(&p.task, "task", shard.Crops, "what would be made: crops, or segmentation (volumes and label maps)")
	p.addInputs(c, "name of the run, whose last manifest is compared with")
	p.addAnswers(c, "plan a prediction with these classifiers: ONNX files, or 'bundled'")
	return c
}

func (p *planFlags) run(c *cobra.Command) error {
	p.runner.Name, p.plan = runners.Embedded, true
	prepare := &prepareFlags{studyFlags: p.studyFlags, task: p.task}
	if err := prepare.check("plan"); err != nil {
		return err
	}
	p.studyFlags = prepare.studyFlags
	ctx := c.Context()
	switch store, err := openStore(ctx, p.store); {
	case errors.Is(err, artifacts.ErrLayout):
		p.store = "mem://" // a plan makes no store
	case err != nil:
		return err
	default:
		store.Close()
	}
	prepare.store = p.store
	var rows []artifacts.Row
	var steps []string
	var site transforms.Site
	var err error
	if p.classifier != "" {
		var opts pipelines.PredictOptions
		if opts, _, err = p.build(c); err != nil {
			return err
		}
		site, steps = opts.Site, pipelines.PredictSteps
		rows, err = runners.Reported(ctx, func(s beam.Scope) { pipelines.Predict(s, opts) })
	} else {
		var opts pipelines.PrepareOptions
		if opts, _, err = prepare.build(ctx); err != nil {
			return err
		}
		site, steps = opts.Site, pipelines.PrepareSteps(p.task)
		rows, err = runners.Reported(ctx, func(s beam.Scope) { pipelines.PrepareTask(s, p.task, opts) })
	}
	if err != nil {
		return err
	}
	earlier, err := site.EarlierRows(ctx)
	if err != nil {
		return err
	}
	store, err := site.OpenStore(ctx)
	if err != nil {
		return err
	}
	p.trouble = p.trouble || prepare.trouble
	p.sayTrouble(store)
	borrowed, _ := store.Borrowed()
	return p.tell(c.OutOrStdout(), plan.Of(steps, rows, earlier), site.Earlier, borrowed)
}

// tell says what was found. borrowed artifacts of it lie in the store of --cache-from.
func (p *planFlags) tell(out io.Writer, found *plan.Plan, earlier string, borrowed int) error {
	if p.json {
		if err := writeJSON(out, struct {
			Run      string `json:"run"`
			Earlier  string `json:"earlier"`
			Borrowed int    `json:"borrowed,omitempty"` // artifacts that would be copied from the store of --cache-from
			*plan.Plan
		}{p.name, earlier, borrowed, found}); err != nil {
			return err
		}
	} else {
		printPlan(out, found, p.name, earlier, len(p.only) > 0)
		if borrowed > 0 {
			fmt.Fprintf(out, "%s would be copied from --cache-from\n", plural(borrowed, "artifact", "artifacts"))
		}
	}
	if len(found.Refused) > 0 {
		return &exitError{code: exitFound}
	}
	return nil
}

// printPlan writes a plan for people; each says what becomes of every artifact, not only their number.
func printPlan(out io.Writer, p *plan.Plan, run, earlier string, each bool) {
	after := "there was no run before"
	if earlier != "" {
		after = "compared with " + earlier
	}
	fmt.Fprintf(out, "run %s of %s, %s\n\n", run, plural(p.Studies, "study", "studies"), after)
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "step\tcached\trun\tdepends\twork\tstored")
	for _, s := range append(slices.Clone(p.Steps), p.Total()) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\n", s.Step, s.Cached, s.Run, s.Depends, upTo(s.Seconds, s.DependsSeconds, seconds), upTo(float64(s.Bytes), float64(s.DependsBytes), func(n float64) string { return inwords.Bytes(int64(n)) }))
	}
	_ = t.Flush()
	if total := p.Total(); total.Run+total.Depends == 0 {
		fmt.Fprintln(out, "\nnothing to do: everything is cached")
	}
	if len(p.Reasons) > 0 {
		fmt.Fprintln(out, "\nwhy:")
		t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		for _, r := range p.Reasons {
			fmt.Fprintf(t, "  %s\t%d of %s\t%s\n", r.Step, r.Artifacts, subjects(r), r.Why)
		}
		_ = t.Flush()
	}
	if len(p.Refused) > 0 {
		fmt.Fprintln(out, "\nwould be refused:")
		for _, w := range p.Refused {
			fmt.Fprintf(out, "  %s  step %s: %s\n", w.Subject, w.Step, w.Why)
		}
	}
	if each && len(p.Work) > 0 {
		fmt.Fprintln(out)
		t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		for _, w := range p.Work {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", w.Subject, w.Step, w.Part, w.Verdict, w.Why)
		}
		_ = t.Flush()
	}
}

func subjects(r plan.Reason) string {
	if r.Step == "shard" {
		return plural(r.Subjects, "shard", "shards")
	}
	return plural(r.Subjects, "study", "studies")
}

// upTo writes what is sure and what may come on top of it.
func upTo(sure, perhaps float64, write func(float64) string) string {
	switch {
	case sure == 0 && perhaps == 0:
		return "-"
	case perhaps == 0:
		return write(sure)
	case sure == 0:
		return "up to " + write(perhaps)
	}
	return write(sure) + " to " + write(sure+perhaps)
}

func seconds(s float64) string {
	switch {
	case s < 100:
		return fmt.Sprintf("%.1f s", s)
	case s < 6000:
		return fmt.Sprintf("%.0f min", s/60)
	}
	return fmt.Sprintf("%.1f h", s/3600)
}
