package models

import (
	"context"
	"sync"
)

// Shared compiles each model once for a whole process, however many workers ask. The zero value is ready.
type Shared struct {
	mu   sync.Mutex
	nets map[sharedKey]*sharedNet
}

type sharedKey struct {
	engine, model string
	opts          CompileOptions
}

type sharedNet struct {
	turn chan struct{} // holds a token while nobody compiles
	net  Network
}

// Network returns the compiled network of the model whose digest is given, compiling it first if nobody has. read
// is called for the model's bytes only then. Concurrent callers wait for the one that compiles; its
// error is its own, and the next caller tries again. The networks live as long as the process.
func (s *Shared) Network(ctx context.Context, e Engine, digest string, read func(context.Context) ([]byte, error), opts *CompileOptions) (Network, error) {
	key := sharedKey{engine: e.Name(), model: digest}
	if opts != nil {
		key.opts = *opts
	}
	s.mu.Lock()
	if s.nets == nil {
		s.nets = map[sharedKey]*sharedNet{}
	}
	n := s.nets[key]
	if n == nil {
		n = &sharedNet{turn: make(chan struct{}, 1)}
		n.turn <- struct{}{}
		s.nets[key] = n
	}
	s.mu.Unlock()

	select {
	case <-n.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { n.turn <- struct{}{} }()
	if n.net != nil {
		return n.net, nil
	}
	model, err := read(ctx)
	if err != nil {
		return nil, err
	}
	n.net, err = e.Compile(ctx, model, opts)
	if err != nil {
		n.net = nil
		return nil, err
	}
	return n.net, nil
}
