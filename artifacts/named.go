package artifacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Named files have keys that people choose, below runs/, datasets/, trainings/ and predictions/. Unlike objects they may change:
// what replaces one does so at once, and a reader gets the old bytes or the new ones. They are stored as
// they are. All methods refuse other keys, and any that could lead elsewhere, with an error that wraps ErrKey.

// PutNamed stores data under key in place of what was there.
func (s *Store) PutNamed(ctx context.Context, key string, data []byte) error {
	if err := checkNamedKey(key); err != nil {
		return err
	}
	return s.driver.Replace(ctx, key, data)
}

// GetNamed returns the file under key, which the caller owns, or an error that wraps ErrNotFound.
func (s *Store) GetNamed(ctx context.Context, key string) ([]byte, error) {
	if err := checkNamedKey(key); err != nil {
		return nil, err
	}
	return s.driver.Read(ctx, key)
}

// ListNamed returns the named files whose keys begin with prefix, ordered by key. The prefix must name at
// least the first folder: "runs/", "datasets/neck/part-".
func (s *Store) ListNamed(ctx context.Context, prefix string) ([]Info, error) {
	if err := checkNamedKey(prefix + "x"); err != nil {
		return nil, err
	}
	var infos []Info
	for info, err := range s.driver.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b Info) int { return cmp.Compare(a.Key, b.Key) })
	return infos, nil
}

// DeleteNamed removes the file under key; none there is no error.
func (s *Store) DeleteNamed(ctx context.Context, key string) error {
	if err := checkNamedKey(key); err != nil {
		return err
	}
	return s.driver.Delete(ctx, key)
}

// PublishFile makes the object with digest d, which must be stored with Identity, a named file as well: a
// hard link on a local store (a copy where there are no links), a copy inside the service on a bucket. On
// a local store the file is read-only, because it may share its bytes with the object.
func (s *Store) PublishFile(ctx context.Context, key string, d Digest) error {
	if err := checkNamedKey(key); err != nil {
		return err
	}
	err := s.driver.Copy(ctx, objectKey(d, Identity), key)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	if o, statErr := s.Stat(ctx, d); statErr == nil {
		return fmt.Errorf("artifacts: publish %s as %s: it is stored as %s: put it with Encoding Identity", d.Short(), key, o.Encoding)
	}
	return fmt.Errorf("artifacts: publish as %s: %w", key, notFound("object "+d.String()))
}

// Kind says what a digest is the digest of.
type Kind string

// The kinds of digest that Find knows.
const (
	KindObject Kind = "object" // of content
	KindRecord Kind = "record" // of a recipe that has a record
)

// Find returns the one digest in the store that begins with prefix, at least 4 hexadecimal digits of
// either case. If there are several the error wraps ErrAmbiguous and lists them.
func (s *Store) Find(ctx context.Context, prefix string) (Digest, Kind, error) {
	prefix = strings.ToLower(prefix)
	if len(prefix) < 4 || len(prefix) > 2*len(Digest{}) || !isLowerHex(prefix) {
		return Digest{}, "", fmt.Errorf("artifacts: %.80q: want 4 to 64 hexadecimal digits of a digest", prefix)
	}
	found := make(map[Digest]Kind)
	for kind, folder := range map[Kind]string{KindObject: objectsFolder, KindRecord: recordsFolder} {
		for info, err := range s.driver.List(ctx, folder+"/"+prefix[:2]+"/"+prefix) {
			if err != nil {
				return Digest{}, "", err
			}
			if d, _, ok := parseObjectKey(info.Key); ok {
				found[d] = kind
			} else if d, ok := parseRecordKey(info.Key); ok {
				found[d] = kind
			}
		}
	}
	if len(found) == 0 {
		return Digest{}, "", notFound("digest " + prefix)
	}
	var list []string
	for d, kind := range found {
		if len(found) == 1 {
			return d, kind, nil
		}
		list = append(list, fmt.Sprintf("%s %s", kind, d))
	}
	slices.Sort(list)
	return Digest{}, "", fmt.Errorf("artifacts: %w: %s stands for %s: give more digits", ErrAmbiguous, prefix, strings.Join(list, ", "))
}
