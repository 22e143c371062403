package crop

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/cspine/cspine/internal/grey"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/volume"
)

// Each makes the crops of several vertebrae of one study of n slices in one pass from head to foot: every
// slice that any of them needs is fetched once, and dropped as soon as no stack wants it any more. patches
// holds what Patch says of each box.
//
// emit is handed each crop when it is complete, with its index in boxes: uint8, [Places, Channels, Size,
// Size], owned by the callee. Several goroutines may call it at once, in no fixed order. The first error of
// get or emit ends the work and is returned.
//
// Memory: 5 slices for each worker and 5 more, and the crops that the pass is in the midst of (4.5 MB each;
// two or three in a neck), besides what emit holds.
func Each(ctx context.Context, boxes []Box, patches []*npy.Array, n int, get Getter, opts Options, emit func(i int, tensor *npy.Array) error) error {
	p, err := newPass(boxes, patches, n)
	if err != nil {
		return err
	}
	p.get, p.release, p.emit = get, opts.Release, emit
	workers := opts.Workers
	if workers < 1 {
		workers = 2
	}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(workers, len(p.tasks)) {
		group.Go(func() (err error) {
			// A decoder that panics on a hostile file must not take the process with it.
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("crop: %w", refusal.Recovered(r))
				}
			}()
			c := new(cutter)
			for {
				k := int(next.Add(1)) - 1
				if k >= len(p.tasks) {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := p.tasks[k](ctx, c); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// pass is one way through a study. Its tasks are worked off in order by any number of workers: fetch a
// slice, or make the planes of a stack. A stack stands after the fetches of all its slices; it waits for
// those that are still under way, while a fetch waits for nothing, so that the pass cannot lock up.
type pass struct {
	n       int
	tasks   []func(context.Context, *cutter) error
	slots   map[int]*slot
	get     Getter
	release func(volume.Slice)
	emit    func(i int, tensor *npy.Array) error
}

// slot is a slice on its way through the pass.
type slot struct {
	ready chan struct{} // closed once slice and values are set
	users atomic.Int32  // stacks that still want it

	slice  volume.Slice
	values grey.Range
}

func newPass(boxes []Box, patches []*npy.Array, n int) (*pass, error) {
	if len(boxes) != len(patches) {
		return nil, fmt.Errorf("crop: %d boxes with %d patches", len(boxes), len(patches))
	}
	p := &pass{n: n, slots: map[int]*slot{}}
	byLast := map[int][]*stack{}
	for i, b := range boxes {
		at := Positions(b, n)
		if at == nil {
			return nil, fmt.Errorf("%w: %s, slices %v of %d, in a study of %d", ErrEmptyBox, volume.LevelName(b.Level), b.Slice, Grid, n)
		}
		v, err := newVertebra(i, b, patches[i])
		if err != nil {
			return nil, err
		}
		for place, position := range at {
			s := &stack{vertebra: v, place: place, first: position.Slice - Neighbours}
			for z := range s.within(n) {
				if p.slots[z] == nil {
					p.slots[z] = &slot{ready: make(chan struct{})}
				}
				p.slots[z].users.Add(1)
			}
			last := min(n-1, position.Slice+Neighbours)
			byLast[last] = append(byLast[last], s)
		}
	}
	var needed []int
	for z := range p.slots {
		needed = append(needed, z)
	}
	slices.Sort(needed)
	for _, z := range needed {
		p.tasks = append(p.tasks, func(ctx context.Context, _ *cutter) error { return p.fetch(ctx, z) })
		for _, s := range byLast[z] {
			p.tasks = append(p.tasks, func(ctx context.Context, c *cutter) error { return p.make(ctx, s, c) })
		}
	}
	return p, nil
}

func (p *pass) fetch(ctx context.Context, z int) error {
	slot := p.slots[z]
	s, err := p.get(ctx, z)
	if err != nil {
		return fmt.Errorf("crop: slice %d: %w", z, err)
	}
	if s.Rows < 1 || s.Columns < 1 || len(s.Pix) != s.Rows*s.Columns {
		return fmt.Errorf("crop: slice %d: %d values are not %d rows of %d columns", z, len(s.Pix), s.Rows, s.Columns)
	}
	slot.slice, slot.values = s, grey.Of(&s)
	close(slot.ready)
	return nil
}

// make makes the planes of a stack, gives its slices back, and emits the crop if that was its last stack.
func (p *pass) make(ctx context.Context, s *stack, c *cutter) error {
	var planes [Channels - 1]*slot
	for z, k := range s.within(p.n) {
		slot := p.slots[z]
		select {
		case <-slot.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		planes[k] = slot
	}
	if err := s.cut(planes, c); err != nil {
		return err
	}
	for _, slot := range planes {
		if slot == nil || slot.users.Add(-1) > 0 {
			continue
		}
		done := slot.slice
		slot.slice = volume.Slice{}
		if p.release != nil {
			p.release(done)
		}
	}
	if v := s.vertebra; v.open.Add(-1) == 0 {
		return p.emit(v.index, v.take())
	}
	return nil
}
