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
	// Workers is how many samples are unpacked at a time, 0 for one per CPU. Memory is about
	// (2·Workers + 2) samples.
	Workers int
	// NoTensors leaves the tensors nil and reads none.
	NoTensors bool
	// Keep gives each sample memory of its own. Without it its tensors are only valid until the loop asks
	// for the next, whose memory it may become.
	Keep bool
}

// Samples iterates over rows in order. The first error ends it; so does the end of ctx.
func (r *Reader[S]) Samples(ctx context.Context, opts ReadOptions) iter.Seq2[S, error] {
	return func(yield func(S, error) bool) {
		to := cmp.Or(opts.To, r.Rows())
		if opts.From < 0 || to < opts.From || to > r.Rows() {
			yield(*new(S), fmt.Errorf("shard: rows %d to %d of %d", opts.From, to, r.Rows()))
			return
		}
		workers := min(cmp.Or(max(opts.Workers, 0), runtime.GOMAXPROCS(0)), to-opts.From)
		var running sync.WaitGroup
		defer running.Wait()
		jobs := make(chan *unpacking[S], 2*workers)
		defer close(jobs)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for range workers {
			running.Go(func() { r.unpack(ctx, jobs, opts.NoTensors) })
		}
		var queue []*unpacking[S]
		var free []*Buffer
		for next := opts.From; ; {
			for ; next < to && len(queue) < 2*workers; next++ {
				u := &unpacking[S]{row: next, done: make(chan struct{})}
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
type unpacking[S any] struct {
	row    int
	buf    *Buffer
	done   chan struct{}
	sample S
	err    error
}

func (r *Reader[S]) unpack(ctx context.Context, jobs <-chan *unpacking[S], noTensors bool) {
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
