package artifacts

import (
	"cmp"
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// requestsAtOnce bounds the small requests to a store that are under way at a time.
const requestsAtOnce = 32

// inParallel calls do with 0 to n-1, several at a time; 0 at once means as many as there are CPUs. The first error ends it.
func inParallel(ctx context.Context, atOnce, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(n, cmp.Or(atOnce, runtime.GOMAXPROCS(0))) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}
