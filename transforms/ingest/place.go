package ingest

import "math"

// Placement says how the frame of a file becomes a slice of the study: it is transposed, then its rows and its columns are reversed, then it is
// laid on a canvas of the study's Rows and Columns.
type Placement struct {
	Transpose   bool `json:"transpose,omitempty"`
	FlipRows    bool `json:"flip_rows,omitempty"`    // the last row comes first
	FlipColumns bool `json:"flip_columns,omitempty"` // the last column comes first
	// Canvas is the study's rows and columns, if they are more than the frame's. The frame's first pixel lies at row Down and column Right of it;
	// what the frame does not cover has the stored value Fill, which is air.
	Canvas [2]int `json:"canvas,omitzero"`
	Down   int    `json:"down,omitempty"`
	Right  int    `json:"right,omitempty"`
	Fill   int32  `json:"fill,omitempty"`
}

// frame is a slice before the study is known: a file's header, and how its frame is turned.
type frame struct {
	File
	place         Placement
	rows, columns int // as turned
	spacingMM     [2]float64
	positionMM    [3]float64 // of the first pixel as turned
	orientation   [6]float64
}

func asStored(f File) frame {
	h := f.Header
	return frame{File: f, rows: h.Pixels.Rows, columns: h.Pixels.Columns, spacingMM: h.SpacingMM, positionMM: h.PositionMM, orientation: h.Orientation}
}

// turned is asStored with rows that run from the front to the back and columns that run from right to left, as nearly as transposing and
// reversing can make them. Frames that are not axial stay as they are.
func turned(file File) frame {
	f := asStored(file)
	if !file.Header.HasGeometry || !isAxial(f.orientation) {
		return f
	}
	along, down := [3]float64(f.orientation[:3]), [3]float64(f.orientation[3:])
	if math.Abs(along[0]) < math.Abs(along[1]) {
		f.place.Transpose = true
		along, down = down, along
		f.rows, f.columns = f.columns, f.rows
		f.spacingMM[0], f.spacingMM[1] = f.spacingMM[1], f.spacingMM[0]
	}
	if along[0] < 0 {
		f.place.FlipColumns = true
		f.positionMM = step(f.positionMM, along, float64(f.columns-1)*f.spacingMM[1])
		along = step([3]float64{}, along, -1)
	}
	if down[1] < 0 {
		f.place.FlipRows = true
		f.positionMM = step(f.positionMM, down, float64(f.rows-1)*f.spacingMM[0])
		down = step([3]float64{}, down, -1)
	}
	copy(f.orientation[:3], along[:])
	copy(f.orientation[3:], down[:])
	return f
}

// mirrored tells whether a turn exchanges left and right, rather than being a rotation.
func (p *Placement) mirrored() bool {
	return p.Transpose != (p.FlipRows != p.FlipColumns)
}

// isAxial tells whether slices of an orientation lie across the body.
func isAxial(o [6]float64) bool { return math.Abs(normal(o)[2]) >= math.Sqrt2/2 }

// alike tells whether two orientations are the same within half a degree.
func alike(a, b [6]float64) bool {
	const most = 0.99996 // the cosine of half a degree
	return dot([3]float64(a[:3]), [3]float64(b[:3])) > most && dot([3]float64(a[3:]), [3]float64(b[3:])) > most
}

// step goes some mm from a place in a direction.
func step(from, direction [3]float64, mm float64) [3]float64 {
	for i := range from {
		from[i] += 0 + direction[i]*mm // never a negative zero
	}
	return from
}
