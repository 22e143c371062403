package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// folderReader reads a local folder directly: gocloud's fileblob opens a second file with attributes for
// every object, which a data set does not have and 700,000 slices would pay for.
type folderReader struct{ root *os.Root }

func openFolder(dir string) (*Source, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	return &Source{root: &folderReader{root}, name: abs}, nil
}

func (f *folderReader) list(ctx context.Context, prefix string, yield func(Object, bool) error) error {
	dir := "."
	if prefix != "" {
		dir = strings.TrimSuffix(prefix, "/")
	}
	entries, err := fs.ReadDir(f.root.FS(), dir)
	if err != nil {
		return notFound(err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Stat rather than e.Info: a link to a slice is as good as a slice, as long as it stays inside.
		info, err := f.root.Stat(filepath.FromSlash(prefix + e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed between the two calls, or a dangling link
		}
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = yield(Object{Key: prefix + e.Name() + "/"}, true)
		} else {
			err = yield(fileObject(prefix+e.Name(), info), false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func fileObject(key string, info fs.FileInfo) Object {
	return Object{Key: key, Size: info.Size(), Version: "mtime:" + strconv.FormatInt(info.ModTime().UnixNano(), 10)}
}

func (f *folderReader) readRange(_ context.Context, o Object, p []byte, offset int64) (int, error) {
	file, err := f.root.Open(filepath.FromSlash(o.Key))
	if err != nil {
		return 0, notFound(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if fileObject(o.Key, info) != o {
		return 0, ErrChanged
	}
	n, err := file.ReadAt(p, offset)
	if errors.Is(err, io.EOF) {
		err = nil
		if n < len(p) {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (f *folderReader) stat(_ context.Context, key string) (Object, error) {
	info, err := f.root.Stat(filepath.FromSlash(key))
	if err != nil {
		return Object{}, notFound(err)
	}
	if info.IsDir() {
		return Object{}, fmt.Errorf("is a folder: %w", ErrNotFound)
	}
	return fileObject(key, info), nil
}

func (f *folderReader) close() error { return f.root.Close() }

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}
