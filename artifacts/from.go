package artifacts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// Another store may stand behind this one (Options.From). A recipe that misses here and hits there is
// copied over and is a hit, so that a team computes once what several stores need.
//
//   - The other store is read and never written: a lender can do nothing else.
//   - What comes from there is verified, and copied object first and record last, as Do stores.
//   - It need not be there. What it lacks is a miss, what is damaged there too; and once a request to it has
//     failed for good it is asked no more, so that a run does not wait for it at every artifact.

// lender is the store behind another one.
type lender struct {
	driver interface {
		Read(ctx context.Context, key string) ([]byte, error)
		Stat(ctx context.Context, key string) (Info, error)
		Close() error
	}
	place string // of a URL without its parameters

	mu      sync.Mutex
	lent    int
	shown   map[Digest]bool // recipes
	trouble error           // the first
	gone    bool
}

// openLender opens the store at a location, to be lent from. That it cannot be reached is no error.
func openLender(ctx context.Context, location string) (*lender, error) {
	driver, err := OpenDriver(ctx, location, nil)
	if err != nil {
		return nil, err
	}
	place, _, _ := strings.Cut(location, "?")
	l := &lender{driver: driver, place: place}
	if err := readMarker(ctx, driver); errors.Is(err, ErrNotFound) {
		l.report(fmt.Errorf("artifacts: %w: no %s there", ErrLayout, markerKey), true)
	} else if err != nil {
		l.report(err, true)
	}
	return l, ctx.Err()
}

// record returns the record of a recipe.
func (l *lender) record(ctx context.Context, recipe Digest) (Record, error) {
	file, err := l.driver.Read(ctx, recordKey(recipe))
	if err != nil {
		return Record{}, err
	}
	return parseRecord(file, recipe)
}

// lend returns the record of a recipe and its object as it is stored, verified. ok is false if there is
// none, or none to be had.
func (l *lender) lend(ctx context.Context, recipe Digest) (r Record, stored, data []byte, ok bool) {
	if l.isGone() {
		return Record{}, nil, nil, false
	}
	r, err := l.record(ctx, recipe)
	if err == nil {
		stored, err = l.driver.Read(ctx, objectKey(r.Output.Digest, r.Output.Encoding))
	}
	if err == nil {
		data, err = verify(stored, r.Output.Digest, r.Output.Encoding)
	}
	if err != nil {
		l.lacks(ctx, err)
		return Record{}, nil, nil, false
	}
	return r, stored, data, true
}

// show returns the record of a recipe whose object is there in its stored size. ok is false if there is none, or none to be had.
func (l *lender) show(ctx context.Context, recipe Digest) (r Record, ok bool) {
	if l.isGone() {
		return Record{}, false
	}
	r, err := l.record(ctx, recipe)
	var info Info
	if err == nil {
		info, err = l.driver.Stat(ctx, objectKey(r.Output.Digest, r.Output.Encoding))
	}
	if err != nil || info.Size != r.Output.Stored {
		l.lacks(ctx, err)
		return Record{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == nil {
		l.shown = map[Digest]bool{}
	}
	l.shown[recipe] = true
	return r, true
}

// get returns an object's content. ok is false if there is none, or none to be had.
func (l *lender) get(ctx context.Context, d Digest) (data []byte, ok bool) {
	if l.isGone() {
		return nil, false
	}
	data, err := readObject(ctx, l.driver.Read, d)
	if err != nil {
		l.lacks(ctx, err)
	}
	return data, err == nil
}

// lacks takes note of why something could not be had.
func (l *lender) lacks(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
		l.report(err, !errors.Is(err, ErrCorrupt))
	}
}

// report keeps the first trouble and says it once.
func (l *lender) report(err error, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = l.gone || gone
	if l.trouble == nil {
		l.trouble = fmt.Errorf("%s: %w", l.place, err)
		slog.Warn("the store behind this one", "gone", gone, "error", l.trouble)
	}
}

func (l *lender) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// borrow copies what the lender has of a recipe into this store. An error is this store's own.
func (s *Store) borrow(ctx context.Context, recipe Digest) (Record, bool, error) {
	r, stored, data, ok := s.from.lend(ctx, recipe)
	if !ok {
		return Record{}, false, ctx.Err()
	}
	var err error
	r.Output, err = s.Put(ctx, Content{Data: data, Encoding: r.Output.Encoding,
		Encode: func(dst, _ []byte) []byte { return append(dst, stored...) }})
	if err == nil {
		r, err = s.putRecord(ctx, recipe, r)
	}
	if err != nil {
		return Record{}, false, err
	}
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	s.from.lent++
	return r, true, nil
}

// Borrowed returns how many artifacts were copied from the store that Options.From names, with Options.Look how many were found there, and
// the first trouble with it, which no other method reports. It may be called at any time.
func (s *Store) Borrowed() (artifacts int, trouble error) {
	if s.from == nil {
		return 0, nil
	}
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	return s.from.lent + len(s.from.shown), s.from.trouble
}
