package source

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

type bucketReader struct{ bucket *blob.Bucket }

func (b *bucketReader) list(ctx context.Context, prefix string, yield func(Object, bool) error) error {
	it := b.bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"})
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return classify(err)
		}
		if o.Key == prefix {
			continue // the marker object that some tools leave for an empty folder
		}
		found := Object{Key: o.Key, Size: o.Size, Version: version(o.MD5, o.ModTime.UnixNano())}
		if err := yield(found, o.IsDir); err != nil {
			return err
		}
	}
}

func (b *bucketReader) readRange(ctx context.Context, o Object, p []byte, offset int64) (int, error) {
	r, err := b.bucket.NewRangeReader(ctx, o.Key, offset, int64(len(p)), nil)
	if err != nil {
		return 0, classify(err)
	}
	defer r.Close()
	// A range reader tells no MD5, so that a version of that kind is compared by size alone.
	if r.Size() != o.Size || strings.HasPrefix(o.Version, "mtime:") && version(nil, r.ModTime().UnixNano()) != o.Version {
		return 0, ErrChanged
	}
	n, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) && len(p) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *bucketReader) stat(ctx context.Context, key string) (Object, error) {
	a, err := b.bucket.Attributes(ctx, key)
	if err != nil {
		return Object{}, classify(err)
	}
	return Object{Key: key, Size: a.Size, Version: version(a.MD5, a.ModTime.UnixNano())}, nil
}

func (b *bucketReader) close() error { return b.bucket.Close() }

// version prefers the strongest evidence that both a listing and a stat give, so that the two agree.
func version(md5 []byte, modified int64) string {
	if len(md5) > 0 {
		return "md5:" + hex.EncodeToString(md5)
	}
	return "mtime:" + strconv.FormatInt(modified, 10)
}

func classify(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}
