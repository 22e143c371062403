package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/spf13/pflag"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/pipelines/runners"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/manifest"
)

// runnerFlags say where a pipeline runs.
type runnerFlags struct {
	runners.Runner
	dry bool
}

func (r *runnerFlags) add(f *pflag.FlagSet) {
	f.StringVar(&r.Name, "runner", runners.Embedded, "where it runs: prism (embedded), flink, dataflow or direct")
	f.IntVar(&r.Parallelism, "parallelism", 0, "elements worked on at a time on Flink (default: all slots of the cluster)")
	f.StringVar(&r.Flink.Master, "flink-master", "", "host:port of the Flink cluster's REST service (default: a small cluster of this run's own)")
	f.StringVar(&r.Flink.JobServer, "job-server", "", "host:port of Beam's job server for that cluster (default: one is started)")
	f.StringVar(&r.Flink.Worker, "worker", "", "what works on Flink: the file of cspine on its task managers, docker:IMAGE, or loopback for this process (default: this program's own file)")
	f.IntVar(&r.Flink.Cores, "worker-cores", 0, "processors that each worker on Flink uses at a time (default: all of its machine)")
	f.StringVar(&r.Dataflow.Image, "image", "", "container image of Dataflow's workers (see deploy/docker)")
	f.StringVar(&r.Dataflow.Machine, "machine", "", "type of their machines (default "+runners.DefaultMachine+")")
	f.StringVar(&r.Dataflow.Accelerator, "accelerator", "", "what each of them has, such as 'type:nvidia-l4;count:1;install-nvidia-driver'")
	f.BoolVar(&r.dry, "dry-run", false, "print the job for Dataflow as JSON, and do nothing")
	f.StringArrayVar(&r.Flags, "beam", nil, "a flag for Beam, such as --beam=--project=p")
}

func (r *runnerFlags) check() error {
	if !slices.Contains(runners.Names, r.Name) {
		return usage("--runner %q is not one of %v", r.Name, runners.Names)
	}
	if r.Parallelism < 0 {
		return usage("--parallelism %d: there is no such number of elements", r.Parallelism)
	}
	for _, f := range []struct{ flag, value, of string }{
		{"--flink-master", r.Flink.Master, runners.Flink}, {"--job-server", r.Flink.JobServer, runners.Flink}, {"--worker", r.Flink.Worker, runners.Flink},
		{"--image", r.Dataflow.Image, runners.Dataflow}, {"--machine", r.Dataflow.Machine, runners.Dataflow}, {"--accelerator", r.Dataflow.Accelerator, runners.Dataflow},
	} {
		if f.value != "" && r.Name != f.of {
			return usage("%s is for --runner %s", f.flag, f.of)
		}
	}
	switch cores := r.Flink.Cores; {
	case cores < 0:
		return usage("--worker-cores %d: there is no such number of processors", cores)
	case cores > 0 && r.Name != runners.Flink:
		return usage("--worker-cores is for --runner %s", runners.Flink)
	case cores > 0 && (r.Flink.Worker == runners.Loopback || strings.HasPrefix(r.Flink.Worker, "docker:")):
		return usage("--worker-cores is for workers that are processes: give a container its processors, and this process its own by GOMAXPROCS")
	}
	d := &r.Dataflow
	switch {
	case r.dry && r.Name != runners.Dataflow:
		return usage("--dry-run is for --runner %s; 'cspine plan' says what a run would compute", runners.Dataflow)
	case r.Name == runners.Dataflow && d.Image == "":
		return usage("--image is missing: the container image of Dataflow's workers; see docs/operations.md")
	case d.Accelerator != "" && d.Machine == "":
		return usage("--machine is missing: a type that takes this accelerator, such as g2-standard-8 for nvidia-l4")
	}
	return nil
}

// reachable refuses places that workers on other machines can't reach.
func (r *runnerFlags) reachable(places ...flagValue) error {
	for _, p := range places {
		if r.Name == runners.Dataflow && p.value != "" && local(p.value) {
			return usage("%s %s: workers on Dataflow don't see the folders of this machine; name a bucket, such as gs://bucket/%s", p.flag, p.value, p.what)
		}
	}
	return nil
}

// printJob writes the job that would be submitted.
func (r *runnerFlags) printJob(ctx context.Context, out io.Writer, run, id string, build func(beam.Scope)) error {
	r.Job, r.Dataflow.DryRun = jobName(run, id), out
	return r.Run(ctx, build)
}

// watched runs a pipeline, shows how far each of its steps is, of studies or of as much as totals says, and returns the rows of its manifest. site is
// the pipeline's own, which is told where to leave word.
func (r *runnerFlags) watched(ctx context.Context, out io.Writer, quiet bool, store *artifacts.Store, site *transforms.Site, run, id string, steps []string, totals map[string]int, build func(beam.Scope)) ([]artifacts.Row, error) {
	r.Job = jobName(run, id)
	bars := newProgress(out, quiet)
	defer bars.done()
	for _, name := range steps {
		total, ok := totals[name]
		if !ok {
			total = site.Studies
		}
		bars.step(name, total)
	}
	herald, silence := newHerald(ctx, store, run, id, bars.steps)
	defer silence()
	counter := newStudyCounter(steps, func(step string) {
		bars.steps[slices.Index(steps, step)].add()
		herald.passed(step)
	})
	var began atomic.Bool
	r.Began = began.Load
	r.Trouble = func(text string) { fmt.Fprintln(out, "cspine:", text) }
	show := func(row artifacts.Row) {
		began.Store(true)
		counter.observe(row)
		herald.observe(row)
	}
	var stop func()
	if r.InProcess() {
		stop = transforms.Observe(show)
	} else {
		site.Progress = transforms.ProgressFolder(run, id)
		stop = transforms.Follow(ctx, store, site.Progress, show)
	}
	err := r.Run(ctx, build)
	stop()
	if err != nil {
		return nil, err
	}
	rows, err := manifest.Read(ctx, store, manifest.Key(run, id))
	if !r.InProcess() { // a worker is ended before it leaves its last word
		for _, row := range rows {
			counter.observe(row)
		}
	}
	return rows, err
}

var notInJobs = regexp.MustCompile(`[^a-z0-9]+`)

// jobName names a run on a cluster, with what all of them take: small letters, digits and hyphens.
func jobName(run, id string) string {
	return strings.Trim(notInJobs.ReplaceAllString(strings.ToLower("cspine-"+run+"-"+id), "-"), "-")
}
