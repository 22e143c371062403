package bucket

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Patience says how often a request is made before its failure is taken for true. Amazon's and Azure's
// libraries try again themselves, three and four times within seconds, but not in every case (a body that
// breaks off); Google's is told not to. This is for what lasts longer. Their tries times these are what a
// call costs at most, and the pauses outlast three quarters of a minute.
type Patience struct {
	Tries   int
	Pause   time.Duration                              // after the first failure; each later one is four times as long
	AtMost  time.Duration                              // no try begins later than this after the first
	Waiting func(context.Context, time.Duration) error // nil sleeps
}

// Usual is the patience of everything in this program.
var Usual = Patience{Tries: 5, Pause: 500 * time.Millisecond, AtMost: time.Minute}

// Try makes a request until it succeeds, fails for good (Transient says no), or patience ends. The last error is returned.
func (p Patience) Try(ctx context.Context, request func() error) error {
	begin := time.Now()
	pause, waiting := p.Pause, p.Waiting
	if waiting == nil {
		waiting = sleep
	}
	for n := 1; ; n++ {
		err := request()
		if err == nil || ctx.Err() != nil || !Transient(err) {
			return err
		}
		// Half of it by chance, so that those who failed together do not come back together.
		wait := pause/2 + rand.N(pause/2+1)
		if n == p.Tries || time.Since(begin)+wait > p.AtMost {
			return fmt.Errorf("%w (given up after %d tries in %s)", err, n, time.Since(begin).Round(time.Second))
		}
		if waiting(ctx, wait) != nil {
			return err
		}
		pause *= 4
	}
}

// sleep waits, or returns the context's error if that is done before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
