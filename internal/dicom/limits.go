package dicom

import "fmt"

// Limits bound what a file may ask of whoever reads it. What lies beyond the defaults is no CT slice. A field of 0 means its default.
//
// A limit refuses, with OverLimit, and does nothing else: what is read of a file does not depend on limits that it keeps to.
type Limits struct {
	// Bytes is the longest that a CT file may be, also once it is inflated; 0 means 4 GiB. Of other files no more than their headers is read,
	// unless they are deflated.
	Bytes int64
	// Depth is how many sequences and items may lie one within the other; 0 means 32. More than 1,024 count as so many.
	Depth int
	// Elements is the most elements of a header, those in sequences that are walked included, and the most fragments of pixel data; 0 means 65,536.
	Elements int
	// Pixels is the most rows x columns of a frame; 0 means 2²⁶, which is 8192 x 8192.
	Pixels int
}

const (
	defaultBytes    = 4 << 30
	defaultDepth    = 32
	defaultElements = 1 << 16
	defaultPixels   = 1 << 26

	// maxDepth is what elements can be listed to without the stack of a goroutine running out.
	maxDepth = 1024
	// maxValue is the most bytes of an element that is parsed. It is no limit to be raised: no element that a slice needs has more.
	maxValue = 4 << 10
)

// Check says what is wrong with limits.
func (l Limits) Check() error {
	for _, c := range []struct {
		name  string
		value int64
	}{{"bytes", l.Bytes}, {"depth", int64(l.Depth)}, {"elements", int64(l.Elements)}, {"pixels", int64(l.Pixels)}} {
		if c.value < 0 {
			return fmt.Errorf("%s is %d; give a positive number, or 0 for the default", c.name, c.value)
		}
	}
	if l.Depth > maxDepth {
		return fmt.Errorf("depth is %d, at most %d can be read", l.Depth, maxDepth)
	}
	return nil
}

// WithDefaults fills in what is left open.
func (l Limits) WithDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	l.Depth = min(l.Depth, maxDepth)
	if l.Elements <= 0 {
		l.Elements = defaultElements
	}
	if l.Pixels <= 0 {
		l.Pixels = defaultPixels
	}
	return l
}

// overLimit refuses what is beyond one of the limits, named as the configuration does.
func overLimit(limit string, t tag, offset int64, format string, args ...any) error {
	return &Error{Code: OverLimit, Tag: place(t), Offset: offset, Detail: fmt.Sprintf(format, args...),
		Remedy: "leave the file out, or raise " + limit + " in the configuration's [ingest.limits] if you trust where it comes from"}
}
