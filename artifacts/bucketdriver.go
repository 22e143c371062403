package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/memblob" // mem://; the clouds' drivers come with package artifacts/cloud
	"gocloud.dev/gcerrors"
)

// bucketDriver keeps values as blobs of a bucket. Whole-or-absent and durability are the service's own:
// S3, Google Cloud Storage and Azure publish a blob when its upload is complete.
type bucketDriver struct{ bucket *blob.Bucket }

// NewBucketDriver returns a driver on a bucket, which it closes when it is closed. Create is exclusive
// where the service knows conditional writes (S3, GCS, Azure, memory). It must not be given a bucket of
// gocloud's fileblob, which neither flushes nor creates exclusively: NewFileDriver does.
func NewBucketDriver(bucket *blob.Bucket) Driver { return &bucketDriver{bucket: bucket} }

func (d *bucketDriver) Read(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := d.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, bucketError(key, err)
	}
	defer r.Close()
	if err := checkSize(key, r.Size()); err != nil {
		return nil, err
	}
	data := make([]byte, r.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, bucketError(key, err)
	}
	return data, nil
}

func (d *bucketDriver) ReadAt(ctx context.Context, key string, p []byte, offset int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r, err := d.bucket.NewRangeReader(ctx, key, offset, int64(len(p)), nil)
	if err != nil {
		// A service refuses a range that begins at the end or behind it.
		if info, statErr := d.Stat(ctx, key); statErr == nil && offset >= info.Size {
			return 0, io.EOF
		}
		return 0, bucketError(key, err)
	}
	defer r.Close()
	n, err := io.ReadFull(r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		if offset+int64(n) >= r.Size() {
			return n, io.EOF
		}
	}
	if err != nil {
		return n, bucketError(key, err)
	}
	return n, nil
}

func (d *bucketDriver) Stat(ctx context.Context, key string) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	a, err := d.bucket.Attributes(ctx, key)
	if err != nil {
		return Info{}, bucketError(key, err)
	}
	return Info{Key: key, Size: a.Size, Modified: a.ModTime}, nil
}

func (d *bucketDriver) Create(ctx context.Context, key string, data []byte) error {
	return d.write(ctx, key, data, true)
}

func (d *bucketDriver) Replace(ctx context.Context, key string, data []byte) error {
	return d.write(ctx, key, data, false)
}

func (d *bucketDriver) write(ctx context.Context, key string, data []byte, ifNotExist bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := d.bucket.WriteAll(ctx, key, data, &blob.WriterOptions{
		ContentType: "application/octet-stream",
		IfNotExist:  ifNotExist,
	})
	return bucketError(key, err)
}

func (d *bucketDriver) Copy(ctx context.Context, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return bucketError(from, d.bucket.Copy(ctx, to, from, nil))
}

func (d *bucketDriver) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := bucketError(key, d.bucket.Delete(ctx, key)); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

func (d *bucketDriver) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		items := d.bucket.List(&blob.ListOptions{Prefix: prefix})
		for {
			if err := ctx.Err(); err != nil {
				yield(Info{}, err)
				return
			}
			item, err := items.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Info{}, bucketError(prefix, err))
				return
			}
			if !yield(Info{Key: item.Key, Size: item.Size, Modified: item.ModTime}, nil) {
				return
			}
		}
	}
}

func (d *bucketDriver) Close() error { return d.bucket.Close() }

// bucketError gives an error of the service its place in this package's kinds; nil stays nil.
func bucketError(key string, err error) error {
	if err == nil {
		return nil
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return notFound(key)
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return exists(key)
	}
	return fmt.Errorf("artifacts: %s: %w", key, err)
}
