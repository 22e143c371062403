package train

import (
	"context"
	"sync"
)

// Event is what observers are told of trainings in this process.
type Event struct {
	Task Task
	// Step is set after an update, History after an epoch. When a training goes on from a checkpoint History is what is behind it,
	// and Resumed is set.
	Step    *StepInfo
	History []Epoch
	Resumed *Progress
	// Done says that the training ended well; Cached that nothing was trained since it is known.
	Done, Cached bool
}

var observers struct {
	sync.Mutex
	next int
	all  map[int]func(Event)
}

// Observe calls f for every event in this process until stop is called: live progress where the runner is embedded. f must be quick.
func Observe(f func(Event)) (stop func()) {
	observers.Lock()
	defer observers.Unlock()
	if observers.all == nil {
		observers.all = map[int]func(Event){}
	}
	id := observers.next
	observers.next++
	observers.all[id] = f
	return func() {
		observers.Lock()
		defer observers.Unlock()
		delete(observers.all, id)
	}
}

func observe(e Event) {
	observers.Lock()
	defer observers.Unlock()
	for _, f := range observers.all {
		f(e)
	}
}

var ending struct {
	sync.Mutex
	ctx context.Context
}

// EndWith makes every training of this process end with ctx: it stops between two updates, saves a checkpoint and reports
// CodeInterrupted. A runner's own cancelling would not wait for that. release undoes it.
func EndWith(ctx context.Context) (release func()) {
	ending.Lock()
	defer ending.Unlock()
	before := ending.ctx
	ending.ctx = ctx
	return func() {
		ending.Lock()
		defer ending.Unlock()
		ending.ctx = before
	}
}

// endable returns a context that ends with ctx, or with what EndWith says.
func endable(ctx context.Context) (context.Context, func()) {
	ending.Lock()
	other := ending.ctx
	ending.Unlock()
	if other == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
