// Package source reads a data set where it lies: a local folder, or a bucket of any provider that
// gocloud.dev/blob knows.
//
// Invariants:
//   - A source is only read. It must not be changed while it is read; an Object's Version lets a reader
//     notice that it was.
//   - A request to a bucket that fails in passing is made again (package bucket). An answer that breaks off for good is an error of its
//     own, never taken for the object's end.
//   - Keys use "/" and are relative to the source's root. They never leave it.
//   - All methods may be called from several goroutines.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"

	"github.com/cspine/cspine/internal/bucket"
	"github.com/cspine/cspine/internal/perprocess"
)

var (
	// ErrNotFound is wrapped by errors about a key that is not there.
	ErrNotFound = errors.New("not found")
	// ErrChanged is wrapped by errors about an object that is not what its listing said any more.
	ErrChanged = errors.New("changed since it was listed")
)

// Object is one file of the data set.
type Object struct {
	Key  string `json:"key"`
	Size int64  `json:"size"`
	// Version changes when the file does: its MD5 where the store gives one, else its time of
	// modification in nanoseconds.
	Version string `json:"version"`
}

// Source is an opened data set.
type Source struct {
	root reader
	name string
}

// reader is what a kind of place must do.
type reader interface {
	// list calls yield for the objects and folders directly below prefix ("" or ending in "/"), in the
	// order of their keys. A folder's key ends in "/".
	list(ctx context.Context, prefix string, yield func(o Object, folder bool) error) error
	// readRange fills p from offset. It returns io.ErrUnexpectedEOF if the object ends before p is full, and
	// ErrChanged if it can tell that the object is not the one given.
	readRange(ctx context.Context, o Object, p []byte, offset int64) (int, error)
	stat(ctx context.Context, key string) (Object, error)
	close() error
}

// Open opens a local path or a bucket URL. In a bucket URL the path is a prefix:
// s3://bucket/rsna2022?region=…. The program must link the drivers of the buckets it wants to open, as it
// does by importing artifacts/cloud.
func Open(ctx context.Context, location string) (*Source, error) {
	if location == "" {
		return nil, errors.New("source: no location given")
	}
	u, err := url.Parse(location)
	if err != nil || u.Scheme == "" {
		return openFolder(location)
	}
	if u.Scheme == "file" {
		return openFolder(filepath.FromSlash(u.Path))
	}
	prefix := strings.Trim(u.Path, "/")
	u.Path = ""
	b, err := bucket.Open(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("source: open %s: %w", u.Redacted(), err)
	}
	return FromBucket(b, prefix, u.Redacted()), nil
}

// FromBucket makes a source of the objects below prefix in an opened bucket, which the source closes.
func FromBucket(b *blob.Bucket, prefix, name string) *Source {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		b = blob.PrefixedBucket(b, prefix+"/")
	}
	return &Source{root: &bucketReader{b}, name: name}
}

// String names the source without credentials.
func (s *Source) String() string { return s.name }

// Close releases the source's connections.
func (s *Source) Close() error { return s.root.close() }

// List returns the objects and the names of the folders directly below a folder ("" for the root).
func (s *Source) List(ctx context.Context, folder string) (objects []Object, folders []string, err error) {
	prefix := ""
	if folder != "" {
		prefix = strings.TrimSuffix(folder, "/") + "/"
	}
	err = s.root.list(ctx, prefix, func(o Object, isFolder bool) error {
		if isFolder {
			folders = append(folders, path.Base(o.Key))
		} else {
			objects = append(objects, o)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("source: list %q: %w", folder, err)
	}
	return objects, folders, nil
}

// Stat returns one object, or an error that wraps ErrNotFound.
func (s *Source) Stat(ctx context.Context, key string) (Object, error) {
	o, err := s.root.stat(ctx, key)
	if err != nil {
		return Object{}, fmt.Errorf("source: %s: %w", key, err)
	}
	return o, nil
}

// ReadRange reads n bytes from offset into buf, growing it if it is too small, and returns them. A
// shorter object is an error that wraps io.ErrUnexpectedEOF; one whose size or time of modification is not
// what o says, ErrChanged.
func (s *Source) ReadRange(ctx context.Context, o Object, offset, n int64, buf []byte) ([]byte, error) {
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := s.root.readRange(ctx, o, buf, offset); err != nil {
		return nil, fmt.Errorf("source: read %s: %w", o.Key, err)
	}
	return buf, nil
}

// ReadAll reads a whole object of at most max bytes.
func (s *Source) ReadAll(ctx context.Context, key string, max int64) ([]byte, error) {
	o, err := s.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if o.Size > max {
		return nil, fmt.Errorf("source: %s has %d bytes, more than the %d that are allowed here", key, o.Size, max)
	}
	return s.ReadRange(ctx, o, 0, o.Size, nil)
}

// ReaderAt returns a view of an object whose reads are range requests.
func (s *Source) ReaderAt(ctx context.Context, o Object) io.ReaderAt {
	return &objectReader{ctx: ctx, root: s.root, object: o}
}

type objectReader struct {
	ctx    context.Context
	root   reader
	object Object
}

func (r *objectReader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := r.root.readRange(r.ctx, r.object, p, offset)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

var opened perprocess.Shared[*Source]

// Shared returns the process's one source for a location, opening it at the first call. It is never
// closed.
func Shared(ctx context.Context, location string) (*Source, error) {
	return opened.Get(location, func() (*Source, error) { return Open(context.WithoutCancel(ctx), location) })
}
