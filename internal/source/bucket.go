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

	"github.com/cspine/cspine/internal/bucket"
)

type bucketReader struct{ bucket *blob.Bucket }

func (b *bucketReader) list(ctx context.Context, prefix string, yield func(Object, bool) error) error {
	token := blob.FirstPageToken
	for len(token) > 0 {
		var page []*blob.ListObject
		var next []byte
		err := b.request(ctx, func() (err error) {
			page, next, err = b.bucket.ListPage(ctx, token, pageSize, &blob.ListOptions{Prefix: prefix, Delimiter: "/"})
			return err
		})
		if err != nil {
			return err
		}
		for _, o := range page {
			if o.Key == prefix {
				continue // the marker object that some tools leave for an empty folder
			}
			found := Object{Key: o.Key, Size: o.Size, Version: version(o.MD5, o.ModTime.UnixNano())}
			if err := yield(found, o.IsDir); err != nil {
				return err
			}
		}
		token = next
	}
	return nil
}

const pageSize = 1000 // what S3 gives at most

func (b *bucketReader) readRange(ctx context.Context, o Object, p []byte, offset int64) (n int, err error) {
	ended := false // where the object does, and not an answer that broke off
	err = b.request(ctx, func() error {
		r, err := b.bucket.NewRangeReader(ctx, o.Key, offset, int64(len(p)), nil)
		if err != nil {
			return err
		}
		defer r.Close()
		// A range reader tells no MD5, so that a version of that kind is compared by size alone.
		if r.Size() != o.Size || strings.HasPrefix(o.Version, "mtime:") && version(nil, r.ModTime().UnixNano()) != o.Version {
			return ErrChanged
		}
		n, err = io.ReadFull(r, p)
		if ended = n < len(p) && offset+int64(n) >= o.Size; ended {
			return nil
		}
		return err
	})
	switch {
	case ended && err == nil:
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		// Whoever reads must not take it for the object's end.
		return n, fmt.Errorf("after %d of %d bytes the answer broke off: %s", n, len(p), err.Error()) // no %w, which would carry ErrUnexpectedEOF
	}
	return n, err
}

func (b *bucketReader) stat(ctx context.Context, key string) (o Object, err error) {
	err = b.request(ctx, func() error {
		a, err := b.bucket.Attributes(ctx, key)
		if err == nil {
			o = Object{Key: key, Size: a.Size, Version: version(a.MD5, a.ModTime.UnixNano())}
		}
		return err
	})
	return o, err
}

// request makes a request, again if it fails in passing.
func (b *bucketReader) request(ctx context.Context, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := bucket.Usual.Try(ctx, do)
	if gcerrors.Code(err) == gcerrors.NotFound && bucket.FaultOf(err) == bucket.FaultOther {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

func (b *bucketReader) close() error { return b.bucket.Close() }

// version prefers the strongest evidence that both a listing and a stat give, so that the two agree.
func version(md5 []byte, modified int64) string {
	if len(md5) > 0 {
		return "md5:" + hex.EncodeToString(md5)
	}
	return "mtime:" + strconv.FormatInt(modified, 10)
}
