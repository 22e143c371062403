package onnx_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cspine/cspine/models/onnx"
)

// affine builds y = relu(x·w + b), with an open batch.
func affine() *onnx.Builder {
	b := onnx.NewBuilder("affine")
	x := b.Input("x", []onnx.Dim{{Name: "batch"}, {Size: 2}})
	w := b.Floats("fc.weight", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	bias := b.Floats("fc.bias", []float32{.5, -.5, 0}, 3)
	y := b.Node("Gemm", "fc", []string{x, w, bias}, onnx.FloatAttribute("alpha", 2), onnx.IntAttribute("transB", 0))
	b.Output(b.Node("Relu", "relu", []string{y}), []onnx.Dim{{Name: "batch"}, {Size: 3}})
	b.Metadata("cspine.seed", "7")
	return b
}

func build(t testing.TB, b *onnx.Builder) []byte {
	t.Helper()
	file, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBuilderWritesWhatParseReads(t *testing.T) {
	file := build(t, affine())
	m := parse(t, file)
	if err := m.Check(); err != nil {
		t.Error(err)
	}
	want := onnx.Info{
		IRVersion: 8, Producer: "cspine", Opsets: map[string]int64{"": 17}, Nodes: 2, Parameters: 9,
		Inputs:    []onnx.ValueInfo{{Name: "x", Type: "float32", Shape: []int64{-1, 2}}},
		Outputs:   []onnx.ValueInfo{{Name: "relu", Type: "float32", Shape: []int64{-1, 3}}},
		Operators: []onnx.OperatorCount{{"Gemm", 1}, {"Relu", 1}},
	}
	if diff := cmp.Diff(want, m.Info()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if alpha, _ := m.Graph.Nodes[0].Attribute("alpha"); alpha.Float != 2 {
		t.Errorf("alpha is %v", alpha)
	}
	if !bytes.Equal(file, build(t, affine())) {
		t.Error("building again gives other bytes")
	}
}

func TestBuilderReturnsTheFirstMistake(t *testing.T) {
	for name, c := range map[string]struct {
		mistake func(b *onnx.Builder)
		say     string
	}{
		"a name twice":            {func(b *onnx.Builder) { b.Node("Relu", "relu", []string{"fc"}) }, `"relu" is empty or taken`},
		"no name":                 {func(b *onnx.Builder) { b.Node("Relu", "", []string{"fc"}) }, `"" is empty or taken`},
		"a value that isn't":      {func(b *onnx.Builder) { b.Node("Relu", "r", []string{"fd"}) }, `node r reads "fd"`},
		"an output that isn't":    {func(b *onnx.Builder) { b.Output("z", onnx.Fixed(1)) }, `output reads "z"`},
		"values that don't fit":   {func(b *onnx.Builder) { b.Floats("v", []float32{1, 2}, 3) }, "v: 2 values for the dimensions [3]"},
		"only the first is named": {func(b *onnx.Builder) { b.Floats("v", nil, 3); b.Floats("u", nil, 3) }, "v: 0 values"},
	} {
		b := affine()
		c.mistake(b)
		if _, err := b.Bytes(); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: error is %v, want %q", name, err, c.say)
		}
	}
	if _, err := onnx.NewBuilder("empty").Bytes(); err == nil {
		t.Error("a graph of nothing was built")
	}
}

func TestWithWeightsChangesNothingElse(t *testing.T) {
	file := build(t, affine())
	made, err := onnx.WithWeights(file, map[string][]float32{"fc.bias": {9, 8, 7}})
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, made).Weights()
	want := map[string]onnx.Weight{"fc.weight": {Values: []float32{1, 2, 3, 4, 5, 6}, Dims: []int64{2, 3}}, "fc.bias": {Values: []float32{9, 8, 7}, Dims: []int64{3}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := onnx.WithWeights(made, map[string][]float32{"fc.bias": {.5, -.5, 0}})
	if err != nil || !bytes.Equal(again, file) {
		t.Errorf("putting the old weights back gives another file, error %v", err)
	}
}

func TestWithWeightsOfPyTorchsFiles(t *testing.T) {
	for _, name := range []string{"unet.onnx", "unet_bn.onnx", "ports.onnx"} {
		good := file(t, name)
		values := map[string][]float32{}
		for name, w := range parse(t, good).Weights() {
			values[name] = w.Values
		}
		same, err := onnx.WithWeights(good, values)
		if err != nil || !bytes.Equal(same, good) {
			t.Errorf("%s: its own weights change it, error %v", name, err)
		}
	}
}

// modelOf wraps an initializer's message in a file without nodes.
func modelOf(initializers ...[]byte) []byte {
	message := func(to []byte, number protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), b)
	}
	var graph []byte
	for _, t := range initializers {
		graph = message(graph, 5, t)
	}
	return message(nil, 7, message(graph, 12, message(nil, 1, []byte("w"))))
}

// tensor encodes a float32 initializer w of three values: in raw_data, in float_data packed, or one by one.
func tensor(how string) []byte {
	out := []byte{1 << 3, 3, 2 << 3, 1, 8<<3 | 2, 1, 'w'}
	var packed []byte
	for _, v := range []float32{1, 2, 3} {
		bits := math.Float32bits(v)
		packed = binary.LittleEndian.AppendUint32(packed, bits)
		if how == "single" {
			out = protowire.AppendFixed32(protowire.AppendTag(out, 4, protowire.Fixed32Type), bits)
		}
	}
	switch how {
	case "raw":
		out = protowire.AppendBytes(protowire.AppendTag(out, 9, protowire.BytesType), packed)
	case "packed":
		out = protowire.AppendBytes(protowire.AppendTag(out, 4, protowire.BytesType), packed)
	}
	return out
}

func TestWithWeightsFindsValuesHoweverTheyAreStored(t *testing.T) {
	for _, how := range []string{"raw", "packed", "single"} {
		made, err := onnx.WithWeights(modelOf(tensor(how)), map[string][]float32{"w": {4, 5, 6}})
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, made).Weights()["w"].Values; !cmp.Equal(got, []float32{4, 5, 6}) {
			t.Errorf("%s: got %v", how, got)
		}
	}
}

func TestWithWeightsRefusesWhatDoesNotFit(t *testing.T) {
	good := build(t, affine())
	ints := onnx.NewBuilder("ints")
	ints.Ints("w", 1, 2)
	ints.Output(ints.Input("x", onnx.Fixed(1)), onnx.Fixed(1))
	for _, c := range []struct {
		name   string
		file   []byte
		values map[string][]float32
		say    string
	}{
		{"an unknown name", good, map[string][]float32{"fc.wait": {1}}, `no initializer "fc.wait"`},
		{"a value too few", good, map[string][]float32{"fc.bias": {1, 2}}, `"fc.bias" has the dimensions [3], not 2 values`},
		{"integers", build(t, ints), map[string][]float32{"w": {1, 2}}, `"w" is int64, not float32`},
		{"a name twice", modelOf(tensor("raw"), tensor("raw")), map[string][]float32{"w": {1, 2, 3}}, `"w" stands twice`},
		{"half a file", good[:len(good)/2], nil, "cut short"},
	} {
		_, err := onnx.WithWeights(c.file, c.values)
		var refused *onnx.Error
		if !errors.As(err, &refused) || !strings.Contains(refused.Detail, c.say) {
			t.Errorf("%s: error is %v, want %q", c.name, err, c.say)
		}
	}
}

func TestMetadataIsReadSetAndRemoved(t *testing.T) {
	file := build(t, affine())
	made, err := onnx.WithMetadata(file, map[string]string{"a": "1", "cspine.seed": "8"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := onnx.Metadata(made)
	if diff := cmp.Diff(map[string]string{"a": "1", "cspine.seed": "8"}, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s, error %v", diff, err)
	}
	back, err := onnx.WithMetadata(made, map[string]string{"a": "", "cspine.seed": "7"})
	if err != nil || !bytes.Equal(back, file) {
		t.Errorf("undoing gives another file, error %v", err)
	}
	if _, err := onnx.Metadata(file[:len(file)-1]); err == nil {
		t.Error("a cut file has metadata")
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	good := build(t, affine())
	claims := tensor("raw")
	claims[1] = 4 // dimensions say four values
	huge := append([]byte{1 << 3}, protowire.AppendVarint(nil, 2_500_000_000)...)
	huge = append(huge, tensor("raw")[2:]...)
	for _, c := range []struct {
		name string
		file []byte
		say  string
	}{
		{"values missing", modelOf(claims), `constant "w" holds 3 values`},
		{"10 GB by its dimensions", modelOf(huge), "dimensions [2500000000]"},
		{"a constant twice", modelOf(tensor("raw"), tensor("raw")), `"w": the name is given twice`},
		{"an output nobody makes", modelOf(), `nothing makes the output "w"`},
		{"a value nobody makes", bytes.Replace(good, []byte("\x02fc\x12"), []byte("\x02fd\x12"), 1), `relu reads "fd"`},
	} {
		m, err := onnx.Parse(c.file)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var refused *onnx.Error
		if err := m.Check(); !errors.As(err, &refused) || !strings.Contains(refused.Detail, c.say) {
			t.Errorf("%s: error is %v, want %q", c.name, err, c.say)
		}
	}
}

func FuzzWithWeights(f *testing.F) {
	f.Add(build(f, affine()))
	for _, how := range []string{"raw", "packed", "single"} {
		f.Add(modelOf(tensor(how)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Parse(b)
		if err != nil {
			return
		}
		_ = m.Check()
		zeros := map[string][]float32{}
		for name, w := range m.Weights() {
			zeros[name] = make([]float32, len(w.Values))
		}
		made, err := onnx.WithWeights(b, zeros)
		if err != nil {
			return // a name twice, values in pieces: never what a writer makes
		}
		again, err := onnx.Parse(made)
		if err != nil {
			t.Fatal(err)
		}
		for name, w := range again.Weights() {
			for _, v := range w.Values {
				if v != 0 {
					t.Fatalf("%q is %v", name, v)
				}
			}
		}
	})
}

func FuzzInflate(f *testing.F) {
	f.Add(file(f, "ports.onnx"))
	f.Add(file(f, "unet.onnx")[:4000])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Parse(b)
		if err != nil || m.Inflate(&onnx.InflateOptions{Size: 32}) != nil {
			return
		}
		again, err := onnx.Parse(m.Bytes())
		if err != nil {
			t.Fatalf("an inflated model is not read: %v", err)
		}
		_ = again.Check()
	})
}
