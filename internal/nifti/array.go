package nifti

import "github.com/cspine/cspine/internal/volume"

// OfVolume turns bytes [rows, columns, slices], slices fastest, into an image of columns, rows, slices, columns fastest. lps maps (row, column, slice)
// to LPS millimetres.
func OfVolume(data []uint8, shape []int, lps volume.Affine) *Image {
	r, c, s := shape[0], shape[1], shape[2]
	out := make([]byte, len(data))
	for i := range r {
		for j := range c {
			line := data[(i*c+j)*s:][:s]
			for k, v := range line {
				out[(k*r+i)*c+j] = v
			}
		}
	}
	return &Image{Shape: []int{c, r, s}, DType: Uint8, Data: out, Affine: ColumnsFirst(lps).FlipLPS()}
}

// ColumnsFirst swaps the first two indices of an affine.
func ColumnsFirst(m volume.Affine) volume.Affine {
	for i := range m {
		m[i][0], m[i][1] = m[i][1], m[i][0]
	}
	return m
}
