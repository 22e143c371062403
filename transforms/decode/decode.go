// Package decode fetches single slices of an indexed study and decodes them to stored values.
//
// Invariants:
//   - A slice costs one range read of exactly its pixel data, or of its file where that is deflated; its header is not read again.
//   - A file that changed since it was indexed is an error, never another image.
//   - A Reader may be used from several goroutines.
package decode

import (
	"context"
	"fmt"
	"sync"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/ingest"
)

// Version is raised when equal files may decode to different values. It belongs to the recipe of every
// step that decodes.
const Version = 1

// Reader decodes the slices of one study.
type Reader struct {
	data  *source.Source
	index *ingest.Index
}

// NewReader returns a reader of the study's slices.
func NewReader(data *source.Source, index *ingest.Index) *Reader { return &Reader{data, index} }

var (
	encoded sync.Pool // *[]byte
	decoded sync.Pool // *[]uint16
)

// Slice returns slice i, head to foot. The caller owns it and should give it back with Release.
func (r *Reader) Slice(ctx context.Context, i int) (volume.Slice, error) {
	if err := ctx.Err(); err != nil {
		return volume.Slice{}, err
	}
	s := &r.index.Slices[i]
	format := s.Pixels
	format.MaxPixels = format.Rows * format.Columns // the index has what was small enough for its limits
	offset, n := format.Offset, format.Length
	if format.Deflated > 0 {
		offset, n = 0, s.File.Size
	}
	buf, _ := encoded.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer encoded.Put(buf)
	value, err := r.data.ReadRange(ctx, r.index.Object(i), offset, n, *buf)
	if err != nil {
		return volume.Slice{}, err
	}
	*buf = value
	if format.Deflated > 0 {
		if value, err = format.Value(value); err != nil {
			return volume.Slice{}, fmt.Errorf("decode %s: %w", r.index.Key(i), err)
		}
	}
	var pix []uint16
	if p, _ := decoded.Get().(*[]uint16); p != nil {
		pix = *p
	}
	out, err := dicom.DecodeFrame(value, format, 0, pix)
	if err != nil {
		return volume.Slice{}, fmt.Errorf("decode %s: %w", r.index.Key(i), err)
	}
	if s.Place == nil {
		return out, nil
	}
	defer Release(out)
	return place(out, s.Place), nil
}

// place turns a frame and lays it on its canvas. The result has memory of its own.
func place(src volume.Slice, p *ingest.Placement) volume.Slice {
	rows, columns := src.Rows, src.Columns
	perRow, perColumn := src.Columns, 1 // what a step down and a step right are in src.Pix
	if p.Transpose {
		rows, columns = columns, rows
		perRow, perColumn = perColumn, perRow
	}
	first := 0
	if p.FlipRows {
		first += (rows - 1) * perRow
		perRow = -perRow
	}
	if p.FlipColumns {
		first += (columns - 1) * perColumn
		perColumn = -perColumn
	}
	out := volume.Slice{Rows: rows, Columns: columns, Bias: src.Bias}
	if p.Canvas != [2]int{} {
		out.Rows, out.Columns = p.Canvas[0], p.Canvas[1]
	}
	n := out.Rows * out.Columns
	if pix, _ := decoded.Get().(*[]uint16); pix != nil {
		out.Pix = *pix
	}
	if cap(out.Pix) < n {
		out.Pix = make([]uint16, n)
	}
	out.Pix = out.Pix[:n]
	if n > rows*columns {
		fill := uint16(p.Fill - src.Bias)
		for i := range out.Pix {
			out.Pix[i] = fill
		}
	}
	for r := range rows {
		line := out.Pix[(r+p.Down)*out.Columns+p.Right:][:columns]
		at := first + r*perRow
		for c := range line {
			line[c] = src.Pix[at]
			at += perColumn
		}
	}
	return out
}

// Release gives a slice's memory back for later slices. The slice must not be used afterwards.
func Release(s volume.Slice) { decoded.Put(&s.Pix) }
