package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
)

type gcFlags struct {
	store string

	keepLast           int
	keepWithin, minAge age
	keepRuns           []string
	delete, json       bool
}

func newGC() *cobra.Command {
	g := gcFlags{minAge: age(24 * time.Hour)}
	c := &cobra.Command{
		Use:   "gc --store URL",
		Short: "Delete artifacts that no kept run needs",
		Long: `Delete artifacts that no kept run needs. Without --delete it only says what
would go, why, and how many bytes that frees.

Runs are kept by their manifests: the last few of each name (--keep-last), those
younger than an age (--keep-within), and all of some names (--keep-run). What a
kept manifest names stays, with the models that made it; so does what data sets,
trainings and predictions name, and whatever is younger than --min-age. Data sets,
predictions and trained models are never deleted.

Manifests go first, then records, then objects, so that it may be stopped at any
moment. It refuses to delete while a run is under way, and a run refuses to start
while it deletes. A damaged manifest stops it before anything is deleted.

Exit status: 0 all good, 1 failed, or a run is under way, 2 wrong usage.`,
		Example: `  cspine gc --store store
  cspine gc --store store --keep-last 1 --keep-run 'paper-*' --delete
  cspine gc --store s3://bucket/cspine --keep-within 30d --json`,
		RunE: func(c *cobra.Command, _ []string) error { return g.run(c) },
	}
	f := c.Flags()
	f.StringVar(&g.store, "store", "", "folder or bucket URL of the artifact store")
	f.IntVar(&g.keepLast, "keep-last", 3, "how many of each run name's manifests to keep, the last ones")
	f.Var(&g.keepWithin, "keep-within", "keep manifests that are younger, too, such as 30d or 12h")
	f.StringSliceVar(&g.keepRuns, "keep-run", nil, "keep all manifests of runs of this name, too; * and ? may stand in it; may be repeated")
	f.Var(&g.minAge, "min-age", "delete nothing that is younger")
	f.BoolVar(&g.delete, "delete", false, "delete it")
	f.BoolVar(&g.json, "json", false, "write what goes as JSON, no progress")
	return c
}

func (g *gcFlags) run(c *cobra.Command) error {
	if g.keepLast < 0 {
		return usage("--keep-last %d: give a number from 0 on", g.keepLast)
	}
	if g.keepLast == 0 && g.keepWithin == 0 && len(g.keepRuns) == 0 {
		return usage("--keep-last 0: no run would be kept; say with --keep-within or --keep-run which are")
	}
	for _, pattern := range g.keepRuns {
		if _, err := path.Match(pattern, ""); err != nil {
			return usage("--keep-run %q: %w", pattern, err)
		}
	}
	ctx := c.Context()
	store, err := openStore(ctx, g.store)
	if err != nil {
		return err
	}
	defer store.Close()
	stages := newStages(c.ErrOrStderr(), g.json)
	found, err := store.Collect(ctx, &artifacts.CollectOptions{KeepLast: zeroMeant(g.keepLast), KeepWithin: time.Duration(g.keepWithin), KeepRuns: g.keepRuns,
		MinAge: zeroMeant(time.Duration(g.minAge)), Delete: g.delete, Progress: stages.to})
	stages.done()
	if errors.Is(err, artifacts.ErrCorrupt) {
		return fmt.Errorf("%w; 'cspine verify --repair' removes what is damaged", err)
	}
	if err != nil {
		return err
	}
	if g.json {
		return writeJSON(c.OutOrStdout(), gcReport{found, found.Going()})
	}
	printCollected(c.OutOrStdout(), found)
	return nil
}

// zeroMeant tells package artifacts that zero is meant: there it stands for the default.
func zeroMeant[N int | time.Duration](n N) N {
	if n == 0 {
		return -1
	}
	return n
}

// gcReport is what gc says for machines.
type gcReport struct {
	artifacts.Collected
	Going artifacts.Tally `json:"going"`
}

// reasons are what the fates mean, in the order in which they are told.
var reasons = []struct {
	fate artifacts.Fate
	why  string
}{
	{artifacts.Superseded, "of runs that newer ones of their name follow"},
	{artifacts.Unnamed, "no manifest names them"},
	{artifacts.Stale, "whoever announced itself is gone"},
	{artifacts.Young, "stay: no manifest names them, and they are younger than --min-age"},
	{artifacts.Kept, "stay"},
}

func printCollected(out io.Writer, found artifacts.Collected) {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, reason := range reasons {
		for _, kind := range []struct {
			name  string
			fates artifacts.Fates
		}{{"manifests", found.Manifests}, {"records", found.Records}, {"objects", found.Objects}, {"announcements", found.Leases}} {
			if n := kind.fates[reason.fate]; n.Count > 0 {
				fmt.Fprintf(t, "%d %s\t%s\t%s\n", n.Count, kind.name, inwords.Bytes(n.Bytes), reason.why)
			}
		}
	}
	_ = t.Flush()
	if found.Damaged > 0 {
		fmt.Fprintf(out, "%d records that stay are damaged: see 'cspine verify'\n", found.Damaged)
	}
	going := found.Going()
	switch {
	case going.Count == 0:
		fmt.Fprintln(out, "nothing goes")
	case found.Deleted:
		fmt.Fprintf(out, "%d files deleted, %s\n", going.Count, inwords.Bytes(going.Bytes))
	default:
		fmt.Fprintf(out, "%d files would go, %s; nothing was deleted: --delete does it\n", going.Count, inwords.Bytes(going.Bytes))
	}
}

// age is a flag: a duration that may be given in days.
type age time.Duration

func (a *age) Type() string { return "age" }

func (a *age) String() string {
	if d := time.Duration(*a); d > 0 && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	return time.Duration(*a).String()
}

func (a *age) Set(text string) error {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < 0 {
		return errors.New("give an age such as 30d, 12h or 0s")
	}
	*a = age(d)
	return nil
}
