package runners

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cspine/cspine/internal/flink"
)

// Flink starts failed tasks again and again, by its restart strategy: what went wrong is told at the end, which may be ten minutes away. So the
// cluster is asked meanwhile.

const (
	askEvery = 3 * time.Second
	// A job whose workers never began, and whose tasks failed that often, will not begin: a wrong path, another build, a library that is missing.
	hopeless = 4
)

// watch tells of failures as they come, until ctx is done, and ends a job that can't begin: give then has the reason.
func (on *onFlink) watch(ctx context.Context, give func(error)) {
	if on.cluster.Address == "" {
		return
	}
	every := time.NewTicker(askEvery)
	defer every.Stop()
	told := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		job, ok, err := on.cluster.Job(ctx, on.r.Job)
		if err != nil || !ok {
			slog.Debug("flink", "job", on.r.Job, "error", err)
			continue
		}
		failures, err := on.cluster.Failures(ctx, job.ID)
		if err != nil {
			slog.Debug("flink", "job", on.r.Job, "error", err)
			continue
		}
		for _, f := range failures {
			if !told[f.Cause] && on.r.Trouble != nil {
				told[f.Cause] = true
				on.r.Trouble(fmt.Sprintf("a task on Flink failed and is started again: %s", f.Cause))
			}
		}
		if len(failures) >= hopeless && on.r.Began != nil && !on.r.Began() {
			give(&failure{Flink, fmt.Sprintf("no worker began, and its tasks failed %d times: %s", len(failures), last(failures).Cause)})
			return
		}
	}
}

func last(failures []flink.Failure) flink.Failure { return failures[len(failures)-1] }
