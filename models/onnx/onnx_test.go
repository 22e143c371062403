package onnx_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/models/onnx"
)

// file reads one of the conformance suite's models, which PyTorch exported.
func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "modelstest", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, b []byte) *onnx.Model {
	t.Helper()
	m, err := onnx.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func operators(m *onnx.Model) map[string]int {
	count := map[string]int{}
	for _, o := range m.Info().Operators {
		count[o.Operator] = o.Count
	}
	return count
}

func TestInfoSaysWhatPyTorchExported(t *testing.T) {
	got := parse(t, file(t, "ports.onnx")).Info()
	want := onnx.Info{
		IRVersion: 8, Producer: "pytorch 2.7.1", Opsets: map[string]int64{"": 17}, Nodes: 6, Parameters: 154,
		Inputs:    []onnx.ValueInfo{{Name: "in0", Type: "float32", Shape: []int64{1, 2, 8, 8}}, {Name: "in1", Type: "float32", Shape: []int64{1, 3}}},
		Outputs:   []onnx.ValueInfo{{Name: "out0", Type: "float32", Shape: []int64{1, 4}}, {Name: "out1", Type: "float32", Shape: []int64{1, 6, 8, 8}}},
		Operators: []onnx.OperatorCount{{"Concat", 1}, {"Conv", 1}, {"Gemm", 1}, {"LeakyRelu", 1}, {"ReduceMean", 1}, {"Sigmoid", 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBytesKeepTheModel(t *testing.T) {
	for _, name := range []string{"unet.onnx", "unet_bn.onnx", "ports.onnx"} {
		m := parse(t, file(t, name))
		again := parse(t, m.Bytes())
		if diff := cmp.Diff(m.Info(), again.Info()); diff != "" {
			t.Errorf("%s (-first +second):\n%s", name, diff)
		}
		if !bytes.Equal(m.Bytes(), again.Bytes()) {
			t.Errorf("%s: writing twice gives other bytes", name)
		}
	}
}

// That the rewritten graphs compute the same is for the engines' conformance tests, which compare both
// with PyTorch.
func TestAccelerateReplacesUpsamplingBeforeConvolution(t *testing.T) {
	for _, name := range []string{"unet.onnx", "unet_bn.onnx"} {
		m := parse(t, file(t, name))
		before := operators(m)
		if n, want := m.Accelerate(), 3+before["BatchNormalization"]; n != want {
			t.Fatalf("%s: %d places changed, want %d", name, n, want)
		}
		m = parse(t, m.Bytes())
		after := operators(m)
		if after["ConvTranspose"] != 3 || after["Resize"] != 0 || after["Concat"] != 0 {
			t.Errorf("%s: operators are %v", name, after)
		}
		if after["BatchNormalization"] != 0 {
			t.Errorf("%s: %d normalisations left", name, after["BatchNormalization"])
		}
		if n := m.Accelerate(); n != 0 {
			t.Errorf("%s: a second time changes %d places", name, n)
		}
	}
}

func TestWhatIsNotUnderstoodStays(t *testing.T) {
	good := file(t, "unet.onnx")
	for _, c := range []struct {
		name     string
		from, to string
		changed  int
	}{
		{"nothing replaced", "nearest", "nearest", 3},
		{"linear upsampling", "nearest", "linearr", 0},
		{"another rounding of coordinates", "floor", "ceill", 0},
		{"another grid", "asymmetric", "half_pixel", 0}, // with floor: not a doubling
		{"another padding", "Concat", "Concut", 1},      // only the upsampling that no Concat follows is left
	} {
		b := bytes.ReplaceAll(good, []byte(c.from), []byte(c.to))
		if c.name == "another rounding of coordinates" && bytes.Equal(b, good) {
			t.Fatal("nothing to replace")
		}
		m := parse(t, b)
		if n := m.Accelerate(); n != c.changed {
			t.Errorf("%s: %d places changed, want %d", c.name, n, c.changed)
		}
	}
	if m := parse(t, file(t, "ports.onnx")); m.Accelerate() != 0 || m.SumInputChannels() {
		t.Error("a model with two inputs and no upsampling was changed")
	}
}

func TestSumInputChannelsNarrowsTheInput(t *testing.T) {
	m := parse(t, file(t, "unet.onnx"))
	params := m.Info().Parameters
	if !m.SumInputChannels() {
		t.Fatal("refused")
	}
	info := parse(t, m.Bytes()).Info()
	if !cmp.Equal(info.Inputs[0].Shape, []int64{1, 1, 16, 16, 16}) || info.Parameters != params-2*8*27 {
		t.Errorf("input %v, %d parameters of %d", info.Inputs[0].Shape, info.Parameters, params)
	}
	if m.SumInputChannels() {
		t.Error("one channel can't be narrowed")
	}
}

func TestRefusesWhatIsNoModel(t *testing.T) {
	good := file(t, "unet.onnx")
	for name, b := range map[string][]byte{
		"empty": nil, "text": []byte("<html>Not Found</html>"), "half": good[:len(good)/2], "all but a byte": good[:len(good)-1],
		"no graph": good[:2], "zeros": make([]byte, 100),
	} {
		var refused *onnx.Error
		if _, err := onnx.Parse(b); !errors.As(err, &refused) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
