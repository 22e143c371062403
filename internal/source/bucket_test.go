package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/cspine/cspine/internal/bucket"
)

// faulty is a bucket of one object, whose next requests fail.
type faulty struct {
	driver.Bucket // what a source never asks
	text          string
	faults        []error // of one request after the other; errCut lets an answer break off
	requests      int
}

var errCut = errors.New("in the middle")

const slice = "study/1.dcm"

var written = time.Unix(1700000000, 0)

func (f *faulty) fault() error {
	f.requests++
	if len(f.faults) == 0 {
		return nil
	}
	err := f.faults[0]
	f.faults = f.faults[1:]
	return err
}

func (f *faulty) NewRangeReader(_ context.Context, _ string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	text := []byte(f.text)[offset:min(offset+length, int64(len(f.text)))]
	switch err := f.fault(); {
	case errors.Is(err, errCut):
		return &answer{io.MultiReader(bytes.NewReader(text[:len(text)/2]), broken{}), f}, nil
	case err != nil:
		return nil, err
	}
	return &answer{bytes.NewReader(text), f}, nil
}

func (f *faulty) Attributes(context.Context, string) (*driver.Attributes, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return &driver.Attributes{Size: int64(len(f.text)), ModTime: written}, nil
}

func (f *faulty) ListPaged(context.Context, *driver.ListOptions) (*driver.ListPage, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return &driver.ListPage{Objects: []*driver.ListObject{{Key: slice, Size: int64(len(f.text)), ModTime: written}}}, nil
}

func (f *faulty) ErrorCode(error) gcerrors.ErrorCode { return gcerrors.Unknown }
func (f *faulty) Close() error                       { return nil }

type answer struct {
	io.Reader
	f *faulty
}

func (a *answer) Close() error { return nil }
func (a *answer) As(any) bool  { return false }
func (a *answer) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{Size: int64(len(a.f.text)), ModTime: written}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestABucketIsAskedAgain(t *testing.T) {
	was := bucket.Usual
	bucket.Usual.Waiting = func(context.Context, time.Duration) error { return nil }
	t.Cleanup(func() { bucket.Usual = was })
	const text = "whole slice"
	calls := map[string]func(*Source, Object) error{
		"List": func(s *Source, o Object) error {
			objects, _, err := s.List(t.Context(), "study")
			if err == nil && (len(objects) != 1 || objects[0] != o) {
				t.Errorf("lists %v", objects)
			}
			return err
		},
		"Stat": func(s *Source, o Object) error {
			got, err := s.Stat(t.Context(), slice)
			if err == nil && got != o {
				t.Errorf("is %v", got)
			}
			return err
		},
		"ReadRange": func(s *Source, o Object) error {
			got, err := s.ReadRange(t.Context(), o, 0, o.Size, nil)
			if err == nil && string(got) != text {
				t.Errorf("reads %q", got)
			}
			return err
		},
	}
	for name, call := range calls {
		for what, c := range map[string]struct {
			faults   []error
			requests int
			err      string
		}{
			"nothing":                        {nil, 1, ""},
			"a reset":                        {[]error{syscall.ECONNRESET}, 2, ""},
			"an answer that breaks off":      {[]error{errCut, errCut}, 3, ""},
			"answers that always break off":  {[]error{errCut, errCut, errCut, errCut, errCut}, 5, "after 5 of 11 bytes the answer broke off"},
			"a service that never gets well": {[]error{syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNRESET}, 5, "given up after 5 tries"},
			"no right":                       {[]error{errors.New("forbidden")}, 1, "forbidden"},
		} {
			if name != "ReadRange" && strings.Contains(what, "break") {
				continue
			}
			f := &faulty{text: text, faults: c.faults}
			s := FromBucket(blob.NewBucket(f), "", "faulty")
			err := call(s, Object{Key: slice, Size: int64(len(text)), Version: version(nil, written.UnixNano())})
			switch {
			case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%s after %s: %v, want %q", name, what, err, c.err)
			case f.requests != c.requests:
				t.Errorf("%s after %s: %d requests, want %d", name, what, f.requests, c.requests)
			case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrChanged) || errors.Is(err, ErrNotFound):
				t.Errorf("%s after %s: %v sounds as if the data set had changed", name, what, err)
			}
		}
	}
}
