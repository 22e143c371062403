package pipelines

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
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/flink"    // -runner flink
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"    // -runner prism

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
)

// Embedded is the engine that runs in this process.
const Embedded = "prism"

// Runners lists the engines a pipeline can run on.
var Runners = []string{Embedded, "flink", "dataflow", "direct"}

var begin = sync.OnceFunc(beam.Init)

// Run runs a pipeline to its end. BeamFlags are passed to Beam as they are, such as
// "--environment_type=LOOPBACK".
func Run(ctx context.Context, runner string, beamFlags []string, build func(beam.Scope) error) error {
	if err := flag.CommandLine.Parse(beamFlags); err != nil {
		return fmt.Errorf("beam's flags: %w", err)
	}
	// Beam sets up a logger of its own at the start, and says much of little interest: what ends a run is
	// returned. The program's own choice stays.
	logger := slog.Default()
	begin()
	slog.SetDefault(logger)
	// Scopes are made by panicking functions; a mistake there is ours, and caught by the golden graph.
	p, s := beam.NewPipelineWithRoot()
	if err := build(s); err != nil {
		return err
	}
	slog.Debug("submit", "runner", runner)
	if _, err := beam.Run(ctx, runner, p); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		slog.Debug("failed", "runner", runner, "error", err)
		return fmt.Errorf("the run on %s failed: %s; finished work is kept, run the same command again once this is mended", runner, cause(err))
	}
	return nil
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
	err = Run(ctx, Embedded, nil, func(s beam.Scope) error {
		build(s)
		return nil
	})
	return rows, err
}

// cause returns the last line of a runner's error: it wraps what a transform returned in pages about its plan.
func cause(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[len(lines)-1]
}
