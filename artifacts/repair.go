package artifacts

import (
	"context"
	"errors"
	"slices"
)

// repair removes what is damaged: records first, since a record's object must be there.
func (v *verification) repair(ctx context.Context) error {
	if !v.Repair {
		return nil
	}
	if err := v.judgeSuspects(ctx); err != nil {
		return err
	}
	var keys []string
	for _, recipe := range v.badRecords {
		keys = append(keys, recordKey(recipe))
	}
	for _, key := range slices.Concat(keys, v.badObjects, v.badFiles) {
		if err := v.store.driver.Delete(ctx, key); err != nil {
			return err
		}
		v.sum.Removed++
	}
	if !v.badMarker {
		return nil
	}
	marker, err := encodeMarker()
	if err != nil {
		return err
	}
	return v.store.driver.Replace(ctx, markerKey, marker)
}

// judgeSuspects reads the objects that have not the size that a record names: another encoder may have made them since.
func (v *verification) judgeSuspects(ctx context.Context) error {
	for _, out := range v.suspects {
		key := objectKey(out.Digest, out.Encoding)
		stored, err := v.store.driver.Read(ctx, key)
		if err == nil {
			_, err = verify(stored, out.Digest, out.Encoding)
		}
		switch {
		case errors.Is(err, ErrCorrupt):
			v.badObjects = append(v.badObjects, key)
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
	}
	slices.Sort(v.badObjects)
	v.badObjects = slices.Compact(v.badObjects)
	return nil
}
