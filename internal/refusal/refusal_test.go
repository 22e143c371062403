package refusal

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestARefusalKeepsItsCause(t *testing.T) {
	err := New("gap", "send it again", "slice 3: %w", io.ErrUnexpectedEOF).About("3.dcm")
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if got, want := err.Error(), "gap: slice 3: unexpected EOF (3.dcm)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLongListsOfFilesAreCut(t *testing.T) {
	r := Reason{Code: "gap", Detail: "many", Files: strings.Split("abcdefgh", "")}
	if got, want := r.String(), "gap: many (a, b, c, d, e, f and 2 more)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRecoveredNamesThePlaceAndNotTheText(t *testing.T) {
	recovered := func(do func()) (err *Error) {
		defer func() { err = Recovered(recover()) }()
		do()
		return nil
	}
	err := recovered(func() { panic("DOE^JANE") })
	if err.Code != Internal || strings.Contains(err.Error(), "JANE") || !strings.Contains(err.Error(), "TestRecovered") {
		t.Error(err)
	}
	var none []int
	if err := recovered(func() { none[len(none)] = 1 }); !strings.Contains(err.Error(), "index out of range") {
		t.Error(err)
	}
}
