// Package bucket opens buckets of any provider that gocloud.dev/blob knows, tells what their errors mean, and makes a request again that
// failed in passing. It stands below everything that reads or writes buckets: stores of artifacts and data sets.
//
// Invariants:
//   - It imports no vendor's library. Package artifacts/cloud does, and tells this one what it knows of them.
//   - A request that fails for good must fail at once; one that may succeed later must not be given up before patience ends.
package bucket

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// Fault is what an error of a cloud's service means.
type Fault int

// The kinds of Fault.
const (
	FaultOther     Fault = iota
	FaultTransient       // may be gone at the next try: the service is busy, a time-out
	FaultDenied          // the caller is not known, or has no right to this
	FaultNoBucket        // there is no such bucket
)

// Vendors is what package cloud knows of the vendors' libraries, which this package does not import.
type Vendors struct {
	// Fault tells what an error of a bucket means.
	Fault func(error) Fault
	// Opened is given every bucket that Open opens, to set up the library below it.
	Opened func(*blob.Bucket)
}

var vendors = Vendors{Fault: func(error) Fault { return FaultOther }, Opened: func(*blob.Bucket) {}}

// Register makes this package ask v. It must be called before any bucket is opened, in an init function.
func Register(v Vendors) { vendors = v }

// Open opens the bucket of a URL, whose path is ignored. The program must link the driver of its scheme.
func Open(ctx context.Context, url string) (*blob.Bucket, error) {
	b, err := blob.OpenBucket(ctx, url)
	if err != nil {
		return nil, err
	}
	vendors.Opened(b)
	return b, nil
}

// FaultOf tells what an error of a bucket means.
func FaultOf(err error) Fault { return vendors.Fault(err) }

// Transient tells whether another try may succeed where this error came.
func Transient(err error) bool {
	switch FaultOf(err) {
	case FaultTransient:
		return true
	case FaultDenied, FaultNoBucket:
		return false
	}
	var unknown *net.DNSError
	if errors.As(err, &unknown) && unknown.IsNotFound {
		return false
	}
	var network net.Error // also all that a library of HTTP reports without an answer
	return errors.As(err, &network) || errors.Is(err, gcerrors.ErrResourceExhausted) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
