// Package resample turns the slices of a study into the small volume that the first network sees.
//
// The method is the reference's (RSNA 2022 cervical spine, first place): 128 slices by quantiles, each
// resized to 128x128 as OpenCV does, the whole scaled to bytes by its least and greatest value.
//
// Invariants:
//   - A slice that was picked must be asked for exactly once, one that was not picked never.
//   - The result depends on the slices and on Filter, Values and Size alone: not on Workers, not on the
//     order in which slices arrive, not on the machine.
//   - No more than Workers full-size slices may be held at a time.
//   - Slices of different sizes are resized each from its own size.
package resample

import (
	"context"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/cspine/cspine/internal/grey"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/resize"
	"github.com/cspine/cspine/internal/volume"
)

// Version is raised when equal slices may make another volume. It belongs to the recipe.
const Version = 1

// What Options.Values may be.
const (
	// ValuesStored takes the values as the files hold them, as the reference does. Resized values are rounded
	// to integers.
	ValuesStored = "stored"
	// ValuesHU takes Hounsfield units: slope x value + intercept of each slice, not rounded after resizing, so
	// that slices with different rescales are comparable. (They are rescaled after they have been resized:
	// interpolation and averaging commute with it.)
	ValuesHU = "hu"
)

// Options says how a volume is made. The zero value is the reference's way. Filter, Values and Size belong
// to the recipe.
type Options struct {
	// Filter is "linear" (default) or "area".
	Filter string
	// Values is "stored" (default) or "hu".
	Values string
	// Size is the edge of the volume in voxels; 0 stands for 128.
	Size int
	// Workers is the number of slices fetched and resized at a time; 0 stands for 2. It does not change the
	// result.
	Workers int
	// Release, if set, is handed every slice after use, so that its Pix can be reused. Several goroutines
	// may call it at once.
	Release func(volume.Slice) `json:"-" toml:"-"`
}

// Rescale is what maps a slice's stored values to Hounsfield units.
type Rescale struct{ Slope, Intercept float64 }

// Getter fetches slice i of a study, 0 being the first from the head. Several goroutines call it at once.
type Getter func(ctx context.Context, i int) (volume.Slice, Rescale, error)

// Volume returns the volume of a study of n slices: uint8, [rows, columns, slices], Size voxels each. get is
// called once for every slice that Pick names. The first error ends the work and is returned with the
// slice's index. The Scale says which values became which grey levels.
func Volume(ctx context.Context, n int, get Getter, opts Options) (*npy.Array, Scale, error) {
	opts.fill()
	if err := opts.check(); err != nil {
		return nil, Scale{}, err
	}
	if n < 1 {
		return nil, Scale{}, fmt.Errorf("resample: a study of %d slices has no volume; it needs at least one", n)
	}
	picked := Pick(n, opts.Size)
	distinct, layer := deduplicate(picked)
	if opts.Values == ValuesHU {
		planes, err := planes(ctx, distinct, get, opts, hounsfield)
		if err != nil {
			return nil, Scale{}, err
		}
		v, scale := scaleHU(planes, layer, opts.Size)
		return v, scale, nil
	}
	planes, err := planes(ctx, distinct, get, opts, stored)
	if err != nil {
		return nil, Scale{}, err
	}
	v, scale := scaleStored(planes, layer, opts.Size)
	return v, scale, nil
}

// WithDefaults returns o with its zero values replaced by what they stand for.
func (o Options) WithDefaults() Options {
	o.fill()
	return o
}

// fill replaces zero values by what they stand for.
func (o *Options) fill() {
	if o.Filter == "" {
		o.Filter = string(resize.Linear)
	}
	if o.Values == "" {
		o.Values = ValuesStored
	}
	if o.Size == 0 {
		o.Size = 128
	}
	if o.Workers < 1 {
		o.Workers = 2
	}
}

func (o *Options) check() error {
	switch {
	case !resize.Filter(o.Filter).Known():
		return fmt.Errorf("resample: filter %q is neither %q nor %q", o.Filter, resize.Linear, resize.Area)
	case o.Values != ValuesStored && o.Values != ValuesHU:
		return fmt.Errorf("resample: values %q are neither %q nor %q", o.Values, ValuesStored, ValuesHU)
	case o.Size < 1:
		return fmt.Errorf("resample: a volume of size %d is none; it must be at least 1", o.Size)
	}
	return nil
}

// deduplicate returns the distinct values of picked, which does not fall, and for each of picked its place
// among them.
func deduplicate(picked []int) (distinct, place []int) {
	for _, i := range picked {
		if len(distinct) == 0 || distinct[len(distinct)-1] != i {
			distinct = append(distinct, i)
		}
		place = append(place, len(distinct)-1)
	}
	return distinct, place
}

// planes fetches the slices and makes a plane of each.
func planes[T any](ctx context.Context, slices []int, get Getter, opts Options, plane func(*volume.Slice, Rescale, Options) (T, error)) ([]T, error) {
	out := make([]T, len(slices))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(opts.Workers)
	for k, i := range slices {
		group.Go(func() (err error) {
			// A decoder that panics on a hostile file must not take the process with it.
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("resample: slice %d: %w", i, refusal.Recovered(r))
				}
			}()
			if err := ctx.Err(); err != nil {
				return err
			}
			s, rescale, err := get(ctx, i)
			if err != nil {
				return fmt.Errorf("resample: slice %d: %w", i, err)
			}
			if s.Rows < 1 || s.Columns < 1 || len(s.Pix) != s.Rows*s.Columns {
				return fmt.Errorf("resample: slice %d: %d values are not %d rows of %d columns", i, len(s.Pix), s.Rows, s.Columns)
			}
			if out[k], err = plane(&s, rescale, opts); err != nil {
				return fmt.Errorf("resample: slice %d: %w", i, err)
			}
			if opts.Release != nil {
				opts.Release(s)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

func stored(s *volume.Slice, _ Rescale, opts Options) (volume.Slice, error) {
	return resize.Slice(s, opts.Size, opts.Size, resize.Filter(opts.Filter)), nil
}

func hounsfield(s *volume.Slice, r Rescale, opts Options) ([]float32, error) {
	if !finite(r.Slope) || !finite(r.Intercept) || r.Slope == 0 {
		return nil, fmt.Errorf("rescale %g x value + %g maps no value to Hounsfield units; resample stored values instead", r.Slope, r.Intercept)
	}
	values := resize.Values(s, opts.Size, opts.Size, resize.Filter(opts.Filter))
	for i, v := range values {
		values[i] = float32(float64(r.Slope*float64(v)) + r.Intercept)
	}
	return values, nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func scaleStored(planes []volume.Slice, layer []int, size int) (*npy.Array, Scale) {
	all := grey.Of(&planes[0])
	for i := range planes {
		all = all.Union(grey.Of(&planes[i]))
	}
	table := all.Table(nil)
	return interleave(layer, size, func(dst []uint8, plane, row int) {
		p := &planes[plane]
		offset := int(p.Bias - all.Low)
		for c, v := range p.Pix[row*size:][:size] {
			dst[c] = table[int(v)+offset]
		}
	}), Scale{float64(all.Low), float64(all.High)}
}

func scaleHU(planes [][]float32, layer []int, size int) (*npy.Array, Scale) {
	low, high := planes[0][0], planes[0][0]
	for _, p := range planes {
		for _, v := range p {
			low, high = min(low, v), max(high, v)
		}
	}
	least, spread := float64(low), float64(high)-float64(low)
	return interleave(layer, size, func(dst []uint8, plane, row int) {
		for c, v := range planes[plane][row*size:][:size] {
			dst[c] = grey.Level(float64(v)-least, spread)
		}
	}), Scale{float64(low), float64(high)}
}

// interleave puts planes side by side along the last axis. levels writes a row of a plane as grey levels.
func interleave(layer []int, size int, levels func(dst []uint8, plane, row int)) *npy.Array {
	out := npy.New(npy.Uint8, size, size, size)
	line := make([]uint8, size)
	for row := range size {
		block := out.Data[row*size*size:][:size*size] // columns, slices: small enough to stay in the cache
		last := -1
		for k, plane := range layer {
			if plane != last {
				levels(line, plane, row)
				last = plane
			}
			at := k
			for _, v := range line {
				block[at] = v
				at += size
			}
		}
	}
	return out
}
