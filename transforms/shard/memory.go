package shard

import (
	"context"
	"runtime"

	"golang.org/x/sync/semaphore"
)

// memory is what the shards that a process makes at one time may take. A shard is in memory as a whole, and for a moment twice: compressed to
// about half, that is what its tensors take unpacked. Two processors are no quicker with two shards at a time, which are mostly copied.
var memory = newBudget(int64(max(2, runtime.GOMAXPROCS(0))) * (256 << 20))

// budget lets work of so many bytes go on at one time. One that is larger than all goes on alone.
type budget struct {
	bytes int64
	*semaphore.Weighted
}

func newBudget(bytes int64) budget { return budget{bytes, semaphore.NewWeighted(bytes)} }

// acquire waits until there is room for so many bytes, which are taken until release is called.
func (b budget) acquire(ctx context.Context, bytes int64) (release func(), err error) {
	bytes = min(bytes, b.bytes)
	if err := b.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	return func() { b.Release(bytes) }, nil
}
