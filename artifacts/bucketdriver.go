package artifacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"slices"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/memblob" // mem://; the clouds' drivers come with package artifacts/cloud
	"gocloud.dev/gcerrors"

	"github.com/cspine/cspine/internal/bucket"
)

// bucketDriver keeps values as blobs of a bucket. Whole-or-absent and durability are the service's own:
// S3, Google Cloud Storage and Azure publish a blob when its upload is complete.
//
// A request that fails in passing is made again. All of them may be: a Create whose answer was lost then
// finds its own value, which is ErrExist, as if another had been quicker. A Store looks what lies there.
type bucketDriver struct {
	bucket *blob.Bucket
	name   string // of the place, for errors; it may be empty
}

// NewBucketDriver returns a driver on a bucket, which it closes when it is closed. Create is exclusive
// where the service knows conditional writes (S3, GCS, Azure, memory). It must not be given a bucket of
// gocloud's fileblob, which neither flushes nor creates exclusively: NewFileDriver does.
func NewBucketDriver(b *blob.Bucket) Driver {
	return &bucketDriver{bucket: b}
}

func (d *bucketDriver) Read(ctx context.Context, key string) (data []byte, err error) {
	err = d.request(ctx, key, func() error {
		r, err := d.bucket.NewReader(ctx, key, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := checkSize(key, r.Size()); err != nil {
			return err
		}
		data = make([]byte, r.Size())
		_, err = io.ReadFull(r, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

func (d *bucketDriver) ReadAt(ctx context.Context, key string, p []byte, offset int64) (n int, err error) {
	var atEnd bool
	err = d.request(ctx, key, func() error {
		r, err := d.bucket.NewRangeReader(ctx, key, offset, int64(len(p)), nil)
		if err != nil {
			return err
		}
		defer r.Close()
		n, err = io.ReadFull(r, p)
		atEnd = offset+int64(n) >= r.Size()
		if atEnd && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)) {
			return nil
		}
		return err
	})
	switch {
	case err == nil && n < len(p) && atEnd:
		return n, io.EOF
	case err == nil || errors.Is(err, ErrNotFound) || ctx.Err() != nil || bucket.Transient(err):
		return n, err
	}
	// A service refuses a range that begins at the end or behind it.
	if info, statErr := d.Stat(ctx, key); statErr == nil && offset >= info.Size {
		return 0, io.EOF
	}
	return n, err
}

func (d *bucketDriver) Stat(ctx context.Context, key string) (info Info, err error) {
	err = d.request(ctx, key, func() error {
		a, err := d.bucket.Attributes(ctx, key)
		if err == nil {
			info = Info{Key: key, Size: a.Size, Modified: a.ModTime}
		}
		return err
	})
	return info, err
}

func (d *bucketDriver) Create(ctx context.Context, key string, data []byte) error {
	return d.write(ctx, key, data, true)
}

func (d *bucketDriver) Replace(ctx context.Context, key string, data []byte) error {
	return d.write(ctx, key, data, false)
}

func (d *bucketDriver) write(ctx context.Context, key string, data []byte, ifNotExist bool) error {
	opts := &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: ifNotExist}
	if len(data) < 8<<20 {
		opts.BufferSize = len(data) + 1 // one request; left alone, Google's library takes a buffer of 16 MiB for each write
	}
	err := d.request(ctx, key, func() error {
		// Upload rather than WriteAll: that of gocloud 0.47 panics on Azure when the service refuses.
		return d.bucket.Upload(ctx, key, bytes.NewReader(data), opts)
	})
	if errors.Is(err, ErrNotFound) {
		return d.noBucket(key, err)
	}
	return err
}

func (d *bucketDriver) Copy(ctx context.Context, from, to string) error {
	return d.request(ctx, from, func() error { return d.bucket.Copy(ctx, to, from, nil) })
}

func (d *bucketDriver) Delete(ctx context.Context, key string) error {
	err := d.request(ctx, key, func() error { return d.bucket.Delete(ctx, key) })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (d *bucketDriver) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	const pageSize = 1000 // of all three services
	return func(yield func(Info, error) bool) {
		for token := blob.FirstPageToken; len(token) > 0; {
			var page []*blob.ListObject
			err := d.request(ctx, prefix, func() (err error) {
				var next []byte
				if page, next, err = d.bucket.ListPage(ctx, token, pageSize, &blob.ListOptions{Prefix: prefix}); err == nil {
					token = next
				}
				return err
			})
			if errors.Is(err, ErrNotFound) {
				err = d.noBucket(prefix, err)
			}
			if err != nil {
				yield(Info{}, err)
				return
			}
			for _, item := range page {
				if !yield(Info{Key: item.Key, Size: item.Size, Modified: item.ModTime}, nil) {
					return
				}
			}
		}
	}
}

func (d *bucketDriver) Close() error { return d.bucket.Close() }

// request makes a request about key, again if it fails in passing, and gives its error a place in this
// package's kinds.
func (d *bucketDriver) request(ctx context.Context, key string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := bucket.Usual.Try(ctx, do)
	if err == nil || errors.Is(err, ErrCorrupt) {
		return err
	}
	err = lineError{err}
	switch bucket.FaultOf(err) {
	case bucket.FaultDenied:
		return fmt.Errorf("artifacts: %s: %w: docs/operations.md lists the rights that a store needs: %w", d.place(key), fs.ErrPermission, err)
	case bucket.FaultNoBucket:
		return d.noBucket(key, err)
	}
	var unknownHost *net.DNSError
	if errors.As(err, &unknownHost) { // gocloud says of some that they are not found, which is no word about the key
		return fmt.Errorf("artifacts: %s: %w", d.place(key), err)
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return notFound(key)
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return exists(key)
	}
	return fmt.Errorf("artifacts: %s: %w", d.place(key), err)
}

func (d *bucketDriver) noBucket(key string, err error) error {
	return fmt.Errorf("artifacts: %s: %w: there is no such bucket, or it is gone: make it, or mend the URL: %w", d.place(key), ErrLayout, err)
}

// lineError has a text of one line: Azure's errors have many and rules between them, and what ends a run is
// told by its last line.
type lineError struct{ error }

func (e lineError) Error() string {
	words := strings.Fields(e.error.Error())
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return strings.Trim(w, "-") == "" }), " ")
}

func (e lineError) Unwrap() error { return e.error }

// place says where a key lies.
func (d *bucketDriver) place(key string) string {
	if d.name == "" {
		return key
	}
	return d.name + "/" + key
}
