package onnx_test

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cspine/cspine/models/onnx"
)

// allocated is what a function allocates in all, in bytes, whether it keeps it or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzONNX reads whatever comes, and rewrites what is read. More seeds lie in testdata/fuzz/FuzzONNX: small models with one thing wrong.
func FuzzONNX(f *testing.F) {
	for _, name := range []string{"unet.onnx", "unet_bn.onnx", "ports.onnx"} {
		b := file(f, name)
		f.Add(b[:min(len(b), 1<<13)])
		f.Add(b)
	}
	f.Add(build(f, affine()))
	for _, how := range []string{"raw", "packed", "single"} {
		f.Add(modelOf(tensor(how)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m *onnx.Model
		var err error
		if all := allocated(func() { m, err = onnx.Parse(b) }); all > 4<<20+500*uint64(len(b)) {
			t.Fatalf("%d bytes allocated for a file of %d", all, len(b))
		}
		if err != nil {
			var refused *onnx.Error
			if !errors.As(err, &refused) {
				t.Fatalf("not an Error: %v", err)
			}
			return
		}
		whole := m.Check() == nil
		m.Info()
		m.Weights()
		var refused *onnx.Error
		if _, err := onnx.Metadata(b); err != nil && !errors.As(err, &refused) {
			t.Fatalf("metadata: not an Error: %v", err)
		}
		again, err := onnx.Parse(m.Bytes())
		if err != nil {
			t.Fatalf("written model is not read: %v", err)
		}
		if whole && again.Check() != nil {
			t.Fatalf("written model is not whole: %v", again.Check())
		}
		for _, t := range m.Graph.Initializers {
			t.Floats()
			t.Int64s()
		}
		m.Accelerate()
		m.SumInputChannels()
		m.Untie()
		if _, err := onnx.Parse(m.Bytes()); err != nil {
			t.Fatalf("rewritten model is not read: %v", err)
		}
	})
}

// message encodes one field that holds bytes.
func message(number protowire.Number, content ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), slices.Concat(content...))
}

// node encodes ONNX's own operator with these inputs and one output.
func node(op, output string, inputs ...string) []byte {
	content := [][]byte{message(2, []byte(output)), message(4, []byte(op))}
	for _, name := range inputs {
		content = append(content, message(1, []byte(name)))
	}
	return message(1, content...)
}

// weight encodes a constant w of n float32 zeros.
func weight(n int) []byte {
	dims := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(n))
	return message(5, dims, []byte{2 << 3, 1}, message(8, []byte("w")), message(9, make([]byte, 4*n)))
}

// A file of a MB or so may name one constant many times, or hold many things that are empty: none of it may cost much more than it does.
func TestSmallFilesDoNotGrow(t *testing.T) {
	many := func(n int, one func(i int) []byte) []byte {
		var all [][]byte
		for i := range n {
			all = append(all, one(i))
		}
		return slices.Concat(all...)
	}
	again := make([]string, 1<<14)
	for i := range again {
		again[i] = "w"
	}
	for name, graph := range map[string][]byte{
		"empty attributes": many(1<<15, func(int) []byte { return message(1, bytes.Repeat([]byte{5<<3 | 2, 0}, 64)) }),
		"empty nodes":      bytes.Repeat([]byte{1<<3 | 2, 0}, 1<<17),
		"a constant with room for many more": message(5, []byte{1 << 3, 0x80, 0x80, 0x80, 0x80, 8}, []byte{2 << 3, 1},
			message(8, []byte("w")), message(9, make([]byte, 4))),
		"weights that name a constant often": slices.Concat(weight(1<<14), node("Concat", "joined", again...), node("Conv", "y", "x", "joined")),
		"a constant under many names":        slices.Concat(weight(1<<18), many(1<<10, func(i int) []byte { return node("Identity", strconv.Itoa(i), "w") })),
	} {
		file := message(7, graph)
		var m *onnx.Model
		if all := allocated(func() { m, _ = onnx.Parse(file) }); all > 256<<20 {
			t.Errorf("%s: reading %d bytes allocates %d", name, len(file), all)
		}
		if m == nil {
			continue
		}
		_ = m.Check()
		if all := allocated(func() { m.Accelerate() }); all > 256<<20 {
			t.Errorf("%s: accelerating a model of %d bytes allocates %d", name, len(file), all)
		}
		if all := allocated(func() { m.Untie() }); all > 256<<20 {
			t.Errorf("%s: untying a model of %d bytes allocates %d", name, len(file), all)
		}
	}
}
