package artifactstest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

// ErrInjected is what a driver from FailAfter fails with.
var ErrInjected = errors.New("injected fault")

// FailAfter returns a driver that passes n calls on to d and fails all later ones, as a machine does that
// loses its disk or dies. With lost, the first call that fails is carried out all the same, and only its
// answer lost.
func FailAfter(d artifacts.Driver, n int, lost bool) artifacts.Driver {
	f := &faulty{Driver: d, lost: lost}
	f.left.Store(int64(n))
	return f
}

type faulty struct {
	artifacts.Driver
	left atomic.Int64 // calls that will still succeed
	lost bool
}

// pass does one call, or not.
func (f *faulty) pass(call func() error) error {
	left := f.left.Add(-1)
	if left >= 0 {
		return call()
	}
	if left == -1 && f.lost {
		_ = call() // done, and nobody hears of it
	}
	return ErrInjected
}

func (f *faulty) Read(ctx context.Context, key string) (data []byte, err error) {
	err = f.pass(func() (err error) { data, err = f.Driver.Read(ctx, key); return err })
	return data, err
}

func (f *faulty) ReadAt(ctx context.Context, key string, p []byte, offset int64) (n int, err error) {
	err = f.pass(func() (err error) { n, err = f.Driver.ReadAt(ctx, key, p, offset); return err })
	return n, err
}

func (f *faulty) Stat(ctx context.Context, key string) (info artifacts.Info, err error) {
	err = f.pass(func() (err error) { info, err = f.Driver.Stat(ctx, key); return err })
	return info, err
}

func (f *faulty) Create(ctx context.Context, key string, data []byte) error {
	return f.pass(func() error { return f.Driver.Create(ctx, key, data) })
}

func (f *faulty) Replace(ctx context.Context, key string, data []byte) error {
	return f.pass(func() error { return f.Driver.Replace(ctx, key, data) })
}

func (f *faulty) Copy(ctx context.Context, from, to string) error {
	return f.pass(func() error { return f.Driver.Copy(ctx, from, to) })
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	return f.pass(func() error { return f.Driver.Delete(ctx, key) })
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[artifacts.Info, error] {
	if err := f.pass(func() error { return nil }); err != nil {
		return func(yield func(artifacts.Info, error) bool) { yield(artifacts.Info{}, err) }
	}
	return f.Driver.List(ctx, prefix)
}

// opening is how many calls New makes at most.
const opening = 4

var faultRules = []rule{
	{"NoRecordWithoutItsObject", func(t *testing.T, at Location) {
		data := tensor(1, 5000)
		for n := range opening + 8 {
			for _, lost := range []bool{false, true} {
				r := recipe(100 * n)
				if lost {
					r = recipe(100*n + 1)
				}
				if s, err := artifacts.New(t.Context(), FailAfter(at(t), n, lost), options); err == nil {
					_, err = s.Do(t.Context(), r, gives(data, nil))
					if err != nil && !errors.Is(err, ErrInjected) {
						t.Errorf("fault after %d calls: %v", n, err)
					}
				} else if !errors.Is(err, ErrInjected) {
					t.Errorf("fault after %d calls: %v", n, err)
				}
				s := open(t, at)
				for file, err := range s.Records(t.Context()) {
					if err != nil {
						t.Fatalf("fault after %d calls left a bad record: %v", n, err)
					}
					wantContent(t, s, file.Output.Digest, data)
				}
				again := do(t, s, r, gives(data, nil))
				wantContent(t, s, again.Output.Digest, data)
				do(t, s, r, fails(t))
				// So that the next round stores the object anew.
				if err := s.RemoveRecord(t.Context(), r.Digest()); err != nil {
					t.Fatal(err)
				}
				if err := s.Remove(t.Context(), again.Output.Digest); err != nil {
					t.Fatal(err)
				}
			}
		}
	}},
	{"FaultIsNotTakenForAMiss", func(t *testing.T, at Location) {
		do(t, open(t, at), recipe(1), gives([]byte("x"), nil))
		for n := 1; n < 3; n++ { // New reads the marker; the record's reading and the object's Stat fail
			s := openOn(t, FailAfter(at(t), n, false))
			_, err := s.Do(t.Context(), recipe(1), fails(t))
			wantError(t, fmt.Sprintf("Do with a fault after %d calls", n), err, ErrInjected)
		}
	}},
	{"NamedFileIsOldOrNew", func(t *testing.T, at Location) {
		good := open(t, at)
		for _, lost := range []bool{false, true} {
			if err := good.PutNamed(t.Context(), "runs/x", []byte("old")); err != nil {
				t.Fatal(err)
			}
			s := openOn(t, FailAfter(at(t), 1, lost))
			wantError(t, "PutNamed", s.PutNamed(t.Context(), "runs/x", []byte("new")), ErrInjected)
			want := map[bool]string{false: "old", true: "new"}[lost]
			if got, err := good.GetNamed(t.Context(), "runs/x"); err != nil || string(got) != want {
				t.Errorf("read %q, %v, want %q", got, err, want)
			}
		}
	}},
}
