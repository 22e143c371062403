// Package runners runs pipelines on Beam's runners: the embedded one, Flink and Dataflow. It also makes this program the worker that a
// distributed runner starts.
//
// Invariants:
//   - The program that submits a pipeline and the one that works on it must be the same build; a worker of another one refuses.
//   - A run that is cancelled must be cancelled on the cluster too.
//   - A worker must not outlive what started it.
package runners

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow" // -runner dataflow
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"   //nolint:staticcheck // -runner direct: deprecated, and one process without gRPC
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"    // -runner prism

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
)

// The runners by name.
const (
	Embedded = "prism"
	Flink    = "flink"
	Dataflow = "dataflow"
	Direct   = "direct"
)

// Names lists the runners.
var Names = []string{Embedded, Flink, Dataflow, Direct}

// Runner says where a pipeline runs. The zero value is the embedded runner.
type Runner struct {
	Name string
	// Parallelism is how many elements are worked on at a time; 0 leaves it to the runner, or takes all of a Flink cluster's slots.
	Parallelism int
	// Job names the run on a cluster.
	Job string
	// Flink is for Name == Flink.
	Flink FlinkOptions
	// Dataflow is for Name == Dataflow.
	Dataflow DataflowOptions
	// Flags are passed to Beam as they are, such as "--project=p".
	Flags []string
	// Trouble, if not nil, is told what goes wrong on the way and is tried again.
	Trouble func(text string)
	// Began, if not nil, tells whether any step has reported anything. A job on Flink that has not begun after several failures is given up.
	Began func() bool
}

// InProcess tells whether the runner works in this process, so that it can be watched here.
func (r *Runner) InProcess() bool {
	return r.Name == "" || r.Name == Embedded || r.Name == Direct || r.Name == Flink && r.Flink.Worker == Loopback
}

var begin = sync.OnceFunc(beam.Init)

// Run runs a pipeline to its end.
func (r *Runner) Run(ctx context.Context, build func(beam.Scope)) error {
	name := r.Name
	if name == "" {
		name = Embedded
	}
	if !r.InProcess() {
		if err := stampBuild(); err != nil {
			return err
		}
	}
	if name == Flink {
		on, err := r.onFlink(ctx)
		if err != nil {
			return err
		}
		defer on.close()
		return on.run(ctx, build)
	}
	if name == Dataflow {
		run := func() error { return submit(ctx, name, append(r.Dataflow.flags(r.Job), r.Flags...), build) }
		if r.Dataflow.DryRun != nil {
			return dry(r.Dataflow.DryRun, run)
		}
		return run()
	}
	return submit(ctx, name, r.Flags, build)
}

// submit hands a pipeline to a runner, and waits for its end.
func submit(ctx context.Context, runner string, flags []string, build func(beam.Scope)) error {
	if err := flag.CommandLine.Parse(flags); err != nil {
		return fmt.Errorf("beam's flags: %w", err)
	}
	// Beam sets up a logger of its own at the start, and says much of little interest: what ends a run is
	// returned. The program's own choice stays.
	logger := slog.Default()
	begin()
	slog.SetDefault(logger)
	// Scopes are made by panicking functions; a mistake there is ours, and caught by the golden graph.
	p, s := beam.NewPipelineWithRoot()
	build(s)
	slog.Debug("submit", "runner", runner)
	if _, err := beam.Run(ctx, runner, p); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		slog.Debug("failed", "runner", runner, "error", err)
		return &failure{runner, cause(err)}
	}
	return nil
}

// failure is a run that a runner gave up.
type failure struct{ runner, cause string }

func (f *failure) Error() string {
	return fmt.Sprintf("the run on %s failed: %s; finished work is kept, run the same command again once this is mended", f.runner, f.cause)
}

// cause returns the last line of a runner's error: it wraps what a transform returned in pages about its plan.
func cause(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[len(lines)-1]
}

// Reported runs a pipeline in this process, and returns what its steps report, in no particular order.
func Reported(ctx context.Context, build func(beam.Scope)) (rows []artifacts.Row, err error) {
	var mu sync.Mutex
	stop := transforms.Observe(func(row artifacts.Row) {
		mu.Lock()
		defer mu.Unlock()
		rows = append(rows, row)
	})
	defer stop()
	err = (&Runner{}).Run(ctx, build)
	return rows, err
}
