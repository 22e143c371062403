// Package onnx reads ONNX files (https://onnx.ai/onnx/repo-docs/IR.html), says what is in them, and
// rewrites graphs into equal ones that run faster.
//
// It reads the protocol buffer's wire format itself and only the messages it needs. Invariants:
//   - A file must be self-contained: weights in a second file are refused.
//   - Reading must cost memory in proportion to the file, not to what the file claims; weights stay views
//     of the file's bytes, which therefore must not be changed.
//   - What a rewriting does not understand it must carry over as it stands, byte for byte.
package onnx

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Model is one ONNX file in memory.
type Model struct {
	IRVersion int64
	Producer  string // name and version of the program that wrote it
	// Opsets has the version of every operator set that is used; "" is ONNX's own.
	Opsets map[string]int64
	Graph  Graph

	rest []byte // all fields but the graph, as they stand
}

// Graph is a model's computation. Nodes stand in an order in which each follows what it reads.
type Graph struct {
	Nodes        []*Node
	Initializers []*Tensor
	Inputs       []Value // without those that are initializers
	Outputs      []Value

	rest []byte // name, documentation and the like, as they stand
}

// Node is one operation.
type Node struct {
	Op, Domain, Name string
	// Inputs and Outputs are the names of values. "" stands for an optional one that is left out.
	Inputs, Outputs []string
	Attributes      []Attribute

	raw []byte // the message as read; nil for a node that was made or changed
}

// Attribute is a named constant of a node. The field that is set is known from the operator, and Kind says which it is.
type Attribute struct {
	Name    string
	Kind    AttributeKind
	Int     int64
	Float   float32
	String  string
	Ints    []int64
	Floats  []float32
	Strings []string
	Tensor  *Tensor

	raw []byte
}

// AttributeKind is AttributeProto.AttributeType.
type AttributeKind int32

// The kinds of attribute that are read.
const (
	FloatKind   AttributeKind = 1
	IntKind     AttributeKind = 2
	StringKind  AttributeKind = 3
	TensorKind  AttributeKind = 4
	FloatsKind  AttributeKind = 6
	IntsKind    AttributeKind = 7
	StringsKind AttributeKind = 8
)

// Value is a graph's input or output.
type Value struct {
	Name string
	Type DataType
	// Shape has −1 for a dimension that the file leaves open.
	Shape []int64
}

// Error says why bytes are not an ONNX file that this package reads.
type Error struct{ Detail string }

func (e *Error) Error() string { return "onnx: " + e.Detail }

func malformed(format string, args ...any) *Error { return &Error{fmt.Sprintf(format, args...)} }

// Limits on what a file may hold; far above any network and far below what hurts.
const (
	maxNodes      = 1 << 17 // and as many constants
	maxPorts      = 1 << 10
	maxAttributes = 1 << 6  // of a node
	maxOfGraph    = 1 << 19 // attributes of all nodes together
	maxRank       = 16
)

// Parse reads a file. The model keeps views of it. The error is an *Error.
func Parse(file []byte) (*Model, error) {
	m := &Model{Opsets: map[string]int64{}}
	var graph []byte
	var producer [2]string
	err := walk(file, func(f field) error {
		switch f.number {
		case 1:
			m.IRVersion = int64(f.varint)
		case 2, 3:
			producer[f.number-2] = string(f.bytes)
		case 7:
			graph = f.bytes
			return nil
		case 8:
			domain, version, err := parseOpset(f.bytes)
			if err != nil {
				return err
			}
			m.Opsets[domain] = version
		}
		m.rest = append(m.rest, f.raw...)
		return nil
	})
	if err != nil {
		return nil, malformed("not an ONNX file, or a truncated one: %v", err)
	}
	if graph == nil {
		return nil, malformed("not an ONNX file: it has no graph")
	}
	m.Producer = strings.TrimSpace(producer[0] + " " + producer[1])
	if err := m.Graph.parse(graph); err != nil {
		return nil, malformed("graph: %v", err)
	}
	return m, nil
}

// Bytes returns the model as a file.
func (m *Model) Bytes() []byte {
	graph := m.Graph.pieces()
	size := 0
	for _, p := range graph {
		size += len(p)
	}
	head := protowire.AppendTag(slices.Clip(m.rest), 7, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(size))
	return slices.Concat(append([][]byte{head}, graph...)...)
}

func parseOpset(b []byte) (domain string, version int64, err error) {
	err = walk(b, func(f field) error {
		switch f.number {
		case 1:
			domain = string(f.bytes)
		case 2:
			version = int64(f.varint)
		}
		return nil
	})
	if domain == "ai.onnx" {
		domain = ""
	}
	return domain, version, err
}

func (g *Graph) parse(b []byte) error {
	var inputs []Value
	attributes := 0
	err := walk(b, func(f field) error {
		switch f.number {
		case 1:
			if len(g.Nodes) == maxNodes {
				return malformed("more than %d nodes", maxNodes)
			}
			n, err := parseNode(f.bytes)
			g.Nodes = append(g.Nodes, n)
			if attributes += len(n.Attributes); attributes > maxOfGraph {
				return malformed("the nodes have more than %d attributes together", maxOfGraph)
			}
			return err
		case 5:
			if len(g.Initializers) == maxNodes {
				return malformed("more than %d constants", maxNodes)
			}
			t, err := parseTensor(f.bytes)
			g.Initializers = append(g.Initializers, t)
			return err
		case 11, 12:
			if len(inputs)+len(g.Outputs) >= maxNodes+maxPorts { // old files list every constant as an input
				return malformed("more than %d inputs and outputs", maxNodes+maxPorts)
			}
			v, err := parseValue(f.bytes)
			if f.number == 11 {
				inputs = append(inputs, v)
			} else {
				g.Outputs = append(g.Outputs, v)
			}
			return err
		case 13: // shapes of values inside: a rewriting makes them wrong
		default:
			g.rest = append(g.rest, f.raw...)
		}
		return nil
	})
	constant := map[string]bool{}
	for _, t := range g.Initializers {
		constant[t.Name] = true
	}
	for _, v := range inputs {
		if !constant[v.Name] {
			g.Inputs = append(g.Inputs, v)
		}
	}
	return err
}

// pieces returns what makes up the graph's message, in its order. Weights are views, so that a large model is copied once.
func (g *Graph) pieces() [][]byte {
	var out [][]byte
	sub := func(number protowire.Number, message ...[]byte) {
		size := 0
		for _, b := range message {
			size += len(b)
		}
		head := protowire.AppendTag(nil, number, protowire.BytesType)
		out = append(append(out, protowire.AppendVarint(head, uint64(size))), message...)
	}
	for _, n := range g.Nodes {
		sub(1, n.bytes())
	}
	for _, t := range g.Initializers {
		sub(5, t.pieces()...)
	}
	for _, v := range g.Inputs {
		sub(11, v.bytes())
	}
	for _, v := range g.Outputs {
		sub(12, v.bytes())
	}
	return append(out, g.rest)
}

func parseNode(b []byte) (*Node, error) {
	n := &Node{raw: b}
	err := walk(b, func(f field) error {
		switch f.number {
		case 1:
			n.Inputs = append(n.Inputs, string(f.bytes))
		case 2:
			n.Outputs = append(n.Outputs, string(f.bytes))
		case 3:
			n.Name = string(f.bytes)
		case 4:
			n.Op = string(f.bytes)
		case 5:
			if len(n.Attributes) == maxAttributes {
				return malformed("a node has more than %d attributes", maxAttributes)
			}
			a, err := parseAttribute(f.bytes)
			n.Attributes = append(n.Attributes, a)
			return err
		case 7:
			if n.Domain = string(f.bytes); n.Domain == "ai.onnx" {
				n.Domain = ""
			}
		}
		return nil
	})
	return n, err
}

func (n *Node) bytes() []byte {
	if n.raw != nil {
		return n.raw
	}
	var out []byte
	str := func(number protowire.Number, s string) {
		out = protowire.AppendTag(out, number, protowire.BytesType)
		out = protowire.AppendString(out, s)
	}
	for _, s := range n.Inputs {
		str(1, s)
	}
	for _, s := range n.Outputs {
		str(2, s)
	}
	str(3, n.Name)
	str(4, n.Op)
	for _, a := range n.Attributes {
		out = protowire.AppendTag(out, 5, protowire.BytesType)
		out = protowire.AppendBytes(out, a.bytes())
	}
	if n.Domain != "" {
		str(7, n.Domain)
	}
	return out
}

// attribute returns the named attribute, or an empty one and false.
func (n *Node) attribute(name string) (Attribute, bool) {
	for _, a := range n.Attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

func parseAttribute(b []byte) (Attribute, error) {
	a := Attribute{raw: b}
	err := walk(b, func(f field) (err error) {
		switch f.number {
		case 1:
			a.Name = string(f.bytes)
		case 2:
			a.Float = float32From(f.fixed32)
		case 3:
			a.Int = int64(f.varint)
		case 4:
			a.String = string(f.bytes)
		case 5:
			a.Tensor, err = parseTensor(f.bytes)
		case 7:
			a.Floats, err = appendFloats(a.Floats, f)
		case 8:
			a.Ints, err = appendInts(a.Ints, f)
		case 9:
			a.Strings = append(a.Strings, string(f.bytes))
		case 20:
			a.Kind = AttributeKind(f.varint)
		}
		return err
	})
	return a, err
}

// bytes encodes an attribute as read, or one made of integers.
func (a Attribute) bytes() []byte {
	if a.raw != nil {
		return a.raw
	}
	out := protowire.AppendTag(nil, 1, protowire.BytesType)
	out = protowire.AppendString(out, a.Name)
	for _, v := range a.Ints {
		out = protowire.AppendTag(out, 8, protowire.VarintType)
		out = protowire.AppendVarint(out, uint64(v))
	}
	kind := uint64(7) // AttributeProto.INTS
	if a.Ints == nil {
		kind = 2 // INT
		out = protowire.AppendTag(out, 3, protowire.VarintType)
		out = protowire.AppendVarint(out, uint64(a.Int))
	}
	out = protowire.AppendTag(out, 20, protowire.VarintType)
	return protowire.AppendVarint(out, kind)
}

// ints makes an attribute of n equal integers.
func ints(name string, n int, v int64) Attribute {
	a := Attribute{Name: name, Ints: make([]int64, n)}
	for i := range a.Ints {
		a.Ints[i] = v
	}
	return a
}

func parseValue(b []byte) (Value, error) {
	var v Value
	var tensor []byte
	err := walk(b, func(f field) error {
		switch f.number {
		case 1:
			v.Name = string(f.bytes)
		case 2:
			return walk(f.bytes, func(f field) error {
				if f.number == 1 {
					tensor = f.bytes
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	return v, walk(tensor, func(f field) error {
		switch f.number {
		case 1:
			v.Type = DataType(f.varint)
		case 2:
			return walk(f.bytes, func(f field) error {
				if f.number != 1 {
					return nil
				}
				if len(v.Shape) == maxRank {
					return malformed("%q has more than %d dimensions", v.Name, maxRank)
				}
				d := int64(-1)
				err := walk(f.bytes, func(f field) error {
					if f.number == 1 {
						d = int64(f.varint)
					}
					return nil
				})
				v.Shape = append(v.Shape, d)
				return err
			})
		}
		return nil
	})
}

// bytes encodes a value. Names of open dimensions are not kept.
func (v Value) bytes() []byte {
	var shape []byte
	for _, d := range v.Shape {
		var dim []byte
		if d >= 0 {
			dim = protowire.AppendTag(nil, 1, protowire.VarintType)
			dim = protowire.AppendVarint(dim, uint64(d))
		}
		shape = protowire.AppendTag(shape, 1, protowire.BytesType)
		shape = protowire.AppendBytes(shape, dim)
	}
	tensor := protowire.AppendTag(nil, 1, protowire.VarintType)
	tensor = protowire.AppendVarint(tensor, uint64(v.Type))
	tensor = protowire.AppendTag(tensor, 2, protowire.BytesType)
	tensor = protowire.AppendBytes(tensor, shape)
	typ := protowire.AppendTag(nil, 1, protowire.BytesType)
	typ = protowire.AppendBytes(typ, tensor)
	out := protowire.AppendTag(nil, 1, protowire.BytesType)
	out = protowire.AppendString(out, v.Name)
	out = protowire.AppendTag(out, 2, protowire.BytesType)
	return protowire.AppendBytes(out, typ)
}
