package artifactstest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cspine/cspine/artifacts"
)

var flightRules = []rule{
	{"OneOfManyCallersComputes", func(t *testing.T, at Location) {
		s, runs := open(t, at), 0
		const callers = 64
		release := make(chan struct{})
		var all sync.WaitGroup
		results := make([]artifacts.Result, callers)
		for i := range callers {
			all.Go(func() {
				var err error
				results[i], err = s.Do(t.Context(), recipe(1), func(context.Context) (artifacts.Content, error) {
					<-release
					runs++ // the race detector sees a second one
					return artifacts.Content{Data: []byte("x")}, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		close(release)
		all.Wait()
		misses := 0
		for _, r := range results {
			if !r.Hit {
				misses++
			}
			if r.Output != results[0].Output {
				t.Error("callers got different outputs")
			}
		}
		if runs != 1 || misses != 1 {
			t.Errorf("computed %d times, %d misses, want 1 and 1", runs, misses)
		}
	}},
	{"FailureReachesAllAndIsNotKept", func(t *testing.T, at Location) {
		s := open(t, at)
		broken := errors.New("broken")
		started, release := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			_, err := s.Do(t.Context(), recipe(1), func(context.Context) (artifacts.Content, error) {
				close(started)
				<-release
				return artifacts.Content{}, broken
			})
			wantError(t, "who computes", err, broken)
		})
		<-started
		join(t, s, &all, 8, func(err error) { wantError(t, "who waits", err, broken) })
		close(release)
		all.Wait()
		if got := keys(t, at(t), "records/"); len(got) != 0 {
			t.Errorf("a failure left %q", got)
		}
		if r := do(t, s, recipe(1), gives([]byte("x"), nil)); r.Hit {
			t.Error("a failure was kept")
		}
	}},
	{"PanicIsAnErrorForAll", func(t *testing.T, at Location) {
		s := open(t, at)
		started, release := make(chan struct{}), make(chan struct{})
		isPanic := func(err error) {
			var p *artifacts.PanicError
			if !errors.As(err, &p) || p.Transform != "crop" || !strings.HasPrefix(p.Where, "flight.go:") {
				t.Errorf("error is %v, want a panic of crop in flight.go", err)
			}
		}
		var all sync.WaitGroup
		all.Go(func() {
			_, err := s.Do(t.Context(), recipe(1), func(context.Context) (artifacts.Content, error) {
				close(started)
				<-release
				var none []byte
				return artifacts.Content{Data: none[3:]}, nil
			})
			isPanic(err)
		})
		<-started
		join(t, s, &all, 8, isPanic)
		close(release)
		all.Wait()
		_, err := s.Do(t.Context(), recipe(2), func(context.Context) (artifacts.Content, error) { panic("Jane Doe") })
		isPanic(err)
		if strings.Contains(err.Error(), "Jane") {
			t.Errorf("the error repeats what was thrown: %v", err)
		}
		do(t, s, recipe(1), gives([]byte("x"), nil))
	}},
	{"WaiterMayLeave", func(t *testing.T, at Location) {
		s := open(t, at)
		started, release := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			_, err := s.Do(t.Context(), recipe(1), func(ctx context.Context) (artifacts.Content, error) {
				close(started)
				<-release
				return artifacts.Content{Data: []byte("x")}, ctx.Err()
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-started
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := s.Do(ctx, recipe(1), fails(t))
		wantError(t, "who left", err, context.DeadlineExceeded)
		close(release)
		all.Wait()
	}},
	{"WhoComputesMayLeaveWhileOthersWait", func(t *testing.T, at Location) {
		s := open(t, at)
		started, release := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			_, err := s.Do(ctx, recipe(1), func(ctx context.Context) (artifacts.Content, error) {
				close(started)
				<-release
				return artifacts.Content{Data: []byte("x")}, ctx.Err()
			})
			if err != nil {
				t.Errorf("its own compute came to the end: %v", err)
			}
		})
		<-started
		join(t, s, &all, 1, func(err error) {
			if err != nil {
				t.Errorf("who waits: %v", err)
			}
		})
		cancel()
		close(release)
		all.Wait()
		do(t, s, recipe(1), fails(t))
	}},
	{"ComputeIsCancelledWhenAllHaveLeft", func(t *testing.T, at Location) {
		s := open(t, at)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.Do(ctx, recipe(1), func(ctx context.Context) (artifacts.Content, error) {
			cancel()
			<-ctx.Done()
			return artifacts.Content{}, fmt.Errorf("stopped: %w", ctx.Err())
		})
		wantError(t, "Do", err, context.Canceled)
		_, err = s.Do(ctx, recipe(2), fails(t))
		wantError(t, "Do with a done context", err, context.Canceled)
		do(t, s, recipe(1), gives([]byte("x"), nil))
	}},
	{"RecipesDoNotWaitForEachOther", func(t *testing.T, at Location) {
		s := open(t, at)
		do(t, s, recipe(1), func(ctx context.Context) (artifacts.Content, error) {
			inner, err := s.Do(ctx, recipe(2), gives([]byte("inner"), nil))
			return artifacts.Content{Data: inner.Output.Digest[:]}, err
		})
	}},
}

// join starts callers that wait for recipe(1), which is being computed, and returns when they do. Each
// reports its error to then.
func join(t *testing.T, s *artifacts.Store, all *sync.WaitGroup, callers int, then func(error)) {
	for range callers {
		ctx := &watched{Context: t.Context(), waits: make(chan struct{})}
		all.Go(func() {
			_, err := s.Do(ctx, recipe(1), fails(t))
			then(err)
		})
		<-ctx.waits
	}
}

// watched is a context that tells when Do waits: the first time it asks for Done, it has joined the others.
type watched struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (w *watched) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waits) })
	return w.Context.Done()
}
