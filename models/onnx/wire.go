package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message: which value is set depends on its wire type.
type field struct {
	number  protowire.Number
	varint  uint64
	fixed32 uint32
	fixed64 uint64
	bytes   []byte // a view
	raw     []byte // tag and value, a view
}

// walk calls visit for every field of the message b.
func walk(b []byte, visit func(field) error) error {
	for at := 0; at < len(b); {
		number, kind, tag := protowire.ConsumeTag(b[at:])
		if tag < 0 {
			return malformed("bad field at byte %d", at)
		}
		f := field{number: number}
		rest := b[at+tag:]
		var n int
		switch kind {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(rest)
		case protowire.Fixed32Type:
			f.fixed32, n = protowire.ConsumeFixed32(rest)
		case protowire.Fixed64Type:
			f.fixed64, n = protowire.ConsumeFixed64(rest)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(rest)
		default:
			n = protowire.ConsumeFieldValue(number, kind, rest)
		}
		if n < 0 {
			return malformed("field %d at byte %d of %d is cut short or damaged", number, at, len(b))
		}
		f.raw = b[at : at+tag+n]
		if err := visit(f); err != nil {
			return err
		}
		at += tag + n
	}
	return nil
}

// appendInts appends a repeated integer field, packed or not.
func appendInts(to []int64, f field) ([]int64, error) {
	if f.bytes == nil {
		return append(to, int64(f.varint)), nil
	}
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return to, malformed("damaged list of integers")
		}
		to, b = append(to, int64(v)), b[n:]
	}
	return to, nil
}

// appendFloats appends a repeated float field, packed or not.
func appendFloats(to []float32, f field) ([]float32, error) {
	if f.bytes == nil {
		return append(to, float32From(f.fixed32)), nil
	}
	if len(f.bytes)%4 != 0 {
		return to, malformed("damaged list of numbers")
	}
	for b := f.bytes; len(b) > 0; b = b[4:] {
		to = append(to, float32From(binary.LittleEndian.Uint32(b)))
	}
	return to, nil
}

func float32From(bits uint32) float32 { return math.Float32frombits(bits) }
