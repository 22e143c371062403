package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/transforms/shard"
)

type verifyFlags struct {
	store string

	readData, repair, json bool
	workers                int
}

func newVerify() *cobra.Command {
	var v verifyFlags
	c := &cobra.Command{
		Use:   "verify --store URL",
		Short: "Check that a store holds what it says, and nothing damaged",
		Long: `Check that a store holds what it says: every record parses, lies under its
recipe, and its object is there in its size; the manifests of runs and data sets
match their check sums; data sets have their shards.

With --read-data everything is read: objects are unpacked and hashed anew, shards
hashed, and the footers of Parquet files read. One flipped bit is found.

--repair removes what is damaged, and nothing else: records first, then objects,
then named files. The next run makes exactly that anew. It refuses to run while a
run is under way; looking is possible at any time.

Exit status: 0 all good, 1 failed (or with --repair: a run is under way), 2 wrong
usage, 3 done, but something is damaged or missing, also where it was repaired.`,
		Example: `  cspine verify --store store
  cspine verify --store s3://bucket/cspine --read-data --workers 8 --json
  cspine verify --store store --read-data --repair`,
		RunE: func(c *cobra.Command, _ []string) error { return v.run(c) },
	}
	f := c.Flags()
	f.StringVar(&v.store, "store", "", "folder or bucket URL of the artifact store")
	f.BoolVar(&v.readData, "read-data", false, "read and check every object and shard")
	f.BoolVar(&v.repair, "repair", false, "remove what is damaged, so that the next run makes it anew")
	f.IntVar(&v.workers, "workers", 0, "files that are read at a time (default: as many as there are CPUs)")
	f.BoolVar(&v.json, "json", false, "write the findings as JSON, no progress")
	return c
}

// verifyReport is what verify says for machines.
type verifyReport struct {
	artifacts.Verified
	Findings []artifacts.Finding `json:"findings"`
}

func (v *verifyFlags) run(c *cobra.Command) error {
	if v.workers < 0 {
		return usage("--workers %d: give a number from 1 on", v.workers)
	}
	ctx, out := c.Context(), c.OutOrStdout()
	store, err := openStore(ctx, v.store)
	if err != nil {
		return err
	}
	defer store.Close()
	stages := newStages(c.ErrOrStderr(), v.json)
	report := verifyReport{Findings: []artifacts.Finding{}}
	report.Verified, err = store.Verify(ctx, &artifacts.VerifyOptions{ReadData: v.readData, Repair: v.repair, Workers: v.workers,
		Parquet: readParquet, Progress: stages.to}, func(f artifacts.Finding) { report.Findings = append(report.Findings, f) })
	stages.done()
	if err != nil {
		return err
	}
	slices.SortFunc(report.Findings, func(a, b artifacts.Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
	})
	if !v.json {
		report.print(out, v)
	} else if err := writeJSON(out, report); err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		return &exitError{code: exitFound}
	}
	return nil
}

func (r *verifyReport) print(out io.Writer, v *verifyFlags) {
	how := "there, in its size"
	if r.ReadData {
		how = "read and hashed"
	}
	fmt.Fprintf(out, "%d records, %d objects (%s; %s), %d manifests, JSON and Parquet files\n", r.Records, r.Objects.Count, inwords.Bytes(r.Objects.Bytes), how, r.Files)
	for _, n := range []struct {
		count int
		what  string
	}{
		{r.Unnamed.Count, "objects (" + inwords.Bytes(r.Unnamed.Bytes) + ") that nothing names: 'cspine gc' takes them away once they are old enough"},
		{r.Unchecked, "named files of other kinds, which carry no check sum"},
		{r.Strays, "files that are not the store's own"},
	} {
		if n.count > 0 {
			fmt.Fprintf(out, "besides: %d %s\n", n.count, n.what)
		}
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(out, "nothing is damaged or missing")
		return
	}
	kinds := map[artifacts.FindingKind]int{}
	for _, f := range r.Findings {
		kinds[f.Kind]++
		fmt.Fprintf(out, "\n%s  %s\n    %s\n    remedy: %s\n", f.Kind, f.Key, f.Detail, f.Remedy)
	}
	var counts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		counts = append(counts, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	fmt.Fprintf(out, "\nfound: %s\n", strings.Join(counts, ", "))
	if v.repair {
		fmt.Fprintf(out, "%d files removed: run what made them again, with the same flags\n", r.Removed)
	} else {
		fmt.Fprintln(out, "'cspine verify --repair' with these flags removes what is damaged")
	}
}

// readParquet reads what a Parquet file says of itself: of data sets' shards as their reader does, of others as any reader does.
func readParquet(_ context.Context, key string, file io.ReaderAt, size int64) (err error) {
	defer func() {
		if p := recover(); p != nil { // the library trusts its input
			err = fmt.Errorf("the Parquet reader gave up: %v", p)
		}
	}()
	if strings.HasPrefix(key, "datasets/") {
		_, asCrops := shard.Open(file, size)
		if asCrops == nil {
			return nil
		}
		if _, err := shard.OpenSegmentations(file, size); err == nil {
			return nil
		}
		return asCrops
	}
	_, err = parquet.OpenFile(file, size)
	return err
}

// stages shows how far each stage of a long piece of work is; a stage is known once it begins.
type stages struct {
	mu   sync.Mutex
	bars *progress
	all  map[string]*stepProgress
}

func newStages(out io.Writer, quiet bool) *stages {
	return &stages{bars: newProgress(out, quiet), all: map[string]*stepProgress{}}
}

func (s *stages) to(stage string, done, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step := s.all[stage]
	if step == nil {
		step = s.bars.step(stage, total)
		s.all[stage] = step
	}
	if done > step.n {
		step.to(done)
	}
}

func (s *stages) done() { s.bars.done() }
