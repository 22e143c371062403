package crop

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

// Box is where a vertebra lies in the mask: half-open ranges of voxels in the Grid, never empty. The
// reference calls them (x1, x2), (y1, y2), (z1, z2).
type Box struct {
	Level  int    `json:"level"` // 0 for C1
	Row    [2]int `json:"row"`
	Column [2]int `json:"column"`
	Slice  [2]int `json:"slice"`
	// Threshold is the probability above which the voxels lie that the box was put around.
	Threshold float64 `json:"threshold"`
}

// text is the box as recipes have it.
func (b Box) text() string { return fmt.Sprint(b.Row, b.Column, b.Slice) }

// BoxOf returns the box of a crop by its recipe, but for its threshold and level.
func BoxOf(recipe artifacts.Recipe) (b Box, err error) {
	for _, p := range recipe.Params {
		if p.Name == "box" {
			_, err = fmt.Sscanf(p.Value, "[%d %d] [%d %d] [%d %d]", &b.Row[0], &b.Row[1], &b.Column[0], &b.Column[1], &b.Slice[0], &b.Slice[1])
			return b, err
		}
	}
	return b, errors.New("crop: the recipe has no box")
}

// Reason says why a vertebra has no box.
type Reason string

// The reasons.
const (
	// EmptyMask: no voxel's probability exceeds either threshold.
	EmptyMask Reason = "mask_empty"
	// EmptyBox: the box is so thin, or the study has so few rows, columns or slices, that none lies in it.
	EmptyBox Reason = "box_empty"
)

// Verdict is the box of one level, or why there is none.
type Verdict struct {
	Level  int    `json:"level"` // 0 for C1
	Found  bool   `json:"found"`
	Box    Box    `json:"box"`              // of use only if Found
	Reason Reason `json:"reason,omitempty"` // set unless Found
}

// BoxOptions says what counts as vertebra. All of it belongs to the recipe.
type BoxOptions struct {
	// Strict is the probability that a voxel must exceed; 0 stands for 0.2.
	Strict float64
	// Loose is the threshold for vertebrae that have no voxel above Strict; 0 stands for 0.05.
	Loose float64
	// Island is the share of its largest coherent part that another part of a vertebra must have to count: what a segmenter sees
	// in a few voxels far away would widen the box, and every crop detail would shrink. 0 stands for 0.1. A negative share takes all, as the
	// reference does.
	Island float64
}

// Boxes finds the vertebrae in a mask of probabilities x 255: uint8, [7, Grid, Grid, Grid]. It returns a
// verdict for each of the seven levels. It panics if mask has another shape.
//
// The box goes from one voxel before the first to one after the last that exceeds the threshold and is on no small island, as far as
// the grid goes. Being half-open it ends after the last: the reference's margin is on one side.
func Boxes(mask *npy.Array, opts BoxOptions) []Verdict {
	verdicts := make([]Verdict, volume.Levels)
	for level := range verdicts {
		verdicts[level] = find(maskLevel(mask, level), level, opts)
	}
	return verdicts
}

// Fit returns v, or, if its box holds no pixel of a study of that many rows, columns and slices, a verdict
// that says so. Each refuses such boxes.
func Fit(v Verdict, rows, columns, n int) Verdict {
	if !v.Found || v.Box.check(rows, columns, n) == nil {
		return v
	}
	return Verdict{Level: v.Level, Reason: EmptyBox}
}

// SourceBox returns the box in the pixels and slices of a study: first row, end of rows, first column, end
// of columns, first slice, end of slices.
func SourceBox(b Box, rows, columns, n int) []int {
	r, c, s := scale(b.Row, rows), scale(b.Column, columns), scale(b.Slice, n)
	return []int{r[0], r[1], c[0], c[1], s[0], s[1]}
}

func (o BoxOptions) withDefaults() BoxOptions {
	return BoxOptions{Strict: cmp.Or(o.Strict, 0.2), Loose: cmp.Or(o.Loose, 0.05), Island: cmp.Or(o.Island, 0.1)}
}

func find(mask []uint8, level int, o BoxOptions) Verdict {
	o = o.withDefaults()
	for _, th := range []float64{o.Strict, o.Loose} {
		b := Box{Level: level, Threshold: th}
		least := leastAbove(th)
		if b.enclose(mask, least) {
			if o.Island > 0 {
				b.ashore(mask, least, o.Island)
			}
			return Verdict{Level: level, Found: true, Box: b}
		}
	}
	return Verdict{Level: level, Reason: EmptyMask}
}

// leastAbove returns the least byte whose probability exceeds th, or 256. Probabilities and threshold are
// compared as float32, as numpy does.
func leastAbove(th float64) int {
	for v := range 256 {
		if float32(v)/255 > float32(th) {
			return v
		}
	}
	return 256
}

// enclose sets the box's ranges around all voxels of at least least. It reports whether there are any.
func (b *Box) enclose(mask []uint8, least int) bool {
	first := [3]int{Grid, Grid, Grid}
	last := [3]int{-1, -1, -1}
	for r := range Grid {
		for c := range Grid {
			line := mask[(r*Grid+c)*Grid:][:Grid]
			from := firstOf(line, least)
			if from == Grid {
				continue
			}
			to := Grid - 1
			for int(line[to]) < least {
				to--
			}
			first = [3]int{min(first[0], r), min(first[1], c), min(first[2], from)}
			last = [3]int{max(last[0], r), max(last[1], c), max(last[2], to)}
		}
	}
	b.margin(first, last)
	return last[0] >= 0
}

// margin sets the box's ranges to one voxel before the first and one after the last, as far as the grid goes.
func (b *Box) margin(first, last [3]int) {
	for axis, r := range []*[2]int{&b.Row, &b.Column, &b.Slice} {
		*r = [2]int{max(0, first[axis]-1), min(Grid, last[axis]+1)}
	}
}

// firstOf returns the index of the first value of line that is at least least, or its length. Nearly all of
// a mask is zero: it steps over eight zeros at a time.
func firstOf(line []uint8, least int) int {
	for k := 0; k < len(line); k += 8 {
		if least > 0 && binary.LittleEndian.Uint64(line[k:]) == 0 {
			continue
		}
		for i, v := range line[k : k+8] {
			if int(v) >= least {
				return k + i
			}
		}
	}
	return len(line)
}

// check returns an error that wraps ErrEmptyBox if no pixel of the study lies in the box.
func (b Box) check(rows, columns, n int) error {
	s := SourceBox(b, rows, columns, n)
	if s[0] < s[1] && s[2] < s[3] && s[4] < s[5] {
		return nil
	}
	return fmt.Errorf("%w: %s, rows %v, columns %v, slices %v of %d are rows %v, columns %v, slices %v of %dx%dx%d", ErrEmptyBox,
		volume.LevelName(b.Level), b.Row, b.Column, b.Slice, Grid, s[:2], s[2:4], s[4:], rows, columns, n)
}

// scale brings a range of the grid to an axis of n, rounded down.
func scale(r [2]int, n int) [2]int {
	return [2]int{r[0] * n / Grid, r[1] * n / Grid}
}
