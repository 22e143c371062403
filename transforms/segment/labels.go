package segment

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/resize"
	"github.com/cspine/cspine/internal/volume"
)

// SlicePlane says where one picked slice lies: Affine maps (row, column, 0) to LPS millimetres.
type SlicePlane struct{ Affine volume.Affine }

// Coverage is what a label image showed of the picked slices.
type Coverage struct {
	// Pixels counts each vertebra's pixels, C1 first, on all picked slices at full resolution.
	Pixels [volume.Levels]int `json:"pixels"`
	// Inside is the share of the slices' pixels, from 0 to 1, that lie within the label image.
	Inside float64 `json:"inside"`
}

// Missing returns the levels, 0 for C1, that no pixel shows.
func (c Coverage) Missing() []int {
	var levels []int
	for level, n := range c.Pixels {
		if n == 0 {
			levels = append(levels, level)
		}
	}
	return levels
}

// LabelValues are the values that a label image has for the levels, C1 first, 0 for one that it doesn't have; levels beyond the last it
// doesn't have either. Nil means 1 for C1 … 7 for C7.
type LabelValues []uint8

// ParseLabelValues reads "33,32": a label image whose 33 is to be C1, and 32 C2.
func ParseLabelValues(text string) (LabelValues, error) {
	var values LabelValues
	parts := strings.Split(text, ",")
	if len(parts) > volume.Levels {
		return nil, fmt.Errorf("%q has %d values, there are %d vertebrae", text, len(parts), volume.Levels)
	}
	for _, part := range parts {
		v, err := strconv.ParseUint(strings.TrimSpace(part), 10, 8)
		if err != nil {
			return nil, fmt.Errorf("%q: %q is no label: give numbers from 1 to 255, C1's first, and 0 for a vertebra without one", text, part)
		}
		if v > 0 && slices.Contains(values, uint8(v)) {
			return nil, fmt.Errorf("%q has %d twice", text, v)
		}
		values = append(values, uint8(v))
	}
	return values, nil
}

// String is what ParseLabelValues reads.
func (v LabelValues) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]uint8(v)), " ", ","), "[]")
}

// levels returns the labels with 1 to 7 in the place of values.
func (v LabelValues) levels(labels []uint8) []uint8 {
	if v == nil {
		return labels
	}
	var to [256]uint8
	for i, value := range v {
		if value > 0 {
			to[value] = uint8(i + 1)
		}
	}
	out := make([]uint8, len(labels))
	for i, l := range labels {
		out[i] = to[l]
	}
	return out
}

// FromLabels returns the mask, uint8 [7, 128, 128, len(planes)], that a perfect network would give: for each
// vertebra the label image (others than values are background) is read at each slice's rows x columns pixel
// centres, the nearest voxel each and nothing outside the image, and averaged over areas down to 128x128.
//
// It fails with a refusal.Error where the image holds no labels or an affine is singular. An image that
// shows little or nothing is no error: judge by the Coverage.
func FromLabels(lab *nifti.Image, values LabelValues, planes []SlicePlane, rows, columns int) (*npy.Array, Coverage, error) {
	var cover Coverage
	from, err := newSampler(lab)
	if err != nil {
		return nil, cover, err
	}
	from.labels = values.levels(from.labels)
	mask := npy.New(npy.Uint8, volume.Levels, Size, Size, len(planes))
	sum := averager{rows: rows, columns: columns, plane: make([]uint8, rows*columns)}
	pixels := make([]uint8, rows*columns)
	inside := 0
	for j, p := range planes {
		inside += from.sample(pixels, p.Affine, rows, columns)
		for level, b := range bounds(pixels, columns) {
			if b.pixels == 0 {
				continue
			}
			cover.Pixels[level] += b.pixels
			sum.average(mask.Data[level*Size*Size*len(planes):][j:], len(planes), pixels, uint8(level+1), b)
		}
	}
	if n := len(planes) * rows * columns; n > 0 {
		cover.Inside = float64(inside) / float64(n)
	}
	return mask, cover, nil
}

// newSampler checks the image.
func newSampler(lab *nifti.Image) (*sampler, error) {
	if len(lab.Shape) == 4 && lab.Shape[3] != 1 {
		return nil, refusal.New(CodeLabels, "give a label image with one volume", "the label image has %d volumes", lab.Shape[3])
	}
	labels, err := lab.Labels()
	if err != nil {
		return nil, refusal.New(CodeLabels, "give a label image with 1 to 7 for C1 to C7", "%w", err)
	}
	inverse, ok := lab.Affine.FlipLPS().Inverse()
	if !ok {
		return nil, refusal.New(CodeGeometry, "write the label image's sform or qform anew", "the label image's affine can't be inverted")
	}
	return &sampler{labels: labels, shape: [3]int(lab.Shape[:3]), toVoxel: inverse}, nil
}

// box is where a label lies on a slice, half open, and on how many pixels.
type box struct{ row0, row1, column0, column1, pixels int }

// bounds finds each vertebra's box. Most of a slice is background, so it looks at eight pixels at a time.
func bounds(pixels []uint8, columns int) (found [volume.Levels]box) {
	for i := 0; i < len(pixels); {
		if i+8 <= len(pixels) && binary.LittleEndian.Uint64(pixels[i:]) == 0 {
			i += 8
			continue
		}
		for end := min(i+8, len(pixels)); i < end; i++ {
			v := int(pixels[i]) - 1
			if v < 0 || v >= volume.Levels {
				continue
			}
			b, row, column := &found[v], i/columns, i%columns
			if b.pixels == 0 {
				*b = box{row, row + 1, column, column + 1, 0}
			}
			b.row1 = row + 1
			b.column0, b.column1 = min(b.column0, column), max(b.column1, column+1)
			b.pixels++
		}
	}
	return found
}

// averager turns one label's pixels into a plane of the mask.
type averager struct {
	rows, columns int
	plane         []uint8 // 255 where the label is
	small         [Size * Size]uint8
}

// average writes the label's 128x128 plane to dst, one value every stride bytes, where it isn't 0.
func (a *averager) average(dst []uint8, stride int, pixels []uint8, label uint8, b box) {
	// high and wide are a cell's pixels. Where they are whole numbers the cells that the label touches are enough:
	// the average over each is the same. Otherwise OpenCV's shares depend on where a cell lies, and all are averaged.
	high, wide := a.rows/Size, a.columns/Size
	first, last := [2]int{0, 0}, [2]int{Size, Size} // cells, half open
	area := box{row1: a.rows, column1: a.columns}
	if high > 0 && wide > 0 && a.rows%Size == 0 && a.columns%Size == 0 {
		first = [2]int{b.row0 / high, b.column0 / wide}
		last = [2]int{(b.row1-1)/high + 1, (b.column1-1)/wide + 1}
		area = box{row0: first[0] * high, row1: last[0] * high, column0: first[1] * wide, column1: last[1] * wide}
	}
	rows, columns := area.row1-area.row0, area.column1-area.column0
	for r := range rows {
		from := pixels[(area.row0+r)*a.columns+area.column0:][:columns]
		to := a.plane[r*columns:][:columns]
		for c, v := range from {
			to[c] = 0
			if v == label {
				to[c] = 255
			}
		}
	}
	smallRows, smallColumns := last[0]-first[0], last[1]-first[1]
	small := a.small[:smallRows*smallColumns]
	resize.AreaUint8(a.plane[:rows*columns], rows, columns, small, smallRows, smallColumns)
	for r := range smallRows {
		for c, v := range small[r*smallColumns:][:smallColumns] {
			if v != 0 {
				dst[((first[0]+r)*Size+first[1]+c)*stride] = v
			}
		}
	}
}
