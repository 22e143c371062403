package artifacts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// The kinds of error this package reports; match them with errors.Is.
var (
	// ErrNotFound: nothing is stored under this digest or key.
	ErrNotFound = errors.New("not found")
	// ErrExist: Driver.Create found the key taken.
	ErrExist = errors.New("exists already")
	// ErrCorrupt: what is stored is not what was stored. Remove it and run again: the next run makes it anew.
	ErrCorrupt = errors.New("corrupt")
	// ErrKey: a name is not one that this store takes.
	ErrKey = errors.New("refused key")
	// ErrAmbiguous: a short digest stands for several.
	ErrAmbiguous = errors.New("ambiguous digest")
	// ErrLayout: a location is not a store, or one this program cannot use.
	ErrLayout = errors.New("not a usable store")
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("artifacts: %w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func notFound(key string) error { return fmt.Errorf("artifacts: %s: %w", key, ErrNotFound) }

func exists(key string) error { return fmt.Errorf("artifacts: %s: %w", key, ErrExist) }

// Driver keeps byte strings under keys, for a Store. Keys are slash-separated, of the characters
// A–Z a–z 0–9 . _ = + @ -, and never begin or end with a slash; a Store passes no others.
//
// What an implementation must hold to:
//   - Whole or absent. No reader, in this process or another, ever sees a part of a value, whether the
//     writer goes on, fails, or is killed.
//   - When Create, Replace or Copy returns nil, the value survives a crash of the machine and every later
//     Read, Stat and List sees it. When one returns an error, the value may or may not be there, whole.
//   - All methods may be called from many goroutines, and from many processes on one location.
//   - A context that is done when a method is called makes it fail without changing anything.
//   - data belongs to the caller: not changed, and not kept after the method returns.
//   - An error wraps fs.ErrPermission where the location refuses the caller, and ErrLayout where it is gone; it
//     says which key of which location. What may pass is tried again before it is an error.
//
// What is not safe, and what a Store therefore does not ask for: order between keys written at the same
// time, and one key that is a folder of another ("runs/a" beside "runs/a/b").
type Driver interface {
	// Read returns the value under key, which the caller owns, or an error that wraps ErrNotFound.
	Read(ctx context.Context, key string) ([]byte, error)

	// ReadAt reads len(p) bytes of the value under key, from offset on, into p. A value that ends before
	// gives what there is and io.EOF, as io.ReaderAt has it; none at all an error that wraps ErrNotFound.
	ReadAt(ctx context.Context, key string, p []byte, offset int64) (int, error)

	// Stat describes the value under key without reading it; the error wraps ErrNotFound if there is none.
	Stat(ctx context.Context, key string) (Info, error)

	// Create stores data under a key that has no value. If it has one, nothing changes and the error wraps
	// ErrExist. Of several at once, one should win; where a location knows no such condition all may
	// succeed, and the last one's value stays.
	Create(ctx context.Context, key string, data []byte) error

	// Replace stores data under key, whether or not it has a value.
	Replace(ctx context.Context, key string, data []byte) error

	// Copy gives to the value of from, replacing what was there; they may share storage. It must move no
	// bytes through this process where the location can do without. Wraps ErrNotFound if from has no value.
	Copy(ctx context.Context, from, to string) error

	// List yields every value whose key begins with prefix, in no promised order. What is written or
	// deleted meanwhile may or may not appear. After an error it yields nothing more.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes key and its value; a key without one is no error.
	Delete(ctx context.Context, key string) error

	// Close frees what the driver holds. No method may be called afterwards.
	Close() error
}

// Info describes a stored value.
type Info struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// checkSize refuses to load a value that no Store wrote.
func checkSize(key string, size int64) error {
	if size > MaxObjectBytes {
		return corrupt("%s has %d bytes, more than the %d any object may have", key, size, int64(MaxObjectBytes))
	}
	return nil
}
