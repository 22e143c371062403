package artifacts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrBusy: others are at work in the store, and what was asked for must not run beside them.
var ErrBusy = errors.New("the store is in use")

// Lease announces work that is under way in a store, so that nothing is deleted under the hands of those who use it. It is
// a small file below leases/, written anew every few minutes while the work goes on, and removed at its end.
//
// There may be many shared leases, or one exclusive one. Whoever wants one first writes its own file and then lists all:
// of two who come at the same time, at least one sees the other and gives way; perhaps both do. This is sound where a list
// shows every file whose writing was finished before, as file systems, S3, GCS and Azure do. A file that was not written
// anew for an hour is taken for that of a process that is gone, and counts no more. So a process that slept for longer
// than that may find artifacts deleted that it knew of; it then fails or recomputes, and hands out nothing wrong.
type Lease struct {
	// Stale are the leases of others that would stand against this one, but no longer count. They lie there still.
	Stale []Held

	store *Store
	key   string
	stop  func()
	ended sync.Once
}

// Held is a lease as others see it.
type Held struct {
	Key       string    `json:"key"`
	Exclusive bool      `json:"exclusive"`
	Refreshed time.Time `json:"refreshed"` // by the clock of whoever keeps the store's files
	Holder
}

// Holder says whose a lease is.
type Holder struct {
	Work    string    `json:"work"` // "prepare", run "first"
	Since   time.Time `json:"since"`
	Host    string    `json:"host"`
	Process int       `json:"process"`
}

// String says who holds it, since when, and when it was last heard of.
func (h Held) String() string {
	const clock = "2006-01-02 15:04:05 MST"
	return fmt.Sprintf("%s, since %s (process %d on %s, last heard of %s)", cmp.Or(h.Work, "unknown work"), h.Since.Format(clock), h.Process,
		cmp.Or(h.Host, "an unknown machine"), h.Refreshed.UTC().Format(clock))
}

const (
	leaseRefresh = 5 * time.Minute
	leaseLife    = time.Hour // of one that is not refreshed
)

const sharedLease, exclusiveLease = leasesFolder + "/shared-", leasesFolder + "/exclusive-"

// Share announces work that reads artifacts and makes new ones. work says what, for people. The error wraps ErrBusy, and
// says who is there and what to do, while somebody holds an exclusive lease. End must be called at the end of the work.
func (s *Store) Share(ctx context.Context, work string) (*Lease, error) {
	return s.lease(ctx, sharedLease, work)
}

// Exclude announces work that deletes artifacts, as Share does. The error wraps ErrBusy while anybody holds a lease.
func (s *Store) Exclude(ctx context.Context, work string) (*Lease, error) {
	return s.lease(ctx, exclusiveLease, work)
}

func (s *Store) lease(ctx context.Context, kind, work string) (_ *Lease, err error) {
	now := time.Now().UTC()
	l := &Lease{store: s, key: fmt.Sprintf("%s%s-%08x.json", kind, now.Format("20060102T150405.000Z"), rand.Uint32())}
	host, _ := os.Hostname()
	text, err := json.Marshal(Holder{Work: work, Since: now, Host: host, Process: os.Getpid()})
	if err != nil {
		return nil, fmt.Errorf("artifacts: lease: %w", err)
	}
	l.stop = func() {}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.End())
		}
	}()
	if err := s.driver.Replace(ctx, l.key, text); err != nil {
		return nil, fmt.Errorf("announce %s: %w", work, err)
	}
	l.keepAlive(ctx, text)
	against := leasesFolder + "/"
	if kind == sharedLease {
		against = exclusiveLease // the others who share do not matter, and may be many
	}
	return l, l.giveWay(ctx, against)
}

// giveWay fails if somebody holds one of the leases whose keys begin with a prefix.
func (l *Lease) giveWay(ctx context.Context, prefix string) error {
	held, err := l.store.held(ctx, l.key, prefix)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.fresh {
			return fmt.Errorf("artifacts: %w by %s: wait until that has ended; if it is gone for good, delete %s from the store, or wait until %s",
				ErrBusy, h.Held, h.Key, h.Refreshed.Add(leaseLife).UTC().Format("15:04 MST"))
		}
		l.Stale = append(l.Stale, h.Held)
	}
	return nil
}

// End takes the announcement back. Only its first call does anything.
func (l *Lease) End() (err error) {
	l.ended.Do(func() {
		l.stop()
		err = l.store.driver.Delete(context.Background(), l.key) // also when the work was called off
	})
	return err
}

// keepAlive writes the lease's file anew until stop is called. One that can't be written now is written later.
func (l *Lease) keepAlive(ctx context.Context, text []byte) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(leaseRefresh)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := l.store.driver.Replace(ctx, l.key, text); err != nil && ctx.Err() == nil {
				slog.Warn("artifacts: a lease could not be refreshed", "key", l.key, "error", err)
			}
		}
	}()
	l.stop = func() {
		cancel()
		<-done
	}
}

type heldLease struct {
	Held
	fresh bool
}

// held lists the leases below a prefix, but for own, in the order of their keys. Their age is told by own's time, which the same clock gave.
func (s *Store) held(ctx context.Context, own, prefix string) ([]heldLease, error) {
	mine, err := s.driver.Stat(ctx, own)
	if err != nil {
		return nil, err
	}
	var all []heldLease
	for info, err := range s.driver.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if info.Key == own {
			continue
		}
		h := heldLease{Held: Held{Key: info.Key, Refreshed: info.Modified, Exclusive: strings.HasPrefix(info.Key, exclusiveLease)}}
		if !h.Exclusive && !strings.HasPrefix(info.Key, sharedLease) {
			continue // a stranger
		}
		text, err := s.driver.Read(ctx, info.Key)
		if errors.Is(err, ErrNotFound) {
			continue // it has ended
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return nil, err
		}
		_ = json.Unmarshal(text, &h.Holder) // whoever it is, the lease counts
		h.fresh = mine.Modified.Sub(info.Modified) < leaseLife
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b heldLease) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}
