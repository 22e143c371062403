// Package perprocess keeps what a process should have only one of: an opened store, a connection to a
// bucket. Beam makes many instances of a transform in one process, and they find their shared things here.
//
// What is kept is never closed. A failure is not kept: the next caller tries again.
package perprocess

import "sync"

// Shared holds one T for each key. The zero value is ready, and may be used from several goroutines.
type Shared[T any] struct {
	mu   sync.Mutex
	held map[string]T
}

// Get returns the T of a key, opening it first if nobody has. Callers wait while another one opens.
func (s *Shared[T]) Get(key string, open func() (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.held[key]; ok {
		return t, nil
	}
	t, err := open()
	if err != nil {
		return t, err
	}
	if s.held == nil {
		s.held = map[string]T{}
	}
	s.held[key] = t
	return t, nil
}
