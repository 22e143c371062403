package artifacts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Content is what a transform hands over to be stored.
type Content struct {
	Data     []byte   // the unencoded bytes; lent: neither changed nor kept
	Encoding Encoding // "" means Zstd
	// Note goes into the record (see Record.Note); it must be valid JSON if there is any.
	Note json.RawMessage
	// Seconds is what computing took before compute was called, for a caller that makes several contents
	// in one pass and then only hands them over.
	Seconds float64
	// Encode, if not nil, takes the place of the store's own Zstandard encoder: it must append to dst
	// frames that decode to src, return the whole and keep nothing of it, as zstd.Encoder.EncodeAll does;
	// the frames should announce their sizes.
	Encode func(dst, src []byte) []byte
	// Frames, where it is not empty, names what Encode makes: the encoder, its version and its settings, so that of one name equal Data
	// are equal frames. Store.Frames then hands the frames out as they are.
	Frames string
	// Release, if not nil, is called when the store needs Data no longer, whatever came of it.
	Release func()
	// Existing, if not nil, is an object that the store has, and what is made is the same: then all of the above but Note and Seconds is
	// passed over. It is an error that wraps ErrNotFound if the store has lost it.
	Existing *Output
}

// Object describes a stored object.
type Object struct {
	Digest   Digest
	Encoding Encoding
	Stored   int64 // bytes in the store
	Modified time.Time
}

// Put stores content and returns where. When it returns nil, the object is safe against a crash. Content
// that is there already is read and verified, and replaced if damaged; its encoding stays as it is.
func (s *Store) Put(ctx context.Context, c Content) (Output, error) {
	if c.Release != nil {
		defer c.Release()
	}
	if c.Existing != nil {
		return s.existing(ctx, *c.Existing)
	}
	out := Output{Digest: DigestOf(c.Data), Size: int64(len(c.Data)), Encoding: c.Encoding}
	if out.Encoding == "" {
		out.Encoding = Zstd
	}
	if !out.Encoding.known() {
		return Output{}, fmt.Errorf("artifacts: no encoding %.20q", out.Encoding)
	}
	if out.Size > MaxObjectBytes {
		return Output{}, fmt.Errorf("artifacts: content has %d bytes, an object at most %d: cut it", out.Size, int64(MaxObjectBytes))
	}
	if err := ctx.Err(); err != nil {
		return Output{}, err
	}
	buffer := encodeBuffers.Get().(*[]byte)
	defer encodeBuffers.Put(buffer)
	stored, err := c.encode(out, buffer)
	if err != nil {
		return Output{}, err
	}
	out.Stored = int64(len(stored))
	key := objectKey(out.Digest, out.Encoding)
	err = s.driver.Create(ctx, key, stored)
	if errors.Is(err, ErrExist) {
		out.Stored, err = s.settle(ctx, key, out, stored)
	}
	if err != nil {
		return Output{}, err
	}
	return out, nil
}

func (s *Store) existing(ctx context.Context, o Output) (Output, error) {
	info, err := s.driver.Stat(ctx, objectKey(o.Digest, o.Encoding))
	if err == nil && info.Size != o.Stored {
		err = corrupt("object %s has %d bytes in the store, not %d", o.Digest.Short(), info.Size, o.Stored)
	}
	return o, err
}

// settle makes sure that the object that lies under key already is what it should be, and returns its size
// in the store. A sound one stays, since records may name its size.
func (s *Store) settle(ctx context.Context, key string, out Output, stored []byte) (int64, error) {
	present, err := s.driver.Read(ctx, key)
	switch {
	case err == nil && bytes.Equal(present, stored):
		return out.Stored, nil
	case err == nil:
		if _, err := verify(present, out.Digest, out.Encoding); err == nil {
			return int64(len(present)), nil
		}
	case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt):
		return 0, err
	}
	return out.Stored, s.driver.Replace(ctx, key, stored)
}

// Get returns the content with digest d, verified; the caller owns it. It returns an error that wraps
// ErrNotFound if there is none, and ErrCorrupt if what is stored does not hash to d.
func (s *Store) Get(ctx context.Context, d Digest) ([]byte, error) {
	data, err := readObject(ctx, s.driver.Read, d)
	if s.look && errors.Is(err, ErrNotFound) {
		if data, ok := s.from.get(ctx, d); ok {
			return data, nil
		}
	}
	return data, err
}

// readObject returns the content of the object with digest d, in whatever encoding it is there.
func readObject(ctx context.Context, read func(ctx context.Context, key string) ([]byte, error), d Digest) ([]byte, error) {
	var damage error
	for _, e := range encodings {
		stored, err := read(ctx, objectKey(d, e))
		var data []byte
		if err == nil {
			data, err = verify(stored, d, e)
		}
		switch {
		case err == nil:
			return data, nil
		case errors.Is(err, ErrCorrupt):
			damage = err // perhaps it is here in another encoding, too
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	if damage != nil {
		return nil, damage
	}
	return nil, notFound("object " + d.String())
}

// ReaderAt returns the object with digest d, which must be stored with Identity, for reading parts of it,
// and its size. What it reads is not verified: only formats that carry checksums of their own should be
// read so. Its calls end when ctx does.
func (s *Store) ReaderAt(ctx context.Context, d Digest) (io.ReaderAt, int64, error) {
	key := objectKey(d, Identity)
	info, err := s.driver.Stat(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	return &partReader{ctx: ctx, driver: s.driver, key: key}, info.Size, nil
}

// partReader keeps a context, since io.ReaderAt takes none.
type partReader struct {
	ctx    context.Context
	driver Driver
	key    string
}

func (r *partReader) ReadAt(p []byte, offset int64) (int, error) {
	return r.driver.ReadAt(r.ctx, r.key, p, offset)
}

// Stat describes the object with digest d without reading it. It looks for encodings in the order in
// which Get does.
func (s *Store) Stat(ctx context.Context, d Digest) (Object, error) {
	for _, e := range encodings {
		info, err := s.driver.Stat(ctx, objectKey(d, e))
		if err == nil {
			return Object{Digest: d, Encoding: e, Stored: info.Size, Modified: info.Modified}, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return Object{}, err
		}
	}
	return Object{}, notFound("object " + d.String())
}

// Objects yields every object, in no particular order; one that lies there in two encodings comes twice.
// Files that are not objects are passed over. After an error it yields nothing more.
func (s *Store) Objects(ctx context.Context) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for info, err := range s.driver.List(ctx, objectsFolder+"/") {
			if err != nil {
				yield(Object{}, err)
				return
			}
			d, e, ok := parseObjectKey(info.Key)
			if ok && !yield(Object{Digest: d, Encoding: e, Stored: info.Size, Modified: info.Modified}, nil) {
				return
			}
		}
	}
}

// Remove deletes the object with digest d in every encoding. Records that name it become misses, and named
// files that PublishFile made of it stay. Whoever removes to save space must remove the records first, and
// nothing that a run under way may be about to name.
func (s *Store) Remove(ctx context.Context, d Digest) error {
	for _, e := range encodings {
		if err := s.driver.Delete(ctx, objectKey(d, e)); err != nil {
			return err
		}
	}
	return nil
}

// encode returns the bytes to store; with Identity they are Data itself, else they lie in *buffer, which
// grows as needed.
func (c *Content) encode(out Output, buffer *[]byte) ([]byte, error) {
	if out.Encoding == Identity {
		return c.Data, nil
	}
	if c.Encode == nil {
		*buffer = encodeZstd((*buffer)[:0], c.Data)
		return *buffer, nil
	}
	stored := c.Encode((*buffer)[:0], c.Data)
	*buffer = stored
	bound, err := frameBound(stored)
	if err != nil {
		return nil, fmt.Errorf("artifacts: what Content.Encode made is not zstd: %w", err)
	}
	if bound < int64(len(c.Data)) {
		return nil, fmt.Errorf("artifacts: Content.Encode made frames that hold %d of %d bytes", bound, len(c.Data))
	}
	if c.Frames != "" {
		stored = append(stored, seal(stored, out.Digest, c.Frames)...)
		*buffer = stored
	}
	return stored, nil
}

// verify decodes a stored object and checks that it is d.
func verify(stored []byte, d Digest, e Encoding) ([]byte, error) {
	data, err := decode(stored, e)
	if err != nil {
		return nil, corrupt("object %s: %v", objectKey(d, e), err)
	}
	if got := DigestOf(data); got != d {
		return nil, corrupt("object %s: its content hashes to %s", objectKey(d, e), got.Short())
	}
	return data, nil
}
