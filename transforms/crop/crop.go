// Package crop finds the seven vertebrae in a mask and cuts each out of the study at full resolution.
//
// The method is the reference's (RSNA 2022 cervical spine, first place): a box around the voxels whose
// probability exceeds a threshold; 15 places along it; at each the slice there with two neighbours on
// either side, scaled to bytes by their common extremes, cut and resized to 224x224, and the mask's own
// plane as sixth channel.
//
// Invariants:
//   - A crop is a function of its box, its patch of the mask, the number of slices of the study and the
//     slices that Slices names. Nothing else may enter, so that a change elsewhere leaves it alone.
//   - A vertebra that is not found, or of which nothing would be left, is a verdict with a reason. There
//     must never be a crop that was made up.
//   - Given the same mask and slices, a crop equals what numpy and OpenCV make of them by the reference.
//     It departs in three things: extremes further apart than 32767 do not wrap round in int16; a missing
//     neighbour has the size of the slices beside it (the reference: 512x512, else it fails); slices of
//     different sizes are cut each in proportion (there it fails).
package crop

import (
	"context"
	"errors"
	"fmt"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
)

// Version is raised when equal masks and slices may make other boxes or crops. It belongs to the recipe.
const Version = 1

// The shape of a crop: [Places, Channels, Size, Size].
const (
	// Places is the number of places along the spine that a crop shows.
	Places = 15
	// Neighbours is the number of slices on either side of each place.
	Neighbours = 2
	// Channels is the number of planes at each place: the slices, head to foot, and the mask.
	Channels = 2*Neighbours + 2
	// Size is the rows and columns of each plane.
	Size = 224
	// Grid is the edge of the mask in voxels.
	Grid = 128
)

// ErrEmptyBox is wrapped by errors about boxes that hold no pixel of the study; see Fit.
var ErrEmptyBox = errors.New("crop: the box holds no pixel of the study")

// Getter fetches slice i of a study, 0 being the first from the head. Several goroutines may call it at
// once.
type Getter func(ctx context.Context, i int) (volume.Slice, error)

// Options says how crops are made. No field changes a crop. The zero value is useful.
type Options struct {
	// Workers is the number of goroutines; 0 stands for 2.
	Workers int
	// Release, if set, is handed every slice after use, so that its Pix can be reused. Several goroutines
	// may call it at once.
	Release func(volume.Slice) `json:"-" toml:"-"`
}

// Vertebra returns the crop of one vertebra: uint8, [Places, Channels, Size, Size]. patch is what Patch says
// of the box, n the number of slices of the study. See Each, which serves several vertebrae in one pass.
func Vertebra(ctx context.Context, b Box, patch *npy.Array, n int, get Getter, opts Options) (*npy.Array, error) {
	var out *npy.Array
	err := Each(ctx, []Box{b}, []*npy.Array{patch}, n, get, opts, func(_ int, tensor *npy.Array) error {
		out = tensor
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Patch returns what a crop takes of the mask: uint8, [Places, rows, columns], the box's rows and columns
// at each of the crop's places. mask is uint8, [7, Grid, Grid, Grid]. It panics if mask has another shape.
func Patch(mask *npy.Array, b Box) *npy.Array {
	level := maskLevel(mask, b.Level)
	rows, columns := b.Row[1]-b.Row[0], b.Column[1]-b.Column[0]
	out := npy.New(npy.Uint8, Places, rows, columns)
	dst := out.Data
	for _, slice := range spread(b.Slice) {
		for r := b.Row[0]; r < b.Row[1]; r++ {
			line := level[(r*Grid+b.Column[0])*Grid+slice:]
			for c := range columns {
				dst[c] = line[c*Grid]
			}
			dst = dst[columns:]
		}
	}
	return out
}

// maskLevel returns the [rows, columns, slices] of one level.
func maskLevel(mask *npy.Array, level int) []uint8 {
	const n = Grid * Grid * Grid
	if mask.DType != npy.Uint8 || len(mask.Data) != volume.Levels*n || len(mask.Shape) != 4 || mask.Shape[0] != volume.Levels ||
		mask.Shape[1] != Grid || mask.Shape[2] != Grid {
		panic(fmt.Sprintf("crop: a mask is %s of %v, not %s of %v", mask.DType, mask.Shape, npy.Uint8, []int{volume.Levels, Grid, Grid, Grid}))
	}
	return mask.Data[level*n:][:n]
}
