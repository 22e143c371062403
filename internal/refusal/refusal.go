// Package refusal is the vocabulary in which the pipeline says why a study cannot go on.
//
// A refusal is data, not an accident: it must name a stable reason code that a script can match, the
// step and files concerned, and a remedy that a person can act on. Its texts must never hold a
// patient's data: no names, no ids, no free text from a DICOM file. Paths are those of the data set; they stand in Files alone, from
// where Nameless takes them out.
package refusal

import (
	"errors"
	"fmt"
	"strings"
)

// Code is a stable, lower-case reason code, such as "truncated" or "mixed_orientation".
type Code string

// Reason says what is wrong, where, and what to do.
type Reason struct {
	Code   Code     `json:"code"`
	Detail string   `json:"detail"`
	Remedy string   `json:"remedy,omitempty"`
	Files  []string `json:"files,omitempty"` // keys within the data set
}

// String is one line: code, detail and the first few files.
func (r Reason) String() string {
	s := string(r.Code) + ": " + r.Detail
	if len(r.Files) == 0 {
		return s
	}
	const most = 6
	shown := r.Files
	if len(shown) > most {
		shown = shown[:most]
	}
	s += " (" + strings.Join(shown, ", ")
	if more := len(r.Files) - len(shown); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s + ")"
}

// Nameless returns the reason with its files counted, not named.
func (r Reason) Nameless() Reason {
	switch n := len(r.Files); {
	case n == 1:
		r.Detail += " (1 file)"
	case n > 1:
		r.Detail += fmt.Sprintf(" (%d files)", n)
	}
	r.Files = nil
	return r
}

// Error is a refusal travelling as an error.
type Error struct {
	Reason
	Err error // the cause, may be nil
}

// New returns a refusal as an error.
func New(code Code, remedy, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: Reason{Code: code, Detail: err.Error(), Remedy: remedy}, Err: errors.Unwrap(err)}
}

// About names the files that a refusal is about.
func (e *Error) About(files ...string) *Error {
	e.Files = files
	return e
}

func (e *Error) Error() string { return e.Reason.String() }

func (e *Error) Unwrap() error { return e.Err }
