package shard

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
)

// ReadOptions says which samples to iterate over, and how. The zero value means all, with tensors.
type ReadOptions struct {
	// From and To are a half-open range of rows; To 0 is the end.
	From, To int
	// Workers is how many tensors are unpacked at a time, 0 for one per CPU. Memory is about
	// (2·Workers + 2) tensors.
	Workers int
	// NoTensors leaves Tensor nil and reads none.
	NoTensors bool
	// Keep gives each tensor memory of its own. Without it a tensor is only valid until the loop asks
	// for the next, whose memory it may become.
	Keep bool
}

// Samples iterates over rows in order. The first error ends it; so does the end of ctx.
func (r *Reader) Samples(ctx context.Context, opts ReadOptions) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		to := cmp.Or(opts.To, r.Rows())
		if opts.From < 0 || to < opts.From || to > r.Rows() {
			yield(Sample{}, fmt.Errorf("shard: rows %d to %d of %d", opts.From, to, r.Rows()))
			return
		}
		workers := min(cmp.Or(max(opts.Workers, 0), runtime.GOMAXPROCS(0)), to-opts.From)
		var running sync.WaitGroup
		defer running.Wait()
		jobs := make(chan *unpacking, 2*workers)
		defer close(jobs)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for range workers {
			running.Go(func() { r.unpack(ctx, jobs, opts.NoTensors) })
		}
		var queue []*unpacking
		var free []*Buffer
		for next := opts.From; ; {
			for ; next < to && len(queue) < 2*workers; next++ {
				u := &unpacking{row: next, done: make(chan struct{})}
				if n := len(free); n > 0 {
					u.buf, free = free[n-1], free[:n-1]
				} else if !opts.Keep {
					u.buf = new(Buffer)
				}
				queue = append(queue, u)
				jobs <- u
			}
			if len(queue) == 0 {
				return
			}
			u := queue[0]
			queue = queue[1:]
			<-u.done
			if !yield(u.sample, u.err) || u.err != nil {
				return
			}
			if !opts.Keep {
				free = append(free, u.buf)
			}
		}
	}
}

// unpacking is a row on its way out.
type unpacking struct {
	row    int
	buf    *Buffer
	done   chan struct{}
	sample Sample
	err    error
}

func (r *Reader) unpack(ctx context.Context, jobs <-chan *unpacking, noTensors bool) {
	for u := range jobs {
		switch {
		case ctx.Err() != nil:
			u.err = fmt.Errorf("shard: row %d: %w", u.row, context.Cause(ctx))
		case noTensors:
			u.sample, u.err = r.Info(u.row)
		default:
			u.sample, u.err = r.Read(u.row, u.buf)
		}
		close(u.done)
	}
}
