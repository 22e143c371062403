package dicom

import (
	"fmt"
	"strings"
)

// Codes of Error, stable: manifests and reports keep them.
const (
	Empty             = "empty"              // no bytes
	NotDICOM          = "not_dicom"          // something else
	Truncated         = "truncated"          // bytes are missing
	Malformed         = "malformed"          // not what the standard allows, or a value too long to be one
	OverLimit         = "over_limit"         // beyond Limits
	NotCT             = "not_ct"             // another modality
	NoPixels          = "no_pixels"          // an object without pixel data
	UnsupportedSyntax = "unsupported_syntax" // a transfer syntax this package does not read
	UnsupportedPixels = "unsupported_pixels" // a pixel format this package does not read
	LibraryFailed     = "library_failed"     // the parser failed on elements the scan found good
)

// Error says what is wrong with a file, where, and what to do. It carries no value of the patient's.
type Error struct {
	Code   string // one of the codes above
	Tag    string // "(0028,0010)", empty where no element is concerned
	Offset int64  // byte in the file (or in the pixel data value, for DecodeFrame); 0 where none is concerned
	Detail string
	Remedy string
	Err    error // the cause, may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dicom: %s", e.Code)
	if e.Tag != "" {
		b.WriteString(" at " + e.Tag)
	}
	if e.Offset != 0 {
		fmt.Fprintf(&b, ", byte %d", e.Offset)
	}
	b.WriteString(": " + e.Detail)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

const (
	remedyCopyAgain = "copy or export the file again"
	remedyTranscode = "transcode it, for example with `gdcmconv --raw` or `dcmdjpeg`"
)

// place is a tag's text for Error.Tag, empty for no tag.
func place(t tag) string {
	if t == 0 {
		return ""
	}
	return t.String()
}

func malformed(t tag, offset int64, format string, args ...any) error {
	return &Error{Code: Malformed, Tag: place(t), Offset: offset, Detail: fmt.Sprintf(format, args...), Remedy: remedyCopyAgain}
}

func truncated(t tag, offset int64, format string, args ...any) error {
	return &Error{Code: Truncated, Tag: place(t), Offset: offset, Detail: fmt.Sprintf(format, args...), Remedy: remedyCopyAgain}
}

// CodeString makes a value that should be a code string (VR CS) fit to be shown: anything else might be text of
// the patient's in the wrong place.
func CodeString(value string) string {
	if value == "" {
		return "absent"
	}
	if len(value) > 16 || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ") != "" {
		return "not a code string"
	}
	return value
}

// isUID says whether the value has the form of a UID (PS3.5, section 9.1).
func isUID(value string) bool {
	return value != "" && len(value) <= 64 && strings.Trim(value, "0123456789.") == ""
}

// isIdentifier says whether the value can stand for a UID: de-identified data have hashes in their place.
func isIdentifier(value string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return len(value) <= 64 && strings.Trim(value, letters+"0123456789.-") == ""
}
