package ingest

import "github.com/cspine/cspine/internal/volume"

// Grid maps (row, column, slice) of the study resampled to [rows, columns, slices] to LPS millimetres, by
// voxel centres. In the plane it is exact. Along the slices it runs straight from the first slice to the
// last, so that it is exact for an evenly spaced study, as far as picking whole slices allows.
func (x *Index) Grid(rows, columns, slices int) volume.Affine {
	return x.Region([2]float64{0, float64(x.Rows)}, [2]float64{0, float64(x.Columns)},
		[2]float64{0, float64(len(x.Slices) - 1)}, rows, columns, slices)
}

// Region is Grid for a part of the study: half-open ranges of rows and columns, and the first and last
// slice, all in the study's own pixels.
func (x *Index) Region(row, column, slice [2]float64, rows, columns, slices int) volume.Affine {
	first, last := x.Slices[0].PositionMM, x.Slices[len(x.Slices)-1].PositionMM
	perSlice := 1 / float64(max(1, len(x.Slices)-1))
	rowStep, columnStep := (row[1]-row[0])/float64(rows), (column[1]-column[0])/float64(columns)
	sliceStep := (slice[1] - slice[0]) / float64(max(1, slices-1))
	// The centre of a cell of rowStep pixels lies half a cell from its edge, and pixel 0's centre half a
	// pixel from the edge of the image.
	row0, column0 := row[0]+rowStep/2-0.5, column[0]+columnStep/2-0.5
	var m volume.Affine
	for i := range m {
		down, right := x.Orientation[3+i]*x.SpacingMM[0], x.Orientation[i]*x.SpacingMM[1]
		along := (last[i] - first[i]) * perSlice
		m[i] = [4]float64{down * rowStep, right * columnStep, along * sliceStep,
			first[i] + down*row0 + right*column0 + along*slice[0]}
	}
	return m
}
