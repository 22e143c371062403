// Package artifactstest holds the rules of package artifacts as tests that every driver runs.
//
// A driver passes if Run passes on it: both what artifacts.Driver demands of it and what artifacts.Store
// makes of it. The suite knows no driver; it reaches behind the store, to damage things, through the
// driver itself.
package artifactstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

// Location leads to one place where values are kept: every call returns another driver on it, as another
// process would have.
type Location func(t *testing.T) artifacts.Driver

// Run checks the rules, each on an empty location of its own that fresh makes.
func Run(t *testing.T, fresh func(t *testing.T) Location) { RunWith(t, nil, fresh) }

// RunWith is Run with stores opened with these options.
func RunWith(t *testing.T, opts *artifacts.Options, fresh func(t *testing.T) Location) {
	running.Lock()
	defer running.Unlock()
	options = opts
	for _, group := range []struct {
		name  string
		rules []rule
	}{
		{"Driver", driverRules},
		{"Layout", layoutRules},
		{"Objects", objectRules},
		{"Do", doRules},
		{"SingleFlight", flightRules},
		{"Named", namedRules},
		{"Presence", presenceRules},
		{"Faults", faultRules},
		{"Leases", leaseRules},
		{"Verify", verifyRules},
		{"Collect", collectRules},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, r := range group.rules {
				t.Run(r.name, func(t *testing.T) { r.check(t, fresh(t)) })
			}
		})
	}
}

// options are those of the one Run that is running.
var (
	running sync.Mutex
	options *artifacts.Options
)

// rule is one sentence that must hold, and its test on an empty location.
type rule struct {
	name  string
	check func(t *testing.T, at Location)
}

// open returns a store at a location.
func open(t *testing.T, at Location) *artifacts.Store {
	t.Helper()
	return openOn(t, at(t))
}

func openOn(t *testing.T, d artifacts.Driver) *artifacts.Store {
	t.Helper()
	s, err := artifacts.New(t.Context(), d, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// recipe returns the n-th of many different recipes.
func recipe(n int) artifacts.Recipe {
	return artifacts.Recipe{
		Transform: "crop",
		Version:   1,
		Params:    []artifacts.Param{{Name: "size", Value: "224"}, {Name: "n", Value: fmt.Sprint(n)}},
		Inputs:    []artifacts.Input{{Name: "mask", Digest: artifacts.DigestOf([]byte("mask"))}},
	}
}

// tensor returns n bytes that compress about as volumes do: runs, noise and zeros. Equal seeds give equal
// bytes.
func tensor(seed, n int) []byte {
	data := make([]byte, 0, n+64)
	for i := 0; len(data) < n; i++ {
		noise := sha256.Sum256(fmt.Appendf(nil, "%d %d", seed, i))
		data = append(data, noise[:]...)
		data = append(data, make([]byte, 32)...)
	}
	return data[:n]
}

// gives returns a compute that makes data and counts in *runs, if that is not nil, how often it ran.
func gives(data []byte, runs *int) func(context.Context) (artifacts.Content, error) {
	return func(context.Context) (artifacts.Content, error) {
		if runs != nil {
			*runs++
		}
		return artifacts.Content{Data: data}, nil
	}
}

// fails is a compute that a hit never calls.
func fails(t *testing.T) func(context.Context) (artifacts.Content, error) {
	return func(context.Context) (artifacts.Content, error) {
		t.Helper()
		t.Error("computed what should have been a hit")
		return artifacts.Content{}, errors.New("no")
	}
}

func do(t *testing.T, s *artifacts.Store, r artifacts.Recipe, compute func(context.Context) (artifacts.Content, error)) artifacts.Result {
	t.Helper()
	result, err := s.Do(t.Context(), r, compute)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func wantContent(t *testing.T, s *artifacts.Store, d artifacts.Digest, want []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes that are not the %d stored ones", len(got), len(want))
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error is %v, want %v", what, got, want)
	}
}

// keys returns what a driver holds below prefix.
func keys(t *testing.T, d artifacts.Driver, prefix string) []string {
	t.Helper()
	var all []string
	for info, err := range d.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

// onlyKey returns the one key below prefix.
func onlyKey(t *testing.T, d artifacts.Driver, prefix string) string {
	t.Helper()
	all := keys(t, d, prefix)
	if len(all) != 1 {
		t.Fatalf("want one key below %s, there are %d: %s", prefix, len(all), strings.Join(all, " "))
	}
	return all[0]
}

func read(t *testing.T, d artifacts.Driver, key string) []byte {
	t.Helper()
	data, err := d.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func replace(t *testing.T, d artifacts.Driver, key string, data []byte) {
	t.Helper()
	if err := d.Replace(t.Context(), key, data); err != nil {
		t.Fatal(err)
	}
}
