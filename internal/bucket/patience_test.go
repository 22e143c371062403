package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"gocloud.dev/gcerrors"
)

func TestPatienceEnds(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for name, c := range map[string]struct {
		errs []error // of one try after the other; the last one for good
		want int
	}{
		"success":                    {[]error{nil}, 1},
		"success at the third":       {[]error{reset, io.ErrUnexpectedEOF, nil}, 3},
		"never":                      {[]error{reset}, 5},
		"throttled":                  {[]error{gcerrors.ErrResourceExhausted, nil}, 2},
		"not found":                  {[]error{gcerrors.ErrNotFound}, 1},
		"exists already":             {[]error{gcerrors.ErrFailedPrecondition}, 1},
		"no right":                   {[]error{gcerrors.ErrPermissionDenied}, 1},
		"no such host":               {[]error{&net.DNSError{Err: "no such host", IsNotFound: true}}, 1},
		"a name server that is down": {[]error{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, nil}, 2},
		"reset and then no right":    {[]error{reset, gcerrors.ErrPermissionDenied}, 2},
		"nothing that passes, ever":  {[]error{errors.New("unknown")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var pauses []time.Duration
			p := Usual
			p.Waiting = func(_ context.Context, d time.Duration) error {
				pauses = append(pauses, d)
				return nil
			}
			tries, last := 0, error(nil)
			err := p.Try(t.Context(), func() error {
				last = c.errs[min(tries, len(c.errs)-1)]
				tries++
				return last
			})
			if tries != c.want || !errors.Is(err, last) {
				t.Errorf("%d tries, error %v; want %d and %v", tries, err, c.want, last)
			}
			if said := strings.Contains(fmt.Sprint(err), "given up after 5 tries"); said != (tries == p.Tries) {
				t.Errorf("error is %v", err)
			}
			for i, d := range pauses {
				if longest := p.Pause << (2 * i); d < longest/2 || d > longest {
					t.Errorf("pause %d is %s, want between half of %s and that", i, d, longest)
				}
			}
		})
	}
}

func TestPatienceEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := Usual.Try(ctx, func() error {
		tries++
		cancel()
		return io.ErrUnexpectedEOF
	})
	if tries != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d tries, %v", tries, err)
	}
	if err := sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("slept, %v", err)
	}
}

func TestPatienceEndsInTime(t *testing.T) {
	p := Usual
	p.AtMost = 0
	tries := 0
	if err := p.Try(t.Context(), func() error { tries++; return io.ErrUnexpectedEOF }); err == nil || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
}
