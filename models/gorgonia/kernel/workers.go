package kernel

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Workers runs pieces of work on a fixed number of goroutines and owns the scratch memory that convolutions use one after
// another. Convolutions and matrix products of one Workers must wait for each other, and do.
type Workers struct {
	n      int
	turn   sync.Mutex // held while scratch is in use
	own    []scratch
	common []float32
}

// scratch is what one worker has for itself.
type scratch struct {
	buf  [parts][]float32
	ints []int32
	tile tileArgs
	dot  dotArgs
}

// The parts of a worker's scratch.
const (
	slabPart = iota
	panelPart
	weightPart
	outPart
	turnPart
	parts
)

// NewWorkers returns n workers; with 0, as many as GOMAXPROCS.
func NewWorkers(n int) *Workers {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return &Workers{n: n, own: make([]scratch, n)}
}

// N returns the number of workers.
func (w *Workers) N() int { return w.n }

// Panic is what Do panics with when a piece panicked: the value and the stack of the piece.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("in a worker: %v\n%s", p.Value, p.Stack) }

// Do calls f for each piece in [0, pieces) and returns when all calls have returned. worker is in [0, N) and no two calls
// run at the same time with the same worker. Which worker takes which piece is left to chance: results must not
// depend on it. A panic in a piece stops the handing out of further pieces and is raised again here, in the caller's
// goroutine, as a *Panic, so that the caller can recover it.
func (w *Workers) Do(pieces int, f func(worker, piece int)) {
	if pieces <= 0 {
		return
	}
	n := min(w.n, pieces)
	if n == 1 {
		for i := range pieces {
			f(0, i)
		}
		return
	}
	var (
		next   atomic.Int64
		failed atomic.Pointer[Panic]
		wg     sync.WaitGroup
	)
	work := func(worker int) {
		defer func() {
			if v := recover(); v != nil {
				p, ok := v.(*Panic)
				if !ok {
					p = &Panic{Value: v, Stack: debug.Stack()}
				}
				failed.CompareAndSwap(nil, p)
				next.Store(int64(pieces))
			}
		}()
		for {
			i := int(next.Add(1)) - 1
			if i >= pieces {
				return
			}
			f(worker, i)
		}
	}
	wg.Add(n - 1)
	for k := 1; k < n; k++ {
		go func() {
			defer wg.Done()
			work(k)
		}()
	}
	work(0)
	wg.Wait()
	if p := failed.Load(); p != nil {
		panic(p)
	}
}

// floats returns n floats of one part, with what the last user left in them.
func (s *scratch) floats(part, n int) []float32 {
	if cap(s.buf[part]) < n {
		s.buf[part] = make([]float32, n)
	}
	return s.buf[part][:n]
}

// floats returns n floats of the scratch that a whole call has.
func (w *Workers) floats(n int) []float32 {
	if cap(w.common) < n {
		w.common = make([]float32, n)
	}
	return w.common[:n]
}

// ScratchBytes returns the bytes of scratch memory that are held now.
func (w *Workers) ScratchBytes() int64 {
	w.turn.Lock()
	defer w.turn.Unlock()
	n := int64(4 * cap(w.common))
	for i := range w.own {
		for _, b := range w.own[i].buf {
			n += int64(4 * cap(b))
		}
	}
	return n
}

// Release lets go of the scratch memory; the next convolution makes its own again.
func (w *Workers) Release() {
	w.turn.Lock()
	defer w.turn.Unlock()
	clear(w.own)
	w.common = nil
}
