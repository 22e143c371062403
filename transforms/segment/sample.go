package segment

import (
	"math"

	"github.com/cspine/cspine/internal/volume"
)

// sampler reads a label image at the pixels of slices.
type sampler struct {
	labels  []uint8 // first index fastest
	shape   [3]int
	toVoxel volume.Affine // LPS millimetres to the image's indices
}

// sample writes the label nearest to each pixel centre of a slice, 0 outside the image, to pixels
// [rows, columns], and returns how many lie inside.
func (s *sampler) sample(pixels []uint8, plane volume.Affine, rows, columns int) (inside int) {
	m := s.step(plane)
	clear(pixels)
	if g, ok := gridOf(m, rows, columns); ok {
		return s.copy(pixels, g, rows, columns)
	}
	return s.nearest(pixels, m, rows, columns)
}

// voxelStep maps (row, column) to a continuous index: index[i] = row*m[i][0] + column*m[i][1] + m[i][2].
type voxelStep [3][3]float64

func (s *sampler) step(plane volume.Affine) (m voxelStep) {
	for i := range m {
		for k := range 3 {
			m[i][0] += s.toVoxel[i][k] * plane[k][0]
			m[i][1] += s.toVoxel[i][k] * plane[k][1]
			m[i][2] += s.toVoxel[i][k] * plane[k][3]
		}
		m[i][2] += s.toVoxel[i][3]
	}
	return m
}

func (m *voxelStep) at(i, row, column int) float64 {
	return m[i][0]*float64(row) + m[i][1]*float64(column) + m[i][2]
}

// grid is a voxelStep in whole numbers.
type grid [3][3]int

// gridOf tells whether the pixels lie on the image's own grid, so that the nearest voxel of every pixel is
// a sum of whole steps, and returns these. The difference between the two is affine in row and column, so it
// is largest at a corner.
func gridOf(m voxelStep, rows, columns int) (g grid, ok bool) {
	const almostHalf = 0.49
	for i := range m {
		for k := range m[i] {
			if !(math.Abs(m[i][k]) < 1<<20) {
				return g, false
			}
			g[i][k] = int(math.Round(m[i][k]))
		}
		// The nearest whole offset is the one that fits in the middle.
		r, c := rows/2, columns/2
		g[i][2] = int(math.Round(m.at(i, r, c))) - g[i][0]*r - g[i][1]*c
		for _, corner := range [4][2]int{{0, 0}, {rows - 1, 0}, {0, columns - 1}, {rows - 1, columns - 1}} {
			off := m.at(i, corner[0], corner[1]) - float64(g[i][0]*corner[0]+g[i][1]*corner[1]+g[i][2])
			if math.Abs(off) > almostHalf {
				return g, false
			}
		}
		if g[i][0] != 0 && g[i][1] != 0 {
			return g, false // oblique within the image: the ranges below would not be rectangles
		}
	}
	return g, true
}

// copy samples along whole steps.
func (s *sampler) copy(pixels []uint8, g grid, rows, columns int) int {
	row0, row1, column0, column1 := 0, rows, 0, columns
	stride, offset, rowStride, columnStride := 1, 0, 0, 0
	for i, n := range s.shape {
		switch {
		case g[i][0] != 0:
			row0, row1 = inRange(row0, row1, g[i][0], g[i][2], n)
		case g[i][1] != 0:
			column0, column1 = inRange(column0, column1, g[i][1], g[i][2], n)
		case g[i][2] < 0 || g[i][2] >= n:
			return 0
		}
		offset += g[i][2] * stride
		rowStride += g[i][0] * stride
		columnStride += g[i][1] * stride
		stride *= n
	}
	if row0 >= row1 || column0 >= column1 {
		return 0
	}
	if columnStride == 1 {
		for r := row0; r < row1; r++ {
			copy(pixels[r*columns+column0:r*columns+column1], s.labels[offset+r*rowStride+column0:])
		}
	} else {
		s.gather(pixels, columns, offset, rowStride, columnStride, row0, row1, column0, column1)
	}
	return (row1 - row0) * (column1 - column0)
}

// inRange narrows lo:hi to the k for which 0 <= k*step+offset < n.
func inRange(lo, hi, step, offset, n int) (int, int) {
	for lo < hi && (lo*step+offset < 0 || lo*step+offset >= n) {
		lo++
	}
	for hi > lo && ((hi-1)*step+offset < 0 || (hi-1)*step+offset >= n) {
		hi--
	}
	return lo, hi
}

// gather reads tile by tile, so that a tile's cache lines serve all its rows and columns.
func (s *sampler) gather(pixels []uint8, columns, offset, rowStride, columnStride, row0, row1, column0, column1 int) {
	const tile = 64
	for r0 := row0; r0 < row1; r0 += tile {
		for c0 := column0; c0 < column1; c0 += tile {
			c1 := min(c0+tile, column1)
			for r := r0; r < min(r0+tile, row1); r++ {
				at := offset + r*rowStride + c0*columnStride
				to := pixels[r*columns+c0 : r*columns+c1]
				for c := range to {
					to[c] = s.labels[at]
					at += columnStride
				}
			}
		}
	}
}

// nearest samples anywhere.
func (s *sampler) nearest(pixels []uint8, m voxelStep, rows, columns int) (inside int) {
	var high [3]float64
	for i, n := range s.shape {
		high[i] = float64(n)
	}
	for r := range rows {
		// Half a voxel up, so that truncation rounds to the nearest.
		x, y, z := m.at(0, r, 0)+0.5, m.at(1, r, 0)+0.5, m.at(2, r, 0)+0.5
		out := pixels[r*columns:][:columns]
		for c := range out {
			k := float64(c)
			i, j, l := x+k*m[0][1], y+k*m[1][1], z+k*m[2][1]
			if i >= 0 && j >= 0 && l >= 0 && i < high[0] && j < high[1] && l < high[2] {
				out[c] = s.labels[int(i)+s.shape[0]*(int(j)+s.shape[1]*int(l))]
				inside++
			}
		}
	}
	return inside
}
