package artifacts

import (
	"context"
	"errors"
)

// A flight is one recipe being looked up or computed on behalf of all callers that ask for it meanwhile.
type flight struct {
	ctx     context.Context // of compute: cancelled when nobody waits any more
	cancel  context.CancelFunc
	waiting int // callers not gone yet; Store.mu guards it

	done   chan struct{} // closed when result and err stand
	result Result
	err    error
}

// join returns the flight of a recipe; leads tells its one caller who must produce and land it.
func (s *Store) join(ctx context.Context, key Digest) (f *flight, leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, underWay := s.flights[key]
	if !underWay {
		f = &flight{done: make(chan struct{}), err: errors.New("artifacts: compute ended its goroutine")}
		f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.flights[key] = f
	}
	f.waiting++
	return f, !underWay
}

// leave takes one caller off a flight, and with the last one calls it off: who asks later starts another.
func (s *Store) leave(key Digest, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting--
	if f.waiting == 0 {
		f.cancel()
		s.forget(key, f)
	}
}

// land ends a flight.
func (s *Store) land(key Digest, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(key, f)
	f.cancel()
	close(f.done)
}

func (s *Store) forget(key Digest, f *flight) {
	if s.flights[key] == f {
		delete(s.flights, key)
	}
}
