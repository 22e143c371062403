package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/models/engines"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	var data, config string
	c := &cobra.Command{
		Use:   "doctor [--data DIR|URL]",
		Short: "Say which engines this machine has, or what a data set holds and what of it would be refused",
		Long: `Say which engines this machine has, in which precisions they run, what is missing
and the command that gets it.

With --data, read the headers of all files of a data set instead, and say which
studies would be refused, and why, and what there is: transfer syntaxes, modalities,
makers, distances. Nothing is stored. With --config it is as a run with that
configuration would have it.

Exit status: 0 a model can be run and trained here, 1 not. With --data: 0 no study
would be refused, 3 some would be, 1 the data set can't be read.`,
		Example: `  cspine doctor
  cspine doctor --data rsna2022`,
		RunE: func(c *cobra.Command, _ []string) error {
			if data != "" {
				return doctorData(c, data, config, asJSON)
			}
			if config != "" {
				return usage("--config goes with --data")
			}
			d := diagnose()
			if asJSON {
				if err := writeJSON(c.OutOrStdout(), d); err != nil {
					return err
				}
			} else {
				d.print(c.OutOrStdout())
			}
			if d.Inference == "" || d.Training == "" {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write the findings as JSON")
	c.Flags().StringVar(&data, "data", "", "folder or bucket URL of studies to look at")
	c.Flags().StringVar(&config, "config", "", "with --data: parameters of the run, as TOML, of which [ingest] counts")
	return c
}

func doctorData(c *cobra.Command, data, config string, asJSON bool) error {
	cfg, err := readConfig(config)
	if err != nil {
		return err
	}
	a, err := surveyData(c.Context(), data, cfg.Ingest)
	if err != nil {
		return err
	}
	if !asJSON {
		a.print(c.OutOrStdout())
	} else if err := writeJSON(c.OutOrStdout(), a); err != nil {
		return err
	}
	if a.Refused > 0 {
		return &exitError{code: exitFound}
	}
	return nil
}

// diagnosis is what doctor found.
type diagnosis struct {
	System     string           `json:"system"`
	Processors int              `json:"processors"`
	Engines    []engines.Status `json:"engines"`
	// Inference and Training are what "auto" chooses; empty where there is none.
	Inference string `json:"inference"`
	Training  string `json:"training"`
}

func diagnose() diagnosis {
	d := diagnosis{System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.GOMAXPROCS(0), Engines: engines.Survey()}
	if e, err := engines.Find(engines.Auto, engines.Inference); err == nil {
		d.Inference = e.Name()
	}
	if e, err := engines.Find(engines.Auto, engines.Training); err == nil {
		d.Training = e.Name()
	}
	return d
}

func (d *diagnosis) print(out io.Writer) {
	fmt.Fprintf(out, "machine     %s, %d processors\n", d.System, d.Processors)
	for _, e := range d.Engines {
		does := "runs models"
		if e.Trains {
			does = "runs and trains models"
		}
		if e.Missing != "" {
			fmt.Fprintf(out, "\n%-11s missing: %s\n", e.Name, e.Missing)
			fmt.Fprintf(out, "            it %s; %s\n", does, e.Remedy)
			continue
		}
		var precisions []string
		for _, p := range e.Precisions {
			precisions = append(precisions, string(p))
		}
		fmt.Fprintf(out, "\n%-11s ready: %s, in %s\n            %s\n", e.Name, does, strings.Join(precisions, ", "), e.Identity)
	}
	fmt.Fprintf(out, "\n--engine auto runs models with %s and trains them with %s\n", orNone(d.Inference), orNone(d.Training))
}

func orNone(name string) string {
	if name == "" {
		return "nothing"
	}
	return name
}
