package models

import (
	"fmt"
	"io"
	"os"
)

// maxFile is the largest protocol buffer, and so the largest ONNX file with its weights inside.
const maxFile = 2 << 30

// ReadFile reads a model's file, but none that is too large to be one. That error is an *Error with CodeNotONNX; others are the
// file system's.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, &Error{Code: CodeNotONNX, Detail: fmt.Sprintf("%s has %d bytes; an ONNX file has at most %d", path, info.Size(), maxFile)}
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return data, nil
}
