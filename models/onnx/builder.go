package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The versions that a Builder writes, unless Graft needs later ones: read by every runtime of the last years, and what PyTorch 2 exports.
const (
	builderIR    = 8
	builderOpset = 17
)

// Builder makes a model node by node. Each node has one output, which bears the node's name; a weight should bear the
// name of the node it belongs to and its role: "encoder.conv1.weight". The same calls give the same bytes.
//
// Mistakes are kept, the first of them, and returned by Bytes: code that builds a network reads without error checks.
type Builder struct {
	name                                 string
	nodes, initializers, inputs, outputs [][]byte
	known                                map[string]bool
	metadata                             map[string]string
	ir, opset                            uint64
	err                                  error
}

// NewBuilder returns a builder of a graph with that name.
func NewBuilder(name string) *Builder {
	return &Builder{name: name, known: map[string]bool{}, metadata: map[string]string{}, ir: builderIR, opset: builderOpset}
}

// Dim is one dimension of a port: a length, or where Name is not empty one that the model leaves open.
type Dim struct {
	Size int
	Name string
}

// Fixed returns dimensions with the given lengths.
func Fixed(sizes ...int) []Dim {
	dims := make([]Dim, len(sizes))
	for i, s := range sizes {
		dims[i].Size = s
	}
	return dims
}

// Input declares a float32 input and returns its name.
func (b *Builder) Input(name string, dims []Dim) string {
	b.inputs = append(b.inputs, portBytes(name, dims))
	return b.define(name)
}

// Output declares that a value is an output of the model.
func (b *Builder) Output(value string, dims []Dim) {
	b.need(value, "output")
	b.outputs = append(b.outputs, portBytes(value, dims))
}

// Floats adds a float32 initializer and returns its name. No dims make a scalar.
func (b *Builder) Floats(name string, values []float32, dims ...int) string {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return b.tensor(name, Float32, len(values), data, dims)
}

// Ints adds an int64 initializer of one dimension and returns its name.
func (b *Builder) Ints(name string, values ...int64) string {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(v))
	}
	return b.tensor(name, Int64, len(values), data, []int{len(values)})
}

// Node adds an operation and returns its output. An input "" is an optional one left out.
func (b *Builder) Node(op, name string, inputs []string, attributes ...Attribute) string {
	for _, in := range inputs {
		if in != "" {
			b.need(in, "node "+name)
		}
	}
	n := Node{Op: op, Name: name, Inputs: inputs, Outputs: []string{name}, Attributes: attributes}
	b.nodes = append(b.nodes, n.bytes())
	return b.define(name)
}

// Metadata sets a metadata property of the model.
func (b *Builder) Metadata(key, value string) { b.metadata[key] = value }

// Bytes returns the model as a file.
func (b *Builder) Bytes() ([]byte, error) {
	if b.err == nil && (len(b.inputs) == 0 || len(b.outputs) == 0) {
		b.fail("a graph needs an input and an output")
	}
	if b.err != nil {
		return nil, fmt.Errorf("onnx: building %s: %w", b.name, b.err)
	}
	var graph, out []byte
	for _, n := range b.nodes {
		graph = appendMessage(graph, 1, n)
	}
	graph = appendMessage(graph, 2, []byte(b.name))
	for _, t := range b.initializers {
		graph = appendMessage(graph, 5, t)
	}
	for _, v := range b.inputs {
		graph = appendMessage(graph, 11, v)
	}
	for _, v := range b.outputs {
		graph = appendMessage(graph, 12, v)
	}
	out = appendNumber(out, 1, b.ir)
	out = appendMessage(out, 2, []byte("cspine"))
	out = appendMessage(out, 7, graph)
	opset := appendMessage(nil, 1, nil)
	out = appendMessage(out, 8, appendNumber(opset, 2, b.opset))
	return appendMetadata(out, b.metadata), nil
}

func (b *Builder) tensor(name string, kind DataType, have int, data []byte, dims []int) string {
	want := 1
	var message []byte
	for _, d := range dims {
		want *= d
		message = appendNumber(message, 1, uint64(d))
	}
	if want != have {
		b.fail("%s: %d values for the dimensions %v", name, have, dims)
	}
	message = appendNumber(message, 2, uint64(kind))
	message = appendMessage(message, 8, []byte(name))
	b.initializers = append(b.initializers, appendMessage(message, 9, data))
	return b.define(name)
}

func (b *Builder) define(name string) string {
	if name == "" || b.known[name] {
		b.fail("the name %q is empty or taken", name)
	}
	b.known[name] = true
	return name
}

func (b *Builder) need(value, by string) {
	if !b.known[value] {
		b.fail("%s reads %q, which is not there yet", by, value)
	}
}

func (b *Builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// IntAttribute makes a node's attribute of type INT.
func IntAttribute(name string, v int64) Attribute {
	a := Attribute{Name: name, Int: v}
	a.raw = attributeBytes(name, 2, appendNumber(nil, 3, uint64(v)))
	return a
}

// IntsAttribute makes a node's attribute of type INTS.
func IntsAttribute(name string, values ...int64) Attribute {
	a := Attribute{Name: name, Ints: values}
	var message []byte
	for _, v := range values {
		message = appendNumber(message, 8, uint64(v))
	}
	a.raw = attributeBytes(name, 7, message)
	return a
}

// FloatAttribute makes a node's attribute of type FLOAT.
func FloatAttribute(name string, v float32) Attribute {
	a := Attribute{Name: name, Float: v}
	message := protowire.AppendTag(nil, 2, protowire.Fixed32Type)
	a.raw = attributeBytes(name, 1, protowire.AppendFixed32(message, math.Float32bits(v)))
	return a
}

// TextAttribute makes a node's attribute of type STRING.
func TextAttribute(name, text string) Attribute {
	a := Attribute{Name: name, String: text}
	a.raw = attributeBytes(name, 3, appendMessage(nil, 4, []byte(text)))
	return a
}

func attributeBytes(name string, kind uint64, value []byte) []byte {
	out := appendMessage(nil, 1, []byte(name))
	return appendNumber(append(out, value...), 20, kind)
}

func portBytes(name string, dims []Dim) []byte {
	var shape []byte
	for _, d := range dims {
		var dim []byte
		if d.Name != "" {
			dim = appendMessage(nil, 2, []byte(d.Name))
		} else {
			dim = appendNumber(nil, 1, uint64(d.Size))
		}
		shape = appendMessage(shape, 1, dim)
	}
	tensor := appendMessage(appendNumber(nil, 1, uint64(Float32)), 2, shape)
	return appendMessage(appendMessage(nil, 1, []byte(name)), 2, appendMessage(nil, 1, tensor))
}

// appendMessage appends a field of bytes, text or a message.
func appendMessage(to []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
}

// appendNumber appends an integer field.
func appendNumber(to []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, number, protowire.VarintType), value)
}
