// Package npy reads and writes arrays in NumPy's .npy format, version 1.0
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
//
// It is the content format of every tensor artifact: a stored tensor, once unpacked, opens in numpy as
// it is. Arrays must be in C order and little endian. The header is written the way numpy writes it, so
// that equal arrays are equal bytes and have one digest.
package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// ErrMalformed is wrapped by every error about bytes that are not an array this package reads.
var ErrMalformed = errors.New("npy: malformed")

// DType names an element type as numpy's descr does.
type DType string

// The element types this package knows.
const (
	Uint8   DType = "|u1"
	Int16   DType = "<i2"
	Uint16  DType = "<u2"
	Float32 DType = "<f4"
)

// Size returns the bytes of one element, or 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case Uint8:
		return 1
	case Int16, Uint16:
		return 2
	case Float32:
		return 4
	}
	return 0
}

// Array is an n-dimensional array together with its .npy bytes.
type Array struct {
	DType DType
	Shape []int
	// Data is the elements, in C order and little endian. It is a view of the array's file bytes: writing
	// to it changes them.
	Data []byte

	file []byte
}

// Bytes returns the whole .npy file. The array keeps its ownership; it must not be changed.
func (a *Array) Bytes() []byte { return a.file }

// released has the memory of arrays that were released, by its size.
var released sync.Map // of int to *sync.Pool of *[]byte

// Release gives the array's memory back for those that are made later, which saves clearing new pages and collecting old ones. Neither the array nor any view of
// it may be used afterwards; nil is passed over.
func (a *Array) Release() {
	if a == nil || a.file == nil {
		return
	}
	pool, _ := released.LoadOrStore(len(a.file), new(sync.Pool))
	file := a.file
	pool.(*sync.Pool).Put(&file)
	*a = Array{}
}

// room returns n bytes, all of them 0.
func room(n int) []byte {
	if pool, ok := released.Load(n); ok {
		if file, ok := pool.(*sync.Pool).Get().(*[]byte); ok {
			clear(*file)
			return *file
		}
	}
	return make([]byte, n)
}

// New returns an array of zeros.
func New(dtype DType, shape ...int) *Array {
	n := dtype.Size()
	if n == 0 {
		panic("npy: unknown element type " + string(dtype))
	}
	for _, d := range shape {
		n *= d
	}
	h := Header(dtype, shape...)
	file := room(len(h) + n)
	copy(file, h)
	return &Array{DType: dtype, Shape: append([]int(nil), shape...), Data: file[len(h):], file: file}
}

// FromUint8 copies data into a new array of the given shape.
func FromUint8(data []uint8, shape ...int) *Array {
	a := New(Uint8, shape...)
	if copy(a.Data, data) != len(a.Data) || len(data) != len(a.Data) {
		panic(fmt.Sprintf("npy: %d values do not fill shape %v", len(data), shape))
	}
	return a
}

// magic is the six bytes of the format and version 1.0.
const magic = "\x93NUMPY\x01\x00"

// Header returns what stands before the elements in the file of an array.
func Header(dtype DType, shape ...int) []byte {
	var dims strings.Builder
	for i, d := range shape {
		if i > 0 {
			dims.WriteString(", ")
		}
		dims.WriteString(strconv.Itoa(d))
	}
	if len(shape) == 1 {
		dims.WriteByte(',')
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", dtype, dims.String())
	// numpy pads with spaces and ends with a newline so that the data start at a multiple of 64.
	total := len(magic) + 2 + len(dict) + 1
	pad := (64 - total%64) % 64
	out := make([]byte, 0, total+pad)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(dict)+pad+1))
	out = append(out, dict...)
	out = append(out, bytes.Repeat([]byte{' '}, pad)...)
	return append(out, '\n')
}

// Decode reads an array. Its Data is a view of file, which must not be changed afterwards. It allocates
// nothing in proportion to what the header claims.
func Decode(file []byte) (*Array, error) {
	if len(file) < 10 || string(file[:6]) != magic[:6] {
		return nil, fmt.Errorf("%w: no numpy magic", ErrMalformed)
	}
	if file[6] != 1 || file[7] != 0 {
		return nil, fmt.Errorf("%w: format version %d.%d is not 1.0", ErrMalformed, file[6], file[7])
	}
	n := int(binary.LittleEndian.Uint16(file[8:]))
	if len(file) < 10+n {
		return nil, fmt.Errorf("%w: header ends after %d of %d bytes", ErrMalformed, len(file)-10, n)
	}
	a := &Array{Data: file[10+n:], file: file}
	if err := a.parseHeader(string(file[10 : 10+n])); err != nil {
		return nil, err
	}
	want := a.DType.Size()
	for _, d := range a.Shape {
		if d != 0 && want > math.MaxInt/d {
			return nil, fmt.Errorf("%w: shape %v is too large", ErrMalformed, a.Shape)
		}
		want *= d
	}
	if want != len(a.Data) {
		return nil, fmt.Errorf("%w: shape %v needs %d bytes of data, there are %d", ErrMalformed, a.Shape, want, len(a.Data))
	}
	return a, nil
}

// parseHeader reads the Python dictionary literal that numpy writes.
func (a *Array) parseHeader(dict string) error {
	descr, ok1 := between(dict, "'descr':", ",")
	order, ok2 := between(dict, "'fortran_order':", ",")
	shape, ok3 := between(dict, "'shape':", ")")
	if !ok1 || !ok2 || !ok3 {
		return fmt.Errorf("%w: header lacks descr, fortran_order or shape", ErrMalformed)
	}
	a.DType = DType(strings.Trim(strings.TrimSpace(descr), "'"))
	if a.DType.Size() == 0 {
		return fmt.Errorf("%w: element type %q is not one of %s %s %s %s", ErrMalformed, a.DType, Uint8, Int16, Uint16, Float32)
	}
	if strings.TrimSpace(order) != "False" {
		return fmt.Errorf("%w: Fortran order", ErrMalformed)
	}
	for _, f := range strings.Split(strings.TrimLeft(strings.TrimSpace(shape), "("), ",") {
		if f = strings.TrimSpace(f); f == "" {
			continue
		}
		d, err := strconv.Atoi(f)
		if err != nil || d < 0 {
			return fmt.Errorf("%w: dimension %q", ErrMalformed, f)
		}
		a.Shape = append(a.Shape, d)
	}
	return nil
}

func between(s, from, to string) (string, bool) {
	_, s, ok := strings.Cut(s, from)
	if !ok {
		return "", false
	}
	s, _, ok = strings.Cut(s, to)
	return s, ok
}
