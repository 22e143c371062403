package shard

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/planezstd"
	"github.com/cspine/cspine/transforms"
)

// ahead is how many rows are read from the store while others are packed.
const ahead = 2

// load yields the rows with their tensors, in order.
func load[S any](ctx context.Context, r *transforms.Report, k *kind[S], rows []S, made []inputs) iter.Seq2[filled[S], error] {
	return func(yield func(filled[S], error) bool) {
		type loaded struct {
			filled[S]
			err error
		}
		queue := make(chan chan loaded, ahead)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			defer close(queue)
			for i, row := range rows {
				c := make(chan loaded, 1)
				select {
				case queue <- c:
				case <-ctx.Done():
					return
				}
				go func() {
					frames, err := fill(ctx, r, k.record(&row), made[i])
					c <- loaded{filled[S]{row, frames}, err}
				}()
			}
		}()
		for c := range queue {
			l := <-c
			if !yield(l.filled, l.err) || l.err != nil {
				return
			}
		}
	}
}

// fill reads a row's tensors, or their frames where the store has what Write would make.
func fill(ctx context.Context, r *transforms.Report, row record, from inputs) ([]*planezstd.Frame, error) {
	tensors := row.tensors()
	frames := make([]*planezstd.Frame, len(tensors))
	for i, t := range tensors {
		frame, array, err := r.Frame(ctx, from[i].digest, t.layout())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", row.name(), err)
		}
		if frame == nil {
			if !slices.Equal(array.Shape, t.shape) {
				return nil, fmt.Errorf("%s: the artifact has shape %v, not %v", row.name(), array.Shape, t.shape)
			}
			*t.data = array.Data
			continue
		}
		if want := npy.Header(elements[t.dtype], t.shape...); !bytes.Equal(frame.Head, want) {
			return nil, fmt.Errorf("%s: the artifact is %.200q, not %q", row.name(), frame.Head, want)
		}
		frames[i], *t.data = frame, zeros(frame.Size)
	}
	return frames, nil
}

var blank struct {
	sync.Mutex
	zeros []byte
}

// zeros returns n bytes that nobody may change, for tensors of which only the length counts.
func zeros(n int) []byte {
	blank.Lock()
	defer blank.Unlock()
	if len(blank.zeros) < n {
		blank.zeros = make([]byte, n)
	}
	return blank.zeros[:n:n]
}
