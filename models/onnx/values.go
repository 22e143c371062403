package onnx

import (
	"encoding/binary"
	"math"
)

// The element types that only constants of a graph's bookkeeping have.
const (
	uint16s DataType = 4
	int16s  DataType = 5
	int32s  DataType = 6
	Bool    DataType = 9
	uint32s DataType = 12
	uint64s DataType = 13
)

// Attribute returns the named attribute, or an empty one and false.
func (n *Node) Attribute(name string) (Attribute, bool) { return n.attribute(name) }

// IsFloat tells whether the elements are floating-point numbers.
func (d DataType) IsFloat() bool {
	return d == Float32 || d == Float64 || d == Float16 || d == BFloat16
}

// IsInt tells whether the elements are integers or truth values.
func (d DataType) IsInt() bool { return d.width() > 0 && !d.IsFloat() }

// width is the bytes of an element in raw data; 0 for what has none.
func (d DataType) width() int64 {
	switch d {
	case Uint8, Int8, Bool:
		return 1
	case uint16s, int16s, Float16, BFloat16:
		return 2
	case Float32, int32s, uint32s:
		return 4
	case Int64, uint64s, Float64:
		return 8
	}
	return 0
}

// Floats returns a copy of the values of any floating-point type, in C order, rounded to float32. ok is false where the tensor is of
// another type, or doesn't have as many values as its dimensions say.
func (t *Tensor) Floats() (values []float32, ok bool) {
	n := t.Elements()
	switch {
	case t.Type == Float32:
		return t.Float32s()
	case t.Type == Float64 && int64(len(t.doubles)) == 8*n && len(t.data) == 0:
		return rounded(t.doubles), true
	case t.Type == Float64 && int64(len(t.data)) == 8*n:
		return rounded(t.data), true
	case t.Type != Float16 && t.Type != BFloat16:
		return nil, false
	}
	widen := halfToFloat
	if t.Type == BFloat16 {
		widen = func(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
	}
	switch {
	case int64(len(t.data)) == 2*n:
		values = make([]float32, n)
		for i := range values {
			values[i] = widen(binary.LittleEndian.Uint16(t.data[2*i:]))
		}
	case int64(len(t.varints)) == n && len(t.data) == 0: // a half's bits in an int32 each
		values = make([]float32, n)
		for i, v := range t.varints {
			values[i] = widen(uint16(v))
		}
	default:
		return nil, false
	}
	return values, true
}

func rounded(doubles []byte) []float32 {
	values := make([]float32, len(doubles)/8)
	for i := range values {
		values[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(doubles[8*i:])))
	}
	return values
}

// halfToFloat widens IEEE 754's binary16.
func halfToFloat(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // zero or subnormal: fraction · 2⁻²⁴
		v := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// Int64s returns a copy of the values of any integer type, in C order; truth values become 0 and 1. ok is false where the tensor
// is of another type, or doesn't have as many values as its dimensions say. A uint64 above MaxInt64 becomes negative.
func (t *Tensor) Int64s() (values []int64, ok bool) {
	n, width := t.Elements(), t.Type.width()
	if !t.Type.IsInt() {
		return nil, false
	}
	if int64(len(t.varints)) == n && len(t.data) == 0 {
		return append(make([]int64, 0, n), t.varints...), true
	}
	if int64(len(t.data)) != n*width {
		return nil, false
	}
	values = make([]int64, n)
	for i := range values {
		b := t.data[int64(i)*width:]
		switch t.Type {
		case Uint8:
			values[i] = int64(b[0])
		case Bool:
			values[i] = int64(min(b[0], 1))
		case Int8:
			values[i] = int64(int8(b[0]))
		case uint16s:
			values[i] = int64(binary.LittleEndian.Uint16(b))
		case int16s:
			values[i] = int64(int16(binary.LittleEndian.Uint16(b)))
		case int32s:
			values[i] = int64(int32(binary.LittleEndian.Uint32(b)))
		case uint32s:
			values[i] = int64(binary.LittleEndian.Uint32(b))
		default:
			values[i] = int64(binary.LittleEndian.Uint64(b))
		}
	}
	return values, true
}
