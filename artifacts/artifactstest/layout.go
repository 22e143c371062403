package artifactstest

import (
	"strings"
	"sync"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

var layoutRules = []rule{
	{"EmptyLocationBecomesAStore", func(t *testing.T, at Location) {
		first := open(t, at)
		do(t, first, recipe(1), gives([]byte("x"), nil))
		second, err := artifacts.New(t.Context(), at(t), &artifacts.Options{MustExist: true})
		if err != nil {
			t.Fatal(err)
		}
		do(t, second, recipe(1), fails(t))
	}},
	{"ManyMayOpenAnEmptyLocationAtOnce", func(t *testing.T, at Location) {
		var all sync.WaitGroup
		for range 8 {
			d := at(t)
			all.Go(func() {
				s, err := artifacts.New(t.Context(), d, nil)
				if err != nil {
					t.Error(err)
				} else if _, err := s.Put(t.Context(), artifacts.Content{Data: []byte("x")}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}},
	{"WhoOnlyLooksMakesNoStore", func(t *testing.T, at Location) {
		_, err := artifacts.New(t.Context(), at(t), &artifacts.Options{MustExist: true})
		wantError(t, "MustExist", err, artifacts.ErrLayout)
		if got := keys(t, at(t), ""); len(got) != 0 {
			t.Errorf("looking left %q", got)
		}
	}},
	{"OtherPeoplesThingsAreLeftAlone", func(t *testing.T, at Location) {
		d := at(t)
		replace(t, d, "photos/cat.jpg", []byte("cat"))
		_, err := artifacts.New(t.Context(), at(t), nil)
		wantError(t, "a location with photos", err, artifacts.ErrLayout)
		if err != nil && !strings.Contains(err.Error(), "empty") {
			t.Errorf("the error does not say what to do: %v", err)
		}
		if got := onlyKey(t, d, ""); got != "photos/cat.jpg" {
			t.Errorf("only %q is left", got)
		}
	}},
	{"NewerFormatIsRefused", func(t *testing.T, at Location) {
		d := at(t)
		replace(t, d, "cspine-store.json", []byte(`{"format":2}`))
		_, err := artifacts.New(t.Context(), at(t), nil)
		wantError(t, "format 2", err, artifacts.ErrLayout)
		if err != nil && !strings.Contains(err.Error(), "newer cspine") {
			t.Errorf("the error does not say what to do: %v", err)
		}
	}},
	{"DamagedMarkerIsRefused", func(t *testing.T, at Location) {
		d := at(t)
		for _, marker := range []string{"", "{", "{}", "[1]", `{"format":-1}`} {
			replace(t, d, "cspine-store.json", []byte(marker))
			_, err := artifacts.New(t.Context(), at(t), nil)
			wantError(t, marker, err, artifacts.ErrLayout)
		}
	}},
}
