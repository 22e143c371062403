package artifacts

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Presence tells which records and objects a store has: of the moment in which it was made, or, where it has not looked
// beforehand, of the moment in which it is asked. It may be used from several goroutines.
type Presence struct {
	store *Store
	// Nil where nothing was listed.
	records map[Digest]struct{}
	objects map[heldObject]struct{}
}

type heldObject struct {
	digest Digest
	stored int64
}

// A listing names up to listPage keys with one request, and is cut into listParts that are asked for at once.
const (
	listPage  = 1000
	listParts = "0123456789abcdef"
)

// Presence returns what can be asked about some n artifacts. It lists all records and objects beforehand where that takes
// fewer requests than asking for these, which it estimates from one of the store's 256 folders.
func (s *Store) Presence(ctx context.Context, n int) (*Presence, error) {
	p := &Presence{store: s}
	some := 0
	for _, err := range s.driver.List(ctx, objectsFolder+"/00/") {
		if err != nil {
			return nil, err
		}
		some++
	}
	if listing := 2 * (len(listParts) + 256*some/listPage); listing > 2*n {
		return p, nil
	}
	p.records, p.objects = map[Digest]struct{}{}, map[heldObject]struct{}{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, folder := range []string{recordsFolder, objectsFolder} {
		for _, part := range listParts {
			g.Go(func() error {
				for info, err := range s.driver.List(ctx, fmt.Sprintf("%s/%c", folder, part)) {
					if err != nil {
						return err
					}
					mu.Lock()
					p.add(info)
					mu.Unlock()
				}
				return nil
			})
		}
	}
	return p, g.Wait()
}

func (p *Presence) add(info Info) {
	if d, _, ok := parseObjectKey(info.Key); ok {
		p.objects[heldObject{d, info.Size}] = struct{}{}
	} else if d, ok := parseRecordKey(info.Key); ok {
		p.records[d] = struct{}{}
	}
}

// Has reports whether the store has the record of a recipe, and in its stored size the object that the record is known to name. It
// reads neither: what is damaged inside counts as there.
func (p *Presence) Has(ctx context.Context, recipe, object Digest, stored int64) (bool, error) {
	if p.objects != nil {
		_, record := p.records[recipe]
		_, content := p.objects[heldObject{object, stored}]
		return record && content, nil
	}
	if _, err := p.store.driver.Stat(ctx, recordKey(recipe)); err != nil {
		return false, absent(err)
	}
	o, err := p.store.Stat(ctx, object)
	return err == nil && o.Stored == stored, absent(err)
}

// absent makes no error of one that only says that there is nothing.
func absent(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
