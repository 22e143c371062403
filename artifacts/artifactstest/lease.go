package artifactstest

import (
	"strings"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

func share(t *testing.T, s *artifacts.Store) *artifacts.Lease {
	t.Helper()
	l, err := s.Share(t.Context(), "prepare of run neck")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func exclude(t *testing.T, s *artifacts.Store) *artifacts.Lease {
	t.Helper()
	l, err := s.Exclude(t.Context(), "a cleaning")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func end(t *testing.T, l *artifacts.Lease) {
	t.Helper()
	if err := l.End(); err != nil {
		t.Error(err)
	}
}

var leaseRules = []rule{
	{"ManyShareOneExcludes", func(t *testing.T, at Location) {
		one, two := open(t, at), open(t, at)
		first, second := share(t, one), share(t, two)
		_, err := two.Exclude(t.Context(), "a cleaning")
		wantError(t, "Exclude beside runs", err, artifacts.ErrBusy)
		for _, word := range []string{"prepare of run neck", "since", "leases/shared-"} {
			if err != nil && !strings.Contains(err.Error(), word) {
				t.Errorf("the error does not speak of %q: %v", word, err)
			}
		}
		end(t, first)
		_, err = one.Exclude(t.Context(), "a cleaning")
		wantError(t, "Exclude beside a run", err, artifacts.ErrBusy)
		end(t, second)

		alone := exclude(t, one)
		_, err = two.Share(t.Context(), "prepare of run neck")
		wantError(t, "Share beside a cleaning", err, artifacts.ErrBusy)
		_, err = two.Exclude(t.Context(), "another cleaning")
		wantError(t, "Exclude beside a cleaning", err, artifacts.ErrBusy)
		end(t, alone)
		end(t, share(t, two))
		if left := keys(t, at(t), "leases/"); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	}},
	{"LeaseEndsOnce", func(t *testing.T, at Location) {
		s := open(t, at)
		l := share(t, s)
		end(t, l)
		end(t, l)
	}},
	{"LeaseThatNobodySawIsNone", func(t *testing.T, at Location) {
		open(t, at)
		for n := 1; n < 4; n++ { // New reads the marker; the writing, its own time or the listing fails
			s := openOn(t, FailAfter(at(t), n, false))
			_, err := s.Share(t.Context(), "prepare of run neck")
			wantError(t, "Share", err, ErrInjected)
		}
	}},
	{"DamagedLeaseCounts", func(t *testing.T, at Location) {
		s := open(t, at)
		replace(t, at(t), "leases/shared-x.json", []byte("{"))
		replace(t, at(t), "leases/README", []byte("a stranger"))
		_, err := s.Exclude(t.Context(), "a cleaning")
		wantError(t, "Exclude", err, artifacts.ErrBusy)
	}},
}
