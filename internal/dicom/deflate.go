package dicom

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math"
)

// A deflated data set (PS3.5, A.5) is inflated whole before it is read. A file may grow to inflatedTimes its size and inflatedRoom: the
// pixels of a slice that is all air would come out of next to nothing.
const (
	inflatedTimes = 4
	inflatedRoom  = 64 << 20
)

// inflated is a file from whose byte `from` on there is data in place of what was deflated.
type inflated struct {
	from int64
	data []byte
}

func (f *inflated) ReadAt(p []byte, off int64) (int, error) {
	if off < f.from || off-f.from > int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off-f.from:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// inflate returns what is deflated from a byte of a file of size bytes on, as long as it is no longer than most.
func inflate(r io.ReaderAt, from, size, most int64) (*inflated, error) {
	limit := min(inflatedTimes*size+inflatedRoom, most)
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(io.NewSectionReader(r, from, size-from)), limit+1))
	var corrupt flate.CorruptInputError
	switch {
	case err == nil && int64(len(data)) > limit && limit == most:
		return nil, overLimit("bytes", 0, from, "the deflated data set has more than the %d bytes that are allowed", limit)
	case err == nil && int64(len(data)) > limit:
		return nil, malformed(0, from, "the deflated data set has more than %d bytes, in a file of %d", limit, size)
	case err == nil:
		return &inflated{from, data}, nil
	case errors.As(err, &corrupt):
		return nil, malformed(0, from+int64(corrupt), "the data set cannot be inflated")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, truncated(0, size, "the deflated data set has no end")
	}
	return nil, fmt.Errorf("dicom: inflating from byte %d: %w", from, err)
}

// Value returns the value of the pixel data element of a file, which it shares memory with, unless the file is deflated.
func (f *PixelFormat) Value(file []byte) ([]byte, error) {
	size := int64(len(file))
	if f.Deflated > 0 {
		if f.Deflated > size {
			return nil, truncated(tagPixelData, size, "the file ends before its data set")
		}
		whole, err := inflate(bytes.NewReader(file), f.Deflated, size, math.MaxInt64)
		if err != nil {
			return nil, err
		}
		return value(whole.data, f.Offset-f.Deflated, f.Length)
	}
	return value(file, f.Offset, f.Length)
}

func value(b []byte, offset, length int64) ([]byte, error) {
	if offset < 0 || length < 0 || offset > int64(len(b)) || length > int64(len(b))-offset {
		return nil, truncated(tagPixelData, int64(len(b)), "the pixel data end behind the file's %d bytes", len(b))
	}
	return b[offset : offset+length], nil
}
