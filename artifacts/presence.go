package artifacts

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Presence tells which records and objects a store has: of the moment in which it was made, or, where it has not looked
// beforehand, of the moment in which it is asked. It may be used from several goroutines.
type Presence struct {
	store            *Store
	listed           bool // whether records and objects are what the store has
	records, objects census
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
	return p, p.list(ctx)
}

func (p *Presence) list(ctx context.Context) error {
	p.listed = true
	folders := []struct {
		name string
		add  func(Info, mark) bool
	}{{recordsFolder, p.records.addRecord}, {objectsFolder, p.objects.addObject}}
	var mu sync.Mutex
	err := inParallel(ctx, requestsAtOnce, len(folders)*len(listParts), func(ctx context.Context, i int) error {
		folder, part := folders[i/len(listParts)], listParts[i%len(listParts)]
		for info, err := range p.store.driver.List(ctx, fmt.Sprintf("%s/%c", folder.name, part)) {
			if err != nil {
				return err
			}
			mu.Lock()
			folder.add(info, 0)
			mu.Unlock()
		}
		return nil
	})
	p.records.sort()
	p.objects.sort()
	return err
}

// Has reports whether the store has the record of a recipe, and in its stored size the object that the record is known to name. It
// reads neither: what is damaged inside counts as there.
func (p *Presence) Has(ctx context.Context, recipe, object Digest, stored int64) (bool, error) {
	if p.listed {
		return len(p.records.find(recipe)) > 0 && p.objects.hasSize(object, stored), nil
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
