package onnx_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/models/onnx"
)

// tied is a graph whose biases a and b are one initializer, as PyTorch's exporter writes equal tensors.
func tied(t *testing.T) []byte {
	t.Helper()
	g := onnx.NewBuilder("tied")
	x := g.Input("x", onnx.Fixed(2))
	a := g.Floats("a", []float32{1, 2}, 2)
	b := g.Node("Identity", "b", []string{a})
	y := g.Node("Add", "y", []string{g.Node("Add", "h", []string{x, a}), b})
	g.Output(y, onnx.Fixed(2))
	file, err := g.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUntieGivesEachItsOwnWeights(t *testing.T) {
	m := parse(t, tied(t))
	if n := m.Untie(); n != 1 {
		t.Fatalf("%d untied, want 1", n)
	}
	m = parse(t, m.Bytes())
	if diff := cmp.Diff(map[string]int{"Add": 2}, operators(m)); diff != "" {
		t.Errorf("operators (-want +got):\n%s", diff)
	}
	w := m.Weights()
	if !slices.Equal(w["a"].Values, []float32{1, 2}) || !slices.Equal(w["b"].Values, []float32{1, 2}) {
		t.Errorf("weights are %v", w)
	}
	if n := m.Untie(); n != 0 {
		t.Errorf("%d untied the second time", n)
	}
}

func TestUntieKeepsAnOutputsIdentity(t *testing.T) {
	g := onnx.NewBuilder("output")
	g.Input("x", onnx.Fixed(2))
	g.Output(g.Node("Identity", "y", []string{g.Floats("a", []float32{1, 2}, 2)}), onnx.Fixed(2))
	file, err := g.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if n := parse(t, file).Untie(); n != 0 {
		t.Errorf("%d untied", n)
	}
}

// A trained network is saved under the names that training knows.
func TestWeightsOfATiedFileAreSaved(t *testing.T) {
	file, err := onnx.WithWeights(tied(t), map[string][]float32{"a": {3, 4}, "b": {5, 6}})
	if err != nil {
		t.Fatal(err)
	}
	w := parse(t, file).Weights()
	if !slices.Equal(w["a"].Values, []float32{3, 4}) || !slices.Equal(w["b"].Values, []float32{5, 6}) {
		t.Errorf("weights are %v", w)
	}
}
