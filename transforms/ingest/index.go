// Package ingest turns the files of one study into its index: which slices there are, in which order,
// where they lie in the patient and how their pixels are stored.
//
// Invariants:
//   - Only headers are read. The index must tell a later step everything it needs to fetch one slice's
//     pixels with a single range read.
//   - Rows run from the front to the back and columns from right to left, as nearly as turning frames can make them, unless the options say
//     otherwise. No pixel is interpolated.
//   - Slices are ordered along their common normal, head to foot, whatever their file names, instance
//     numbers or order of listing say: the same files in any order give the same index.
//   - Every file of the study is accounted for: it is a slice, or it is set aside with a reason. A file may be several slices where gaps
//     are filled.
//   - A study that can't be trusted is refused with a refusal.Error that names the files; what can be
//     lived with is a warning in the index.
package ingest

import (
	"encoding/json"
	"fmt"
	"math"
	"path"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/internal/volume"
)

// Version is raised when equal input may give a different index.
const Version = 3

// Index describes one study.
type Index struct {
	StudyUID  string `json:"study_uid"`
	SeriesUID string `json:"series_uid"`
	Folder    string `json:"folder"` // where the files lie, relative to the data set's root

	Rows        int        `json:"rows"`
	Columns     int        `json:"columns"`
	SpacingMM   [2]float64 `json:"spacing_mm"`       // between rows, between columns
	SliceMM     float64    `json:"slice_spacing_mm"` // the median step along the normal
	TiltDegrees float64    `json:"tilt_degrees"`     // between the stack's direction and the normal
	Orientation [6]float64 `json:"orientation"`      // direction cosines of a row and of a column, LPS

	Slices   []Slice          `json:"slices"` // head to foot
	Warnings []refusal.Reason `json:"warnings,omitempty"`
	SetAside []SetAside       `json:"set_aside,omitempty"`
}

// Slice is one slice of a study and where its pixels are.
type Slice struct {
	File       source.Object     `json:"file"` // the key is relative to the study's folder
	Number     int               `json:"number"`
	PositionMM [3]float64        `json:"position_mm"` // of the centre of the first pixel, LPS
	Slope      float64           `json:"slope"`
	Intercept  float64           `json:"intercept"`
	Pixels     dicom.PixelFormat `json:"pixels"`
	// Place says how the file's frame is turned and moved, nil if it is not. PositionMM, and the index's Orientation, Rows and Columns, are those of the
	// slice that this gives.
	Place *Placement `json:"place,omitempty"`
}

// SetAside is a file of the study's folder that is not one of its slices.
type SetAside struct {
	File   string       `json:"file"`
	Code   refusal.Code `json:"code"`
	Detail string       `json:"detail,omitempty"`
}

// Key returns the key of slice i within the data set.
func (x *Index) Key(i int) string { return path.Join(x.Folder, x.Slices[i].File.Key) }

// Object returns the file of slice i, with its key within the data set.
func (x *Index) Object(i int) source.Object {
	o := x.Slices[i].File
	o.Key = x.Key(i)
	return o
}

// Affine maps (row, column, 0) of slice i to LPS millimetres.
func (x *Index) Affine(i int) volume.Affine {
	var m volume.Affine
	p := x.Slices[i].PositionMM
	n := normal(x.Orientation)
	for k := range m {
		// A step down the rows follows the column's direction cosines, and the other way round
		// (DICOM PS3.3 C.7.6.2.1.1).
		m[k] = [4]float64{x.Orientation[3+k] * x.SpacingMM[0], x.Orientation[k] * x.SpacingMM[1], n[k], p[k]}
	}
	return m
}

// Stored is what a slice's decoded pixels depend on.
type Stored struct {
	File   source.Object     `json:"file"`
	Pixels dicom.PixelFormat `json:"pixels"`
	Place  *Placement        `json:"place,omitempty"`
	// Slope and Intercept are given where values are rescaled, else left out.
	Rescale *[2]float64 `json:"rescale,omitempty"`
}

// Stored returns the identity of slice i: equal values mean equal decoded pixels. It holds no position,
// so that a corrected header does not invalidate what depends on pixels alone.
func (x *Index) Stored(i int, rescale bool) Stored {
	s := &x.Slices[i]
	st := Stored{File: x.Object(i), Pixels: s.Pixels, Place: s.Place}
	if rescale {
		st.Rescale = &[2]float64{s.Slope, s.Intercept}
	}
	return st
}

// Marshal writes the index as JSON.
func (x *Index) Marshal() ([]byte, error) { return json.Marshal(x) }

// Unmarshal reads an index and checks what later steps rely on.
func Unmarshal(data []byte) (*Index, error) {
	var x Index
	if err := json.Unmarshal(data, &x); err != nil {
		return nil, fmt.Errorf("ingest: index: %w", err)
	}
	if len(x.Slices) == 0 || x.Rows < 1 || x.Columns < 1 {
		return nil, fmt.Errorf("ingest: index of study %s has %d slices of %dx%d", x.StudyUID, len(x.Slices), x.Rows, x.Columns)
	}
	return &x, nil
}

func normal(o [6]float64) [3]float64 {
	return [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func length(a [3]float64) float64 { return math.Sqrt(dot(a, a)) }

func minus(a, b [3]float64) [3]float64 { return [3]float64{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
