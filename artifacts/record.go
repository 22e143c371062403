package artifacts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Record says what came of a recipe. It is the only way from a recipe to its output, and it is written
// after the object it names.
type Record struct {
	Format int    `json:"format"`
	Recipe Recipe `json:"recipe"`
	Output Output `json:"output"`
	// Note is what the transform wants remembered beside its output: small facts as JSON, no patient data.
	Note    json.RawMessage `json:"note,omitempty"`
	Created time.Time       `json:"created"`
	Seconds float64         `json:"seconds"` // what computing took, without storing
}

// Output names one stored object.
type Output struct {
	Digest   Digest   `json:"digest"` // of the unencoded bytes
	Size     int64    `json:"size"`   // unencoded bytes
	Stored   int64    `json:"stored"` // bytes in the store
	Encoding Encoding `json:"encoding"`
}

// Lookup returns the record of the recipe with this digest, and whether it is a hit. A record that is
// damaged is an error that wraps ErrCorrupt; Do takes it for a miss. What this store misses, and the one of
// Options.From has, is copied here first, unless Options.Look says otherwise.
func (s *Store) Lookup(ctx context.Context, recipe Digest) (Record, bool, error) {
	r, hit, err := s.lookup(ctx, recipe)
	if hit || s.from == nil || err != nil && !errors.Is(err, ErrCorrupt) {
		return r, hit, err
	}
	if s.look {
		if shown, ok := s.from.show(ctx, recipe); ok {
			return shown, true, nil
		}
		return r, hit, cmp.Or(err, ctx.Err())
	}
	if borrowed, ok, borrowErr := s.borrow(ctx, recipe); ok || borrowErr != nil {
		return borrowed, ok, borrowErr
	}
	return r, hit, err
}

// lookup is Lookup in this store alone.
func (s *Store) lookup(ctx context.Context, recipe Digest) (Record, bool, error) {
	r, err := s.readRecord(ctx, recipe)
	if errors.Is(err, ErrNotFound) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, err
	}
	info, err := s.driver.Stat(ctx, objectKey(r.Output.Digest, r.Output.Encoding))
	if errors.Is(err, ErrNotFound) || err == nil && info.Size != r.Output.Stored {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, err
	}
	return r, true, nil
}

// Record returns the record of the recipe with this digest, whether or not its object is there, or an error that wraps ErrNotFound or
// ErrCorrupt.
func (s *Store) Record(ctx context.Context, recipe Digest) (Record, error) {
	return s.readRecord(ctx, recipe)
}

// RecordFile is a record and where it is filed.
type RecordFile struct {
	Record
	RecipeDigest Digest
	Modified     time.Time
}

// Records yields every record, whether or not its object is there, in no particular order. A damaged
// record comes with its digest and an error that wraps ErrCorrupt, and more follow; after any other error
// it yields nothing more. Files that are not records are passed over.
func (s *Store) Records(ctx context.Context) iter.Seq2[RecordFile, error] {
	return func(yield func(RecordFile, error) bool) {
		for info, err := range s.driver.List(ctx, recordsFolder+"/") {
			if err != nil {
				yield(RecordFile{}, err)
				return
			}
			recipe, ok := parseRecordKey(info.Key)
			if !ok {
				continue
			}
			r, err := s.readRecord(ctx, recipe)
			if errors.Is(err, ErrNotFound) {
				continue // removed meanwhile
			}
			more := yield(RecordFile{Record: r, RecipeDigest: recipe, Modified: info.Modified}, err)
			if !more || err != nil && !errors.Is(err, ErrCorrupt) {
				return
			}
		}
	}
}

// RemoveRecord deletes the record of the recipe with this digest, so that the next Do computes it anew.
func (s *Store) RemoveRecord(ctx context.Context, recipe Digest) error {
	return s.driver.Delete(ctx, recordKey(recipe))
}

func (s *Store) readRecord(ctx context.Context, recipe Digest) (Record, error) {
	file, err := s.driver.Read(ctx, recordKey(recipe))
	if err != nil {
		return Record{}, err
	}
	return parseRecord(file, recipe)
}

// putRecord files a record. One that is there already and good stays, and is returned instead.
func (s *Store) putRecord(ctx context.Context, key Digest, r Record) (Record, error) {
	file, err := encodeRecord(r)
	if err != nil {
		return Record{}, err
	}
	err = s.driver.Create(ctx, recordKey(key), file)
	if !errors.Is(err, ErrExist) {
		return r, err
	}
	present, hit, err := s.lookup(ctx, key)
	if hit {
		return present, nil
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return Record{}, err
	}
	return r, s.driver.Replace(ctx, recordKey(key), file)
}

// recordFormat is the number of the record's layout described here and in encodeRecord.
const recordFormat = 1

// A record's file is one line of JSON whose last member is the SHA-256 sum of the line without it. A torn
// or damaged record is thus never taken for one that says something else.
const (
	checkOpen  = `,"check":"`
	checkClose = "\"}\n"
	checkLen   = len(checkOpen) + 2*len(Digest{}) + len(checkClose)
)

func encodeRecord(r Record) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("artifacts: record of %s: %w", r.Recipe.Transform, err)
	}
	check := DigestOf(line)
	line = append(line[:len(line)-1], checkOpen...)
	line = append(line, check.String()...)
	return append(line, checkClose...), nil
}

// parseRecord reads a record's file and checks it against the recipe digest it is filed under. All its
// errors wrap ErrCorrupt.
func parseRecord(file []byte, recipe Digest) (Record, error) {
	cut := len(file) - checkLen
	if cut < 1 || !bytes.HasPrefix(file[cut:], []byte(checkOpen)) || !bytes.HasSuffix(file, []byte(checkClose)) {
		return Record{}, corrupt("record %s ends without its check sum", recipe.Short())
	}
	line := append(file[:cut:cut], '}')
	if string(file[cut+len(checkOpen):len(file)-len(checkClose)]) != DigestOf(line).String() {
		return Record{}, corrupt("record %s does not match its check sum", recipe.Short())
	}
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, corrupt("record %s: %v", recipe.Short(), err)
	}
	if r.Format != recordFormat {
		return Record{}, corrupt("record %s has format %d, this program reads %d", recipe.Short(), r.Format, recordFormat)
	}
	if !r.Output.Encoding.known() || r.Output.Size < 0 || r.Output.Stored < 0 {
		return Record{}, corrupt("record %s names an impossible object", recipe.Short())
	}
	if got := r.Recipe.Digest(); got != recipe {
		return Record{}, corrupt("record %s holds the recipe %s", recipe.Short(), got.Short())
	}
	return r, nil
}
