package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// DataType is an element type, TensorProto.DataType.
type DataType int32

// The element types that cspine meets.
const (
	Float32  DataType = 1
	Uint8    DataType = 2
	Int8     DataType = 3
	Int64    DataType = 7
	Float16  DataType = 10
	Float64  DataType = 11
	BFloat16 DataType = 16
)

var typeNames = map[DataType]string{
	Float32: "float32", Uint8: "uint8", Int8: "int8", 4: "uint16", 5: "int16", 6: "int32", Int64: "int64",
	8: "string", 9: "bool", Float16: "float16", Float64: "float64", 12: "uint32", 13: "uint64", BFloat16: "bfloat16",
}

func (d DataType) String() string {
	if s, ok := typeNames[d]; ok {
		return s
	}
	return "unknown"
}

// Tensor is a constant: a weight or an attribute's value.
type Tensor struct {
	Name string
	Type DataType
	Dims []int64

	raw    []byte // the message as read; nil for a tensor that was made
	data   []byte // raw_data, little endian, a view
	floats []byte // float_data where the file uses that, little endian

	// The other lists of typed values that a file may use in place of raw_data.
	varints []int64 // int32_data, int64_data, uint64_data
	doubles []byte  // double_data, little endian
}

// Elements returns the product of the dimensions, 1 for a scalar.
func (t *Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Float32s returns a copy of the values in C order. ok is false where the tensor is of another type.
func (t *Tensor) Float32s() (values []float32, ok bool) {
	b := t.data
	if len(b) == 0 {
		b = t.floats
	}
	if t.Type != Float32 || int64(len(b)) != 4*t.Elements() {
		return nil, false
	}
	values = make([]float32, len(b)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return values, true
}

// newTensor makes a float32 tensor.
func newTensor(name string, values []float32, dims ...int64) *Tensor {
	t := &Tensor{Name: name, Type: Float32, Dims: dims, data: make([]byte, 0, 4*len(values))}
	for _, v := range values {
		t.data = binary.LittleEndian.AppendUint32(t.data, math.Float32bits(v))
	}
	return t
}

func parseTensor(b []byte) (*Tensor, error) {
	t := &Tensor{raw: b}
	external := false
	err := walk(b, func(f field) (err error) {
		switch f.number {
		case 1:
			t.Dims, err = appendInts(t.Dims, f)
		case 2:
			t.Type = DataType(f.varint)
		case 4:
			if f.bytes != nil {
				t.floats = append(t.floats, f.bytes...)
			} else {
				t.floats = binary.LittleEndian.AppendUint32(t.floats, f.fixed32)
			}
		case 5, 7, 11:
			t.varints, err = appendInts(t.varints, f)
		case 8:
			t.Name = string(f.bytes)
		case 9:
			t.data = f.bytes
		case 10:
			if f.bytes != nil {
				t.doubles = append(t.doubles, f.bytes...)
			} else {
				t.doubles = binary.LittleEndian.AppendUint64(t.doubles, f.fixed64)
			}
		case 14:
			external = f.varint == 1
		}
		return err
	})
	if err != nil {
		return t, err
	}
	if external {
		return t, malformed("weights lie in a second file; save the model with its weights inside (onnx.save, save_as_external_data=False)")
	}
	return t, t.checkDims()
}

// checkDims bounds the dimensions, so that their product can't overflow.
func (t *Tensor) checkDims() error {
	if len(t.Dims) > maxRank {
		return malformed("a constant has more than %d dimensions", maxRank)
	}
	n := int64(1)
	for _, d := range t.Dims {
		if d < 0 || d > 1<<40 || (d > 0 && n > (1<<40)/d) {
			return malformed("a constant has the dimensions %v", t.Dims)
		}
		n *= d
	}
	return nil
}

// pieces returns what makes up the message: all before the values, and these.
func (t *Tensor) pieces() [][]byte {
	if t.raw != nil {
		return [][]byte{t.raw}
	}
	var out []byte
	for _, d := range t.Dims {
		out = protowire.AppendTag(out, 1, protowire.VarintType)
		out = protowire.AppendVarint(out, uint64(d))
	}
	out = protowire.AppendTag(out, 2, protowire.VarintType)
	out = protowire.AppendVarint(out, uint64(t.Type))
	out = protowire.AppendTag(out, 8, protowire.BytesType)
	out = protowire.AppendString(out, t.Name)
	out = protowire.AppendTag(out, 9, protowire.BytesType)
	return [][]byte{protowire.AppendVarint(out, uint64(len(t.data))), t.data}
}
