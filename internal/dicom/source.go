package dicom

import (
	"errors"
	"fmt"
	"io"
)

// blockSize is what one read of a header brings: most CT headers are shorter.
const blockSize = 16 << 10

// source is a window on a file that moves forward.
type source struct {
	r    io.ReaderAt
	size int64
	base int64  // of the window in the file
	win  []byte // the window, a part of buf
	buf  []byte
}

func (s *source) reset(r io.ReaderAt, size int64) {
	s.r, s.size, s.base, s.win = r, size, 0, nil
}

// bytes returns n bytes at off, at most blockSize, valid until the next call. It reads a block ahead; t
// names the element for the error.
func (s *source) bytes(t tag, off int64, n int) ([]byte, error) {
	return s.read(t, off, n, blockSize)
}

// exactly is bytes without reading ahead.
func (s *source) exactly(t tag, off int64, n int) ([]byte, error) {
	return s.read(t, off, n, n)
}

func (s *source) read(t tag, off int64, n, ahead int) ([]byte, error) {
	if off >= s.base && off+int64(n) <= s.base+int64(len(s.win)) {
		at := off - s.base
		return s.win[at : at+int64(n)], nil
	}
	if off+int64(n) > s.size {
		return nil, truncated(t, off, "%d bytes are needed, the file has %d more", n, max(s.size-off, 0))
	}
	if s.buf == nil {
		s.buf = make([]byte, blockSize)
	}
	want := s.buf[:min(int64(ahead), s.size-off)]
	got, err := s.r.ReadAt(want, off)
	if got < len(want) {
		s.win = nil
		if err == nil || errors.Is(err, io.EOF) {
			return nil, truncated(t, off+int64(got), "the file ends before its %d bytes", s.size)
		}
		return nil, fmt.Errorf("dicom: reading at byte %d: %w", off, err)
	}
	s.base, s.win = off, want
	return want[:n], nil
}
