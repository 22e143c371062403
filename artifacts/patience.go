package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// Fault is what an error of a cloud's service means for a store.
type Fault int

// The kinds of Fault.
const (
	FaultOther     Fault = iota
	FaultTransient       // may be gone at the next try: the service is busy, a time-out
	FaultDenied          // the caller is not known, or has no right to this
	FaultNoBucket        // there is no such bucket
)

// Vendors is what package cloud knows of the vendors' libraries, which this package does not import.
type Vendors struct {
	// Fault tells what an error of a bucket means.
	Fault func(error) Fault
	// Opened is given every bucket that OpenDriver opens, to set up the library below it.
	Opened func(*blob.Bucket)
}

var vendors = Vendors{Fault: func(error) Fault { return FaultOther }, Opened: func(*blob.Bucket) {}}

// RegisterVendors makes this package ask v. It must be called before any store is opened, in an init function.
func RegisterVendors(v Vendors) { vendors = v }

// patience says how often a request is made before its failure is taken for true. Amazon's and Azure's
// libraries try again themselves, three and four times within seconds, but not in every case (a body that
// breaks off); Google's is told not to. This is for what lasts longer. Their tries times these are what a
// call costs at most, and the pauses outlast three quarters of a minute.
type patience struct {
	tries   int
	pause   time.Duration // after the first failure; each later one is four times as long
	atMost  time.Duration // no try begins later than this after the first
	waiting func(context.Context, time.Duration) error
}

var usualPatience = patience{tries: 5, pause: 500 * time.Millisecond, atMost: time.Minute, waiting: sleep}

// try makes a request until it succeeds, fails for good, or patience ends. The last error is returned.
func (p patience) try(ctx context.Context, request func() error) error {
	begin := time.Now()
	pause := p.pause
	for n := 1; ; n++ {
		err := request()
		if err == nil || ctx.Err() != nil || !isTransient(err) {
			return err
		}
		// Half of it by chance, so that those who failed together do not come back together.
		wait := pause/2 + rand.N(pause/2+1)
		if n == p.tries || time.Since(begin)+wait > p.atMost {
			return fmt.Errorf("%w (given up after %d tries in %s)", err, n, time.Since(begin).Round(time.Second))
		}
		if p.waiting(ctx, wait) != nil {
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

// isTransient tells whether another try may succeed where this error came.
func isTransient(err error) bool {
	switch vendors.Fault(err) {
	case FaultTransient:
		return true
	case FaultDenied, FaultNoBucket:
		return false
	}
	var unknown *net.DNSError
	if errors.As(err, &unknown) && unknown.IsNotFound {
		return false
	}
	var network net.Error // also all that a library of HTTP reports without an answer
	return errors.As(err, &network) || errors.Is(err, gcerrors.ErrResourceExhausted) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
