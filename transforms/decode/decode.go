// Package decode fetches single slices of an indexed study and decodes them to stored values.
//
// Invariants:
//   - A slice costs one range read of exactly its pixel data; its header is not read again.
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
	n := s.Pixels.Length
	if n <= 0 || s.Pixels.Offset+n > s.File.Size {
		n = s.File.Size - s.Pixels.Offset // of undefined length: to the end of the file
	}
	buf, _ := encoded.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer encoded.Put(buf)
	value, err := r.data.ReadRange(ctx, r.index.Object(i), s.Pixels.Offset, n, *buf)
	if err != nil {
		return volume.Slice{}, err
	}
	*buf = value
	var pix []uint16
	if p, _ := decoded.Get().(*[]uint16); p != nil {
		pix = *p
	}
	out, err := dicom.DecodeFrame(value, s.Pixels, pix)
	if err != nil {
		return volume.Slice{}, fmt.Errorf("decode %s: %w", r.index.Key(i), err)
	}
	return out, nil
}

// Release gives a slice's memory back for later slices. The slice must not be used afterwards.
func Release(s volume.Slice) { decoded.Put(&s.Pix) }
