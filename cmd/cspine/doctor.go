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
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say which engines this machine has, and how to get the others",
		Long: `Say which engines this machine has, in which precisions they run, what is missing
and the command that gets it.

Exit status: 0 a model can be run and trained here, 1 not.`,
		Example: "  cspine doctor",
		RunE: func(c *cobra.Command, _ []string) error {
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
	return c
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
