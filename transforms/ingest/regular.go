package ingest

import (
	"fmt"
	"math"
	"slices"

	"github.com/cspine/cspine/internal/refusal"
)

// regularise changes the stack where the options ask that what is irregular about it be resampled: slices at even distances take the place of uneven ones and of
// gaps, and a stack that leans is set upright. Pixels are not interpolated: a slice stands in for what lies nearest, and moves by whole pixels.
func (x *Index) regularise(opts *Options) error {
	found := func(c refusal.Code) bool {
		return slices.Contains(opts.Resample, c) && slices.ContainsFunc(x.Warnings, func(w refusal.Reason) bool { return w.Code == c })
	}
	var err error
	switch {
	case found(UnevenSpacing):
		err = x.even(slices.Contains(opts.Resample, Gap))
	case found(Gap):
		err = x.fillGaps()
	}
	if err == nil && found(Tilt) {
		err = x.upright()
	}
	return err
}

// heights are the slices' places along the normal, in mm below the first.
func (x *Index) heights() []float64 {
	n := normal(x.Orientation)
	at := make([]float64, len(x.Slices))
	for i := range at {
		at[i] = math.Abs(dot(n, minus(x.Slices[i].PositionMM, x.Slices[0].PositionMM)))
	}
	return at
}

// more is how many times its slices a study may have once it is regular.
const more = 4

// fillGaps puts slices into gaps, a median step apart: copies of the nearer end.
func (x *Index) fillGaps() error {
	at := x.heights()
	made := x.Slices[:1:1]
	for i := 1; i < len(at); i++ {
		missing := 0
		if gap := at[i] - at[i-1]; gap > gapFactor*x.SliceMM {
			missing = int(math.Round(gap/x.SliceMM)) - 1
		}
		if len(made)+missing > more*len(at) {
			return tooIrregular(Gap)
		}
		for k := 1; k <= missing; k++ {
			made = append(made, x.between(i-1, float64(k)/float64(missing+1)))
		}
		made = append(made, x.Slices[i])
	}
	x.note(Gap, fmt.Sprintf("%d slices were put between them, copies of the nearest", len(made)-len(at)))
	x.Slices = made
	return nil
}

// even puts slices at even distances: the tenth part of all steps is shorter than theirs. Without acrossGaps gaps stay as they are.
func (x *Index) even(acrossGaps bool) error {
	at := x.heights()
	steps := make([]float64, len(at)-1)
	for i := range steps {
		steps[i] = at[i+1] - at[i]
	}
	const shorter = 10
	mm := slices.Sorted(slices.Values(steps))[len(steps)/shorter]
	if !acrossGaps && slices.ContainsFunc(steps, func(s float64) bool { return s > gapFactor*x.SliceMM }) {
		return refusal.New(UnevenSpacing, "add gap to resample in the configuration's [ingest], or take uneven_spacing out", "uneven steps can't be resampled while gaps stay")
	}
	n := int(math.Round(at[len(at)-1]/mm)) + 1
	if n > more*len(at) {
		return tooIrregular(UnevenSpacing)
	}
	mm = at[len(at)-1] / float64(n-1)
	var made []Slice
	used := make([]bool, len(at))
	above := 0
	for k := range n {
		h := mm * float64(k)
		for above < len(at)-2 && at[above+1] <= h {
			above++
		}
		part := min(1, (h-at[above])/(at[above+1]-at[above]))
		made = append(made, x.between(above, part))
		used[above+int(math.Round(part))] = true
	}
	unused := 0
	for i, u := range used {
		if !u {
			unused++
			x.SetAside = append(x.SetAside, SetAside{File: x.Slices[i].File.Key, Code: UnevenSpacing, Detail: "a neighbour lies nearer to each of the even places"})
		}
	}
	x.note(UnevenSpacing, fmt.Sprintf("%d slices at even distances of %.3g mm were taken from the nearest, %d of them are not used", n, mm, unused))
	x.Slices, x.SliceMM = made, mm
	return nil
}

// between is the slice at a part of the way from slice i to the next: the nearer of both, moved there.
func (x *Index) between(i int, part float64) Slice {
	from, to := x.Slices[i].PositionMM, x.Slices[i+1].PositionMM
	s := x.Slices[i+int(math.Round(part))]
	s.PositionMM = step(from, minus(to, from), part)
	return s
}

// upright moves each slice within its plane, by whole pixels, until the stack stands on its slices' normal, on a canvas that holds them all.
func (x *Index) upright() error {
	n := normal(x.Orientation)
	right, down := [3]float64(x.Orientation[:3]), [3]float64(x.Orientation[3:])
	at := make([][2]int, len(x.Slices)) // rows and columns from where the first slice would put it
	var low, high [2]int
	for i := range at {
		off := minus(x.Slices[i].PositionMM, x.Slices[0].PositionMM)
		off = step(off, n, -dot(off, n))
		at[i] = [2]int{int(math.Round(dot(off, down) / x.SpacingMM[0])), int(math.Round(dot(off, right) / x.SpacingMM[1]))}
		for k := range low {
			low[k], high[k] = min(low[k], at[i][k]), max(high[k], at[i][k])
		}
	}
	canvas := [2]int{x.Rows + high[0] - low[0], x.Columns + high[1] - low[1]}
	if canvas[0] > 2*x.Rows || canvas[1] > 2*x.Columns {
		return tooIrregular(Tilt)
	}
	for i := range at {
		s := &x.Slices[i]
		p := Placement{}
		if s.Place != nil {
			p = *s.Place
		}
		p.Canvas, p.Down, p.Right = canvas, at[i][0]-low[0], at[i][1]-low[1]
		p.Fill = s.air()
		s.Place = &p
		s.PositionMM = step(step(s.PositionMM, down, -float64(p.Down)*x.SpacingMM[0]), right, -float64(p.Right)*x.SpacingMM[1])
	}
	x.note(Tilt, fmt.Sprintf("each slice was moved within its plane by whole pixels: the volume stands upright and has %dx%d pixels in place of %dx%d",
		canvas[0], canvas[1], x.Rows, x.Columns))
	x.Rows, x.Columns = canvas[0], canvas[1]
	return nil
}

// air is the stored value of −1000 HU, or the nearest there is.
func (s *Slice) air() int32 {
	low, high := 0.0, float64(int64(1)<<s.Pixels.BitsStored-1)
	if s.Pixels.Signed {
		low, high = -(high+1)/2, (high-1)/2
	}
	if s.Slope == 0 {
		return int32(low)
	}
	return int32(math.Round(min(high, max(low, (-1000-s.Intercept)/s.Slope))))
}

// note adds what was done to the warning that asked for it.
func (x *Index) note(code refusal.Code, done string) {
	for i := range x.Warnings {
		if w := &x.Warnings[i]; w.Code == code {
			w.Detail += "; " + done
		}
	}
}

func tooIrregular(code refusal.Code) error {
	return refusal.New(code, "transfer the series again, or take "+string(code)+" out of resample in the configuration's [ingest]", "the stack is too irregular to be resampled")
}
