// Package volume holds what the steps of the pipeline hand each other in memory: slices of stored
// values, 3-D arrays of bytes, and the affine maps that say where a voxel lies in the patient.
//
// Invariants:
//   - Array axes are [rows, columns, slices] for volumes and [level, rows, columns, slices] for masks,
//     slices ordered head to foot. Rows run as the image rows do (for axial CT: anterior to posterior),
//     columns as the image columns do (patient right to left).
//   - World coordinates are DICOM's patient coordinates (LPS, in mm): x to the patient's left, y to the
//     back, z to the head. NIfTI's world is RAS; it must be converted at the border (Affine.FlipLPS).
//   - A Slice or an array handed to a function must not be changed by it unless the function says so.
package volume

import (
	"fmt"
	"math"
)

// Levels is the number of cervical vertebrae, C1 to C7.
const Levels = 7

// LevelName returns "C1" for level 0 … "C7" for level 6.
func LevelName(level int) string { return fmt.Sprintf("C%d", level+1) }

// LevelOf returns the level that LevelName calls so; −1 if there is none.
func LevelOf(name string) int {
	if len(name) != 2 || name[0] != 'C' || name[1] < '1' || name[1] >= '1'+Levels {
		return -1
	}
	return int(name[1] - '1')
}

// Slice is one decoded CT slice: stored values, before rescale.
//
// The stored value at (row, column) is int32(Pix[row*Columns+column]) + Bias. Unsigned data have Bias
// 0; signed data are stored with their sign bit flipped and Bias -32768, so that one unsigned
// representation serves both and order is kept.
type Slice struct {
	Rows, Columns int
	Pix           []uint16 // [Rows, Columns], row-major
	Bias          int32
}

// Zero is the biased representation of the stored value 0.
func (s *Slice) Zero() uint16 { return uint16(-s.Bias) }

// Value returns the stored value at (row, column).
func (s *Slice) Value(row, column int) int32 {
	return int32(s.Pix[row*s.Columns+column]) + s.Bias
}

// Affine maps array indices (a, b, c) to millimetres: out[i] = m[i][0]*a + m[i][1]*b + m[i][2]*c + m[i][3].
type Affine [3][4]float64

// Apply maps an index to world coordinates.
func (m Affine) Apply(a, b, c float64) [3]float64 {
	var out [3]float64
	for i := range out {
		out[i] = m[i][0]*a + m[i][1]*b + m[i][2]*c + m[i][3]
	}
	return out
}

// SpacingMM returns the distance in mm between neighbours along each of the three axes.
func (m Affine) SpacingMM() (mm [3]float64) {
	for axis := range mm {
		mm[axis] = math.Sqrt(m[0][axis]*m[0][axis] + m[1][axis]*m[1][axis] + m[2][axis]*m[2][axis])
	}
	return mm
}

// FlipLPS converts an affine whose world is RAS into one whose world is LPS, and back: both differ in
// the sign of x and y.
func (m Affine) FlipLPS() Affine {
	for j := range m[0] {
		m[0][j], m[1][j] = -m[0][j], -m[1][j]
	}
	return m
}

// Inverse returns the map from world coordinates to array indices. ok is false if m is singular.
func (m Affine) Inverse() (inv Affine, ok bool) {
	a, b, c := m[0], m[1], m[2]
	det := a[0]*(b[1]*c[2]-b[2]*c[1]) - a[1]*(b[0]*c[2]-b[2]*c[0]) + a[2]*(b[0]*c[1]-b[1]*c[0])
	if det == 0 || math.IsNaN(det) || math.IsInf(det, 0) {
		return inv, false
	}
	inv[0][0], inv[0][1], inv[0][2] = (b[1]*c[2]-b[2]*c[1])/det, (a[2]*c[1]-a[1]*c[2])/det, (a[1]*b[2]-a[2]*b[1])/det
	inv[1][0], inv[1][1], inv[1][2] = (b[2]*c[0]-b[0]*c[2])/det, (a[0]*c[2]-a[2]*c[0])/det, (a[2]*b[0]-a[0]*b[2])/det
	inv[2][0], inv[2][1], inv[2][2] = (b[0]*c[1]-b[1]*c[0])/det, (a[1]*c[0]-a[0]*c[1])/det, (a[0]*b[1]-a[1]*b[0])/det
	for i := range inv {
		inv[i][3] = -(inv[i][0]*m[0][3] + inv[i][1]*m[1][3] + inv[i][2]*m[2][3])
	}
	return inv, true
}

// Shares has v/255 in float32 for each grey value v, as the reference's networks are given it.
var Shares = func() (t [256]float32) {
	for v := range t {
		t[v] = float32(v) / 255
	}
	return t
}()
