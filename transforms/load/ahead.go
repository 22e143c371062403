package load

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/cspine/cspine/internal/refusal"
)

// reading is a sample on its way.
type reading[T any] struct {
	index  int
	done   chan struct{}
	sample T
	err    error
}

// ahead iterates over what get makes of the numbers in order, from the skip-th on. Some of them are made before they are asked for. The
// first error ends the iteration; so does the end of ctx. Where says of which sample a panic is.
func ahead[T any](ctx context.Context, o Options, order []int, skip int, get func(i int) (T, error), where func(i int, err error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if skip < 0 || skip > len(order) {
			yield(none, fmt.Errorf("load: begin at sample %d of %d", skip, len(order)))
			return
		}
		rest := order[skip:]
		var running sync.WaitGroup
		defer running.Wait()
		jobs := make(chan *reading[T], o.Ahead)
		defer close(jobs)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for range min(o.Readers, len(rest)) {
			running.Go(func() {
				for r := range jobs {
					r.make(ctx, get, where)
				}
			})
		}
		var queue []*reading[T]
		for len(rest) > 0 || len(queue) > 0 {
			for len(rest) > 0 && len(queue) < o.Ahead {
				r := &reading[T]{index: rest[0], done: make(chan struct{})}
				rest = rest[1:]
				queue = append(queue, r)
				jobs <- r
			}
			r := queue[0]
			queue[0], queue = nil, queue[1:]
			select {
			case <-r.done:
			case <-ctx.Done():
				yield(none, context.Cause(ctx))
				return
			}
			if !yield(r.sample, r.err) || r.err != nil {
				return
			}
		}
	}
}

func (r *reading[T]) make(ctx context.Context, get func(int) (T, error), where func(int, error) error) {
	defer close(r.done)
	defer func() {
		if p := recover(); p != nil {
			r.err = where(r.index, refusal.Recovered(p))
		}
	}()
	if r.err = ctx.Err(); r.err == nil {
		r.sample, r.err = get(r.index)
	}
}

// cache keeps what fits. Nothing is ever thrown out: every epoch reads everything once, so that whatever was read last is what is
// needed last.
type cache[K comparable, V any] struct {
	mu   sync.Mutex
	kept map[K]V
	room int64 // bytes left
}

func newCache[K comparable, V any](bytes int64) *cache[K, V] {
	return &cache[K, V]{kept: map[K]V{}, room: bytes}
}

func (c *cache[K, V]) get(key K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok = c.kept[key]
	return v, ok
}

func (c *cache[K, V]) keep(key K, v V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.kept[key]; !ok && int64(size) <= c.room {
		c.kept[key] = v
		c.room -= int64(size)
	}
}
