// Package resize brings single-channel planes to another size the way OpenCV does.
//
// Networks and published results depend on what cv2.resize computes to the last grey level, and OpenCV
// uses another arithmetic for each element type and size. This package repeats it: every function must
// return what cv2.resize of OpenCV 5.0.0 (x86-64 wheel, with Intel IPP) returns, for any source and
// destination size, with one exception: averages of 16-bit values over more than 256 source pixels may differ
// by 1 where the exact value lies half-way between two integers, since OpenCV adds them up in float32.
//
// Results must be the same on every machine: products are rounded before they are added (an explicit
// float conversion keeps the compiler from fusing them), except where OpenCV itself fuses.
//
// Planes are row-major without padding. Functions panic when a slice does not fill the size claimed for
// it or a size is less than 1: callers check what comes from files.
package resize

import (
	"fmt"
	"math"

	"github.com/cspine/cspine/internal/volume"
)

// Filter says how a destination pixel comes from source pixels.
type Filter string

const (
	// Linear interpolates between the four nearest source pixels (cv2.INTER_LINEAR).
	Linear Filter = "linear"
	// Area averages the source pixels under the destination pixel (cv2.INTER_AREA). When the plane grows
	// along either axis it is a variant of Linear, as in OpenCV.
	Area Filter = "area"
)

// Known reports whether this package has the filter.
func (f Filter) Known() bool { return f == Linear || f == Area }

// Slice returns src resized to rows x columns, rounded as cv2.resize rounds uint16 (Bias 0) or int16
// (Bias -32768) arrays. The result's Pix is new; its Bias is src's.
func Slice(src *volume.Slice, rows, columns int, f Filter) volume.Slice {
	dst := volume.Slice{Rows: rows, Columns: columns, Pix: make([]uint16, rows*columns), Bias: src.Bias}
	if f == Linear && centred(src, rows, columns) {
		quads(&dst, src)
		return dst
	}
	slice(src, rows, columns, f, func(row int, values []float32) {
		out := dst.Pix[row*columns:][:len(values)]
		for i, v := range values {
			// Weights that do not add up to one exactly may leave the 16 bits.
			out[i] = uint16(min(max(round(v)-src.Bias, 0), 65535))
		}
	})
	if f == Linear && src.Bias != 0 && src.Rows > 1 && src.Columns > 1 {
		signedBorder(&dst, src)
	}
	return dst
}

// Values returns src's stored values (Bias added) resized to rows x columns and not rounded. It is Slice
// without its last step; see there.
func Values(src *volume.Slice, rows, columns int, f Filter) []float32 {
	dst := make([]float32, rows*columns)
	slice(src, rows, columns, f, func(row int, values []float32) { copy(dst[row*columns:], values) })
	return dst
}

// AreaUint8 writes src, [rows, columns], averaged over areas into dst, [dstRows, dstColumns]. A binary
// mask times 255 becomes the share of each cell that it covers.
func AreaUint8(src []uint8, rows, columns int, dst []uint8, dstRows, dstColumns int) {
	check(len(src), rows, columns)
	check(len(dst), dstRows, dstColumns)
	y, x := newAxis(rows, dstRows), newAxis(columns, dstColumns)
	switch {
	case rows == dstRows && columns == dstColumns:
		copy(dst, src)
	case y.whole > 0 && x.whole > 0:
		areaWhole(src, columns, y, x, func(row int, sums []int64, cell int) {
			meanUint8(dst[row*dstColumns:], sums, cell)
		})
	case y.scale >= 1 && x.scale >= 1:
		areaParts(src, columns, y, x, 0, func(row int, values []float32) {
			out := dst[row*dstColumns:]
			for i, v := range values {
				out[i] = uint8(min(max(round(v), 0), 255))
			}
		})
	default:
		newFixed(y.rowTaps(y.area), x.taps(x.area)).run(dst, nil, func(_ []uint8, row int) []uint8 { return src[row*columns:][:columns] })
	}
}

// LinearUint8 writes src, [rows, columns], interpolated into dst, [dstRows, dstColumns].
func LinearUint8(src []uint8, rows, columns int, dst []uint8, dstRows, dstColumns int) {
	check(len(src), rows, columns)
	check(len(dst), dstRows, dstColumns)
	if rows == dstRows && columns == dstColumns {
		copy(dst, src)
		return
	}
	NewGrey(rows, columns, dstRows, dstColumns).run(dst, func(_ []uint8, row int) []uint8 { return src[row*columns:][:columns] })
}

// slice hands the resized rows of src to put, first to last. put must not keep values.
func slice(src *volume.Slice, rows, columns int, f Filter, put func(row int, values []float32)) {
	check(len(src.Pix), src.Rows, src.Columns)
	check(rows*columns, rows, columns)
	y, x := newAxis(src.Rows, rows), newAxis(src.Columns, columns)
	switch {
	case src.Rows == rows && src.Columns == columns:
		values := make([]float32, columns)
		for r := range rows {
			for i, p := range src.Pix[r*columns:][:columns] {
				values[i] = float32(int32(p) + src.Bias)
			}
			put(r, values)
		}
	case f == Area && y.whole > 0 && x.whole > 0:
		values := make([]float32, columns)
		areaWhole(src.Pix, src.Columns, y, x, func(row int, sums []int64, cell int) {
			meanInt(values, sums, cell, int64(src.Bias))
			put(row, values)
		})
	case f == Area && y.scale >= 1 && x.scale >= 1:
		areaParts(src.Pix, src.Columns, y, x, src.Bias, put)
	case f == Area:
		weigh.plane(src, y.rowTaps(y.area), x.taps(x.area), put)
	case src.Rows == 1 || src.Columns == 1:
		// IPP wants two pixels along each axis; OpenCV's own loop takes the rest.
		weigh.plane(src, y.rowTaps(y.linear), x.taps(x.linear), put)
	default:
		step.plane(src, y.taps(y.precise), x.taps(x.precise), put)
	}
}

// round rounds half to even. v must lie far within int32.
func round(v float32) int32 {
	// At 3*2^51 a float64's last bit counts one, so that the addition rounds and the low bits are the result.
	return int32(math.Float64bits(float64(v) + 3<<51))
}

func check(n, rows, columns int) {
	if rows < 1 || columns < 1 || n != rows*columns {
		panic(fmt.Sprintf("resize: %d values are not %d rows of %d columns", n, rows, columns))
	}
}
