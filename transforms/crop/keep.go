package crop

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cspine/cspine/internal/npy"
)

// Keep says how alike a vertebra's new mask must be to the one that its present crop was made from for that crop to stay. A retrained segmenter
// moves every probability a little, and would otherwise have every crop made again. The zero value keeps none but what is equal.
type Keep struct {
	// Dice is the least Dice coefficient of the two masks at probability one half, within the two boxes. 0 asks for none.
	Dice float64
	// BoxMM is how far any side of the box may have moved, in mm.
	BoxMM float64
}

// ParseKeep reads "dice=0.99,box=1mm". Either may be missing: dice then need not agree, or the box must be the same.
func ParseKeep(text string) (Keep, error) {
	var k Keep
	seen := map[string]bool{}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		number, err := strconv.ParseFloat(strings.TrimSuffix(value, "mm"), 64)
		if err != nil || math.IsNaN(number) || seen[name] {
			return k, fmt.Errorf("%q: write dice=0.99,box=1mm, each once", text)
		}
		seen[name] = true
		switch {
		case name == "dice" && number > 0 && number <= 1 && !strings.HasSuffix(value, "mm"):
			k.Dice = number
		case name == "box" && number >= 0 && !math.IsInf(number, 0):
			k.BoxMM = number
		case name == "dice" || name == "box":
			return k, fmt.Errorf("%q: dice lies above 0 and at most at 1, box is a distance in mm", text)
		default:
			return k, fmt.Errorf("%q: there is no %q; write dice=0.99,box=1mm", text, name)
		}
	}
	return k, nil
}

// String is what ParseKeep reads.
func (k Keep) String() string { return fmt.Sprintf("dice=%g,box=%gmm", k.Dice, k.BoxMM) }

// Agreement is how alike two masks of a vertebra are.
type Agreement struct {
	Dice  float64 `json:"dice"`
	BoxMM float64 `json:"box_mm"` // the farthest that a side of the box has moved
}

// Holds tells whether two masks are alike enough.
func (k Keep) Holds(a Agreement) bool { return a.Dice >= k.Dice && a.BoxMM <= k.BoxMM }

// String words an agreement.
func (a Agreement) String() string { return fmt.Sprintf("dice %.4f, box %.2f mm", a.Dice, a.BoxMM) }

// Agree compares two masks (as in Boxes) of the level of two boxes in them. spacingMM is the distance of voxels along rows, columns and
// slices of the Grid. Where neither has a voxel at one half, they agree.
func Agree(before, now *npy.Array, was, is Box, spacingMM [3]float64) (a Agreement, err error) {
	if was.Level != is.Level {
		return a, errors.New("crop: boxes of two levels are not compared")
	}
	old, fresh := maskLevel(before, was.Level), maskLevel(now, is.Level)
	union := Box{Row: span(was.Row, is.Row), Column: span(was.Column, is.Column), Slice: span(was.Slice, is.Slice)}
	const half = 128
	both, sum := 0, 0
	for r := union.Row[0]; r < union.Row[1]; r++ {
		for c := union.Column[0]; c < union.Column[1]; c++ {
			at := (r*Grid + c) * Grid
			for s := at + union.Slice[0]; s < at+union.Slice[1]; s++ {
				x, y := old[s] >= half, fresh[s] >= half
				if x {
					sum++
				}
				if y {
					sum++
				}
				if x && y {
					both++
				}
			}
		}
	}
	a.Dice = 1
	if sum > 0 {
		a.Dice = 2 * float64(both) / float64(sum)
	}
	a.BoxMM = was.ShiftMM(is, spacingMM)
	return a, nil
}

// ShiftMM is how far the farthest side of another box is from this one's. spacingMM is as for Agree.
func (b Box) ShiftMM(to Box, spacingMM [3]float64) (most float64) {
	for axis, pair := range [3][2][2]int{{b.Row, to.Row}, {b.Column, to.Column}, {b.Slice, to.Slice}} {
		for side := range 2 {
			most = max(most, math.Abs(float64(pair[1][side]-pair[0][side]))*spacingMM[axis])
		}
	}
	return most
}

// span is the least range that holds two.
func span(a, b [2]int) [2]int { return [2]int{min(a[0], b[0]), max(a[1], b[1])} }
