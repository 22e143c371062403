package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Parquet's footer and page headers are structs in Thrift's compact protocol
// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md). The Parquet library
// allocates what their lists claim to hold, so footers are walked here first, and page headers, of which
// a reader needs four numbers, are read here alone.

const (
	// maxElements bounds all lists of a footer together. A shard of 64 studies has 15,000; the library
	// allocates up to 500 bytes for each.
	maxElements = 1 << 19
	// maxSchema bounds the schema's elements, which the library walks by recursion.
	maxSchema = 256
	maxDepth  = 16
)

var errThrift = errors.New("not a Thrift struct")

// thriftWalk reads one struct and reports its integers.
type thriftWalk struct {
	data     []byte
	at       int
	elements int
	// integer is called, where set, for every integer field, with the ids of the fields that lead to it.
	integer func(path []int16, v int64)
	path    []int16
}

// Field types of the compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// checkFooter accepts a footer whose decoding takes memory in proportion to its size.
func checkFooter(footer []byte) error {
	w := thriftWalk{data: footer}
	if err := w.structure(); err != nil {
		return fmt.Errorf("%w: footer: %w", ErrCorrupt, err)
	}
	return nil
}

func (w *thriftWalk) structure() error {
	if len(w.path) >= maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", errThrift, maxDepth)
	}
	id := int16(0)
	for {
		b, err := w.byte()
		if err != nil {
			return err
		}
		kind := b & 15
		if kind == 0 {
			return nil
		}
		if delta := int16(b >> 4); delta != 0 {
			id += delta
		} else {
			v, err := w.varint()
			if err != nil {
				return err
			}
			id = int16(unzigzag(v))
		}
		w.path = append(w.path, id)
		// A field's boolean is its type.
		if kind != thriftTrue && kind != thriftFalse {
			if err := w.value(kind); err != nil {
				return err
			}
		}
		w.path = w.path[:len(w.path)-1]
	}
}

func (w *thriftWalk) value(kind byte) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftByte:
		return w.skip(1)
	case thriftI16, thriftI32, thriftI64:
		v, err := w.varint()
		if err == nil && w.integer != nil {
			w.integer(w.path, unzigzag(v))
		}
		return err
	case thriftDouble:
		return w.skip(8)
	case thriftBinary:
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case thriftList, thriftSet:
		return w.list()
	case thriftStruct:
		return w.structure()
	}
	// Parquet has no maps.
	return fmt.Errorf("%w: field of type %d", errThrift, kind)
}

func (w *thriftWalk) list() error {
	b, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(b >> 4)
	if n == 15 {
		if n, err = w.varint(); err != nil {
			return err
		}
	}
	const schemaField = 2
	if n > uint64(maxElements-w.elements) || n > maxSchema && len(w.path) == 1 && w.path[0] == schemaField {
		return fmt.Errorf("%w: list of %d", errThrift, n)
	}
	w.elements += int(n)
	w.path = append(w.path, 0)
	for range n {
		if err := w.value(b & 15); err != nil {
			return err
		}
	}
	w.path = w.path[:len(w.path)-1]
	return nil
}

func (w *thriftWalk) byte() (byte, error) {
	if w.at >= len(w.data) {
		return 0, fmt.Errorf("%w: cut off", errThrift)
	}
	w.at++
	return w.data[w.at-1], nil
}

func (w *thriftWalk) varint() (uint64, error) {
	v, n := binary.Uvarint(w.data[w.at:])
	if n <= 0 {
		return 0, fmt.Errorf("%w: cut off", errThrift)
	}
	w.at += n
	return v, nil
}

func (w *thriftWalk) skip(n uint64) error {
	if n > uint64(len(w.data)-w.at) {
		return fmt.Errorf("%w: cut off", errThrift)
	}
	w.at += int(n)
	return nil
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// pageHeader is what a reader needs of a PageHeader.
type pageHeader struct {
	size                 int // of the header itself
	dataV1               bool
	uncompressed, stored int64
	values               int64
	plain                bool
	crc                  uint32
	hasCRC               bool
}

// readPageHeader reads the header that data begins with. Field ids are those of parquet.thrift.
func readPageHeader(data []byte) (pageHeader, error) {
	const dataPage, plain = 0, 0
	h := pageHeader{values: -1}
	w := thriftWalk{data: data, integer: func(path []int16, v int64) {
		switch {
		case len(path) == 1 && path[0] == 1:
			h.dataV1 = v == dataPage
		case len(path) == 1 && path[0] == 2:
			h.uncompressed = v
		case len(path) == 1 && path[0] == 3:
			h.stored = v
		case len(path) == 1 && path[0] == 4:
			h.crc, h.hasCRC = uint32(v), true
		case len(path) == 2 && path[0] == 5 && path[1] == 1:
			h.values = v
		case len(path) == 2 && path[0] == 5 && path[1] == 2:
			h.plain = v == plain
		}
	}}
	if err := w.structure(); err != nil {
		return h, fmt.Errorf("%w: page header: %w", ErrCorrupt, err)
	}
	h.size = w.at
	if !h.dataV1 || !h.plain || h.values < 0 || h.values > math.MaxInt32 || h.stored < 0 || h.stored > math.MaxInt32 ||
		h.uncompressed < 0 || h.uncompressed > math.MaxInt32 {
		return h, fmt.Errorf("%w: a page is not a plain data page of version 1", ErrCorrupt)
	}
	return h, nil
}
