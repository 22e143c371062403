package view

import (
	"context"
	"log/slog"
	"sync"
)

// backlog works things out behind the pages, the last that was asked for first, and remembers them.
type backlog[K comparable, V any] struct {
	mu     sync.Mutex
	work   sync.Cond
	queue  []K
	at     int // keys that are worked on: 0 or 1
	asked  map[K]bool
	failed map[K]bool
	known  map[K]V
}

// begin starts the work, which ends with ctx. What fails is not asked for again.
func (b *backlog[K, V]) begin(ctx context.Context, measure func(context.Context, K) (V, error)) {
	b.work.L = &b.mu
	b.asked, b.failed, b.known = map[K]bool{}, map[K]bool{}, map[K]V{}
	context.AfterFunc(ctx, b.work.Broadcast)
	go func() {
		for {
			key, ok := b.next(ctx)
			if !ok {
				return
			}
			value, err := measure(ctx, key)
			if err != nil {
				slog.Debug("view", "key", key, "error", err)
			}
			b.mu.Lock()
			b.at = 0
			if err != nil {
				b.failed[key] = true
			} else {
				b.known[key] = value
			}
			b.mu.Unlock()
		}
	}()
}

func (b *backlog[K, V]) next(ctx context.Context) (key K, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) == 0 && ctx.Err() == nil {
		b.work.Wait()
	}
	if ctx.Err() != nil {
		return key, false
	}
	key = b.queue[len(b.queue)-1]
	b.queue, b.at = b.queue[:len(b.queue)-1], 1
	return key, true
}

// get returns what is known of a key, and has the others worked out.
func (b *backlog[K, V]) get(key K) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	value, ok := b.known[key]
	if !ok && !b.asked[key] {
		b.asked[key] = true
		b.queue = append(b.queue, key)
		b.work.Signal()
	}
	return value, ok
}

// waits tells whether a key is still to be worked out: not if that failed.
func (b *backlog[K, V]) waits(key K) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.known[key]
	return b.asked[key] && !known && !b.failed[key]
}

// busy tells whether anything is still to be worked out.
func (b *backlog[K, V]) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)+b.at > 0
}

// put remembers what somebody else worked out.
func (b *backlog[K, V]) put(key K, value V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[key], b.known[key] = true, value
}
