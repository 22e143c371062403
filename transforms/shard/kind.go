package shard

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/planezstd"
)

// record is one row, as the code that all kinds of shards share sees it.
type record interface {
	// study is the row's study, fold the study's fold, and name what the row is called in errors.
	study() string
	fold() int
	name() string
	// line describes the row.
	line() string
	// tensors are the row's tensors, in the order of their columns.
	tensors() []tensor
	// check says what else is wrong with the row, but for its tensors.
	check() error
}

// tensor is one array of a row. An array in C order, little endian.
type tensor struct {
	data  *[]byte
	shape []int
	dtype string
}

// elements maps element types, as a shard names them, to those of arrays.
var elements = map[string]npy.DType{"uint8": npy.Uint8, "int16": npy.Int16, "uint16": npy.Uint16, "float32": npy.Float32}

// size returns the bytes that a tensor of this shape and type has.
func (t tensor) size() (int, error) {
	if len(t.shape) > maxList {
		return 0, fmt.Errorf("%d dimensions are more than %d", len(t.shape), maxList)
	}
	n := elements[t.dtype].Size()
	if n == 0 {
		return 0, fmt.Errorf("element type %q is not uint8, int16, uint16 or float32", t.dtype)
	}
	for _, d := range t.shape {
		if d < 0 || d > 0 && n > MaxTensor/d {
			return 0, fmt.Errorf("shape %v is negative or holds more than %d bytes", t.shape, MaxTensor)
		}
		n *= d
	}
	return n, nil
}

// layout tells the encoder where the tensor's bytes repeat themselves.
func (t tensor) layout() planezstd.Layout {
	item := elements[t.dtype].Size()
	l := planezstd.Layout{Row: item, Plane: item}
	if n := len(t.shape); n >= 2 {
		l.Row *= t.shape[n-1]
		l.Plane *= t.shape[n-1] * t.shape[n-2]
	}
	return l
}

// validate checks a row whose tensors are there.
func validate(r record) error {
	for _, t := range r.tensors() {
		want, err := t.size()
		if err != nil {
			return err
		}
		if len(*t.data) != want {
			return fmt.Errorf("shape %v of %s needs %d bytes, the tensor has %d", t.shape, t.dtype, want, len(*t.data))
		}
	}
	return r.check()
}

// raw is the bytes of a row's tensors, by their shapes.
func raw(r record) (sum int64) {
	for _, t := range r.tensors() {
		if n, err := t.size(); err == nil {
			sum += int64(n)
		}
	}
	return sum
}

// kind says what the rows of one kind of shard hold. S is a row as this package's users have it.
type kind[S any] struct {
	what    string   // for errors: "crop"
	tensors []string // their columns
	schema  *parquet.Schema
	record  func(*S) record
	create  func(io.Writer, ...parquet.WriterOption) rowFile[S]
	// small reads the columns of a row group that are no tensors. It returns rows without them.
	small func(g parquet.RowGroup, rows int) ([]S, error)
}

// rowFile is a Parquet file being written.
type rowFile[S any] interface {
	row(*S) error
	Flush() error
	Close() error
	Schema() *parquet.Schema
	ColumnWriters() []*parquet.ColumnWriter
}

// kindOf makes a kind. C is a row's small columns, R the whole row, as parquet-go writes them; the tensors
// must come last in R.
func kindOf[S, C, R any](what string, tensors []string, rec func(*S) record, row func(*S) R, sample func(*C) (S, error)) *kind[S] {
	return &kind[S]{
		what: what, tensors: tensors, record: rec, schema: parquet.SchemaOf(*new(R)),
		create: func(w io.Writer, opts ...parquet.WriterOption) rowFile[S] {
			return &typedFile[S, R]{parquet.NewGenericWriter[R](w, opts...), row}
		},
		small: func(g parquet.RowGroup, rows int) ([]S, error) {
			list := make([]C, rows)
			r := parquet.NewGenericRowGroupReader[C](g)
			defer r.Close()
			for done := 0; done < rows; {
				k, err := r.Read(list[done:])
				done += k
				if err != nil && (done < rows || !errors.Is(err, io.EOF)) {
					return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
				}
			}
			samples := make([]S, rows)
			for i := range list {
				var err error
				if samples[i], err = sample(&list[i]); err != nil {
					return nil, err
				}
			}
			return samples, nil
		},
	}
}

type typedFile[S, R any] struct {
	*parquet.GenericWriter[R]
	convert func(*S) R
}

func (f *typedFile[S, R]) row(s *S) error { //nolint:unused // through rowFile; the linter does not see generic types' methods
	_, err := f.Write([]R{f.convert(s)})
	return err
}

// checkNumbers checks that a fold and lists of numbers fit their columns.
func checkNumbers(fold int, lists ...[]int) error {
	if fold < 0 || fold > math.MaxInt32 {
		return fmt.Errorf("fold %d is out of range", fold)
	}
	for _, list := range lists {
		if len(list) > maxList {
			return fmt.Errorf("a list of %d is longer than %d", len(list), maxList)
		}
		for _, v := range list {
			if v < math.MinInt32 || v > math.MaxInt32 {
				return fmt.Errorf("position %d is out of range", v)
			}
		}
	}
	return nil
}
