package crop

import (
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/cspine/cspine/internal/grey"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/resize"
	"github.com/cspine/cspine/internal/volume"
)

const planeSize = Size * Size

// vertebra is a crop in the making.
type vertebra struct {
	index int // in the caller's list
	box   Box
	patch *npy.Array
	open  atomic.Int32 // stacks to be made

	mu     sync.Mutex
	tensor *npy.Array
	made   []plane
}

// plane is a finished plane. Places a slice or two apart have slices in common, and often extremes too: the
// same plane need not be computed again.
type plane struct {
	slice  int
	values grey.Range
	pixels []uint8
}

func newVertebra(index int, b Box, patch *npy.Array) (*vertebra, error) {
	rows, columns := b.Row[1]-b.Row[0], b.Column[1]-b.Column[0]
	if rows < 1 || columns < 1 || patch.DType != npy.Uint8 || len(patch.Data) != Places*rows*columns {
		return nil, fmt.Errorf("crop: %s: a patch of %v does not fit rows %v, columns %v", volume.LevelName(b.Level), patch.Shape, b.Row, b.Column)
	}
	v := &vertebra{index: index, box: b, patch: patch}
	v.open.Store(Places)
	return v, nil
}

// channels returns the planes of a place, to be written.
func (v *vertebra) channels(place int) []uint8 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tensor == nil {
		v.tensor = npy.New(npy.Uint8, Places, Channels, Size, Size)
	}
	return v.tensor.Data[place*Channels*planeSize:][:Channels*planeSize]
}

// find returns the pixels of a finished plane, or nil.
func (v *vertebra) find(slice int, values grey.Range) []uint8 {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.made {
		if p.slice == slice && p.values == values {
			return p.pixels
		}
	}
	return nil
}

func (v *vertebra) add(p plane) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.made = append(v.made, p)
}

// take hands out the finished crop and forgets it.
func (v *vertebra) take() *npy.Array {
	v.mu.Lock()
	defer v.mu.Unlock()
	tensor := v.tensor
	v.tensor, v.made = nil, nil
	return tensor
}

// stack is what a crop shows at one place: neighbouring slices and a plane of the mask.
type stack struct {
	vertebra *vertebra
	place    int
	first    int // slice of the first channel; may lie before the study
}

// within yields the slices of the stack that a study of n has, and their channels.
func (s *stack) within(n int) iter.Seq2[int, int] {
	return func(yield func(slice, channel int) bool) {
		for k := range Channels - 1 {
			if z := s.first + k; z >= 0 && z < n && !yield(z, k) {
				return
			}
		}
	}
}

// cutter is what a worker keeps from stack to stack.
type cutter struct {
	values grey.Range // of table
	table  []uint8
	grey   *resize.Grey
}

// cut makes all planes of the stack. A missing slice counts as one of stored value 0.
func (s *stack) cut(slots [Channels - 1]*slot, c *cutter) error {
	values := slots[Neighbours].values // the place itself lies in the study
	for _, slot := range slots {
		other := grey.Range{}
		if slot != nil {
			other = slot.values
		}
		values = values.Union(other)
	}
	if c.table == nil || c.values != values {
		c.table, c.values = values.Table(c.table), values
	}
	v := s.vertebra
	out := v.channels(s.place)
	for k, slot := range slots {
		dst := out[k*planeSize:][:planeSize]
		if slot == nil {
			black := values.Level(0)
			for i := range dst {
				dst[i] = black
			}
			continue
		}
		if same := v.find(s.first+k, values); same != nil {
			copy(dst, same)
			continue
		}
		if err := c.plane(dst, &slot.slice, v.box); err != nil {
			return err
		}
		v.add(plane{slice: s.first + k, values: values, pixels: dst})
	}
	rows, columns := v.box.Row[1]-v.box.Row[0], v.box.Column[1]-v.box.Column[0]
	resize.LinearUint8(v.patch.Data[s.place*rows*columns:][:rows*columns], rows, columns, out[(Channels-1)*planeSize:], Size, Size)
	return nil
}

// plane writes the box's part of a slice, scaled and resized.
func (c *cutter) plane(dst []uint8, s *volume.Slice, b Box) error {
	row, column := scale(b.Row, s.Rows), scale(b.Column, s.Columns)
	rows, columns := row[1]-row[0], column[1]-column[0]
	if rows < 1 || columns < 1 {
		return fmt.Errorf("%w: %s, rows %v, columns %v of %d, in slices of %dx%d", ErrEmptyBox, volume.LevelName(b.Level), b.Row, b.Column, Grid, s.Rows, s.Columns)
	}
	if c.grey == nil || !c.grey.Takes(rows, columns) {
		c.grey = resize.NewGrey(rows, columns, Size, Size)
	}
	c.grey.Cut(dst, s.Pix[row[0]*s.Columns+column[0]:], s.Columns, c.table, int(s.Bias-c.values.Low))
	return nil
}
