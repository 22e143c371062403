package onnx_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/models/onnx"
)

// image builds a network of images with three channels: a padding, a 1x1 convolution with the weights 1 to 6, and what then adds to it.
func image(batch int, then func(b *onnx.Builder, y string) string) *onnx.Builder {
	b := onnx.NewBuilder("image")
	x := b.Input("x", onnx.Fixed(batch, 3, 4, 4))
	x = b.Node("Pad", "pad", []string{x, b.Ints("pads", 0, 0, 1, 1, 0, 0, 0, 0)})
	y := b.Node("Conv", "conv", []string{x, b.Floats("conv.weight", []float32{1, 2, 3, 4, 5, 6}, 2, 3, 1, 1)})
	if then != nil {
		y = then(b, y)
	}
	b.Output(y, onnx.Fixed(batch, 2, 5, 5))
	return b
}

// TestChannelsAreRepeatedAndScaled: as timm's adapt_input_conv, whose weights of six channels are those of three, twice, halved.
func TestChannelsAreRepeatedAndScaled(t *testing.T) {
	for channels, want := range map[int][]float32{
		3: {1, 2, 3, 4, 5, 6},
		4: {.75, 1.5, 2.25, .75, 3, 3.75, 4.5, 3},
		6: {.5, 1, 1.5, .5, 1, 1.5, 2, 2.5, 3, 2, 2.5, 3},
	} {
		m := parse(t, build(t, image(1, nil)))
		if err := m.RepeatInputChannels(channels); err != nil {
			t.Fatal(err)
		}
		m, err := onnx.Parse(m.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		w := m.Weights()["conv.weight"]
		if diff := cmp.Diff(want, w.Values); diff != "" || w.Dims[1] != int64(channels) || m.Graph.Inputs[0].Shape[1] != int64(channels) {
			t.Errorf("%d channels: %v, input %v: %s", channels, w.Dims, m.Graph.Inputs[0].Shape, diff)
		}
	}
}

// TestASharedWeightIsRepeatedForTheInputAlone: another convolution that reads it keeps it as it was.
func TestASharedWeightIsRepeatedForTheInputAlone(t *testing.T) {
	b := onnx.NewBuilder("shared")
	w := b.Floats("w", []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 3, 3, 1, 1)
	y := b.Node("Conv", "first", []string{b.Input("x", onnx.Fixed(1, 3, 4, 4)), w})
	b.Output(b.Node("Conv", "second", []string{y, w}), onnx.Fixed(1, 3, 4, 4))
	m := parse(t, build(t, b))
	if err := m.RepeatInputChannels(6); err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	all := m.Weights()
	if len(all["w"].Values) != 9 || len(all["first/weight"].Values) != 18 {
		t.Errorf("weights %v", all)
	}
}

func TestReshapesByConstantsLoseTheirBatchOfOne(t *testing.T) {
	for name, c := range map[string]struct{ shape, want []int64 }{
		"a rest":       {[]int64{1, -1}, []int64{0, -1}},
		"no rest":      {[]int64{1, 2, 25}, []int64{-1, 2, 25}},
		"other batch":  {[]int64{2, -1}, []int64{2, -1}},
		"free already": {[]int64{-1, 50}, []int64{-1, 50}},
	} {
		m := parse(t, build(t, image(1, func(b *onnx.Builder, y string) string {
			gamma := b.Node("Reshape", "wide", []string{b.Floats("gamma", []float32{1, 2}, 2), b.Ints("wide.shape", 1, 2, 1, 1)}) // not of the batch
			y = b.Node("Mul", "scaled", []string{y, gamma})
			return b.Node("Reshape", "flat", []string{y, b.Ints("flat.shape", c.shape...)})
		})))
		if err := m.OpenBatch(); err != nil {
			t.Fatal(err)
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		shapes := map[string][]int64{}
		constants := map[string][]int64{}
		for _, w := range m.Graph.Initializers {
			constants[w.Name], _ = w.Int64s()
		}
		for _, n := range m.Graph.Nodes {
			if n.Op == "Reshape" {
				shapes[n.Name] = constants[n.Inputs[1]]
			}
		}
		if diff := cmp.Diff(map[string][]int64{"wide": {1, 2, 1, 1}, "flat": c.want}, shapes); diff != "" || m.Graph.Inputs[0].Shape[0] != -1 {
			t.Errorf("%s: input %v: %s", name, m.Graph.Inputs[0].Shape, diff)
		}
	}
}

func TestGraftPutsAModelBehindAPrefix(t *testing.T) {
	m := parse(t, build(t, image(1, func(b *onnx.Builder, y string) string {
		return b.Node("Resize", "resize", []string{y, "", b.Floats("scales", []float32{1, 1, 2, 2}, 4)}, onnx.TextAttribute("mode", "nearest"))
	})))
	b := onnx.NewBuilder("outer")
	x := b.Input("x", onnx.Fixed(1, 3, 4, 4)) // the same name as inside
	y := b.Node("Relu", "pad", []string{x})   // and this
	outputs := b.Graft(m, "inner.", y)
	b.Output(outputs[0], onnx.Fixed(1, 2, 10, 10))
	made := parse(t, build(t, b))
	if err := made.Check(); err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for _, n := range made.Graph.Nodes {
		nodes = append(nodes, n.Op+" "+n.Name+": "+strings.Join(n.Inputs, ",")+" -> "+strings.Join(n.Outputs, ","))
	}
	want := []string{"Relu pad: x -> pad", "Pad inner.pad: pad,inner.pads -> inner.pad", "Conv inner.conv: inner.pad,inner.conv.weight -> inner.conv",
		"Resize inner.resize: inner.conv,,inner.scales -> inner.resize"}
	if diff := cmp.Diff(want, nodes); diff != "" {
		t.Error(diff)
	}
	if a, ok := made.Graph.Nodes[3].Attribute("mode"); !ok || a.String != "nearest" {
		t.Errorf("the attribute is %+v", a)
	}
	if v := made.Weights()["inner.conv.weight"].Values; len(v) != 6 || v[5] != 6 {
		t.Errorf("the weight is %v", v)
	}
}

func TestWhatCannotBeAdaptedIsRefusedByItsName(t *testing.T) {
	relu := func() *onnx.Builder {
		b := onnx.NewBuilder("relu")
		b.Output(b.Node("Relu", "first", []string{b.Input("x", onnx.Fixed(1, 3, 4, 4))}), onnx.Fixed(1, 3, 4, 4))
		return b
	}
	for name, c := range map[string]struct {
		model *onnx.Builder
		do    func(m *onnx.Model) error
		say   string
	}{
		"an image that is not convolved": {relu(), func(m *onnx.Model) error { return m.RepeatInputChannels(6) }, "node first (Relu) reads the image"},
		"fewer channels":                 {image(1, nil), func(m *onnx.Model) error { return m.RepeatInputChannels(2) }, "has 3 channels, which can't become 2"},
		"a batch of four":                {image(4, nil), (*onnx.Model).OpenBatch, "a batch of 4"},
		"zeros that mean nothing": {image(1, func(b *onnx.Builder, y string) string {
			return b.Node("Reshape", "flat", []string{y, b.Ints("shape", 1, -1)}, onnx.IntAttribute("allowzero", 1))
		}), (*onnx.Model).OpenBatch, "node flat (Reshape) has allowzero"},
	} {
		var refused *onnx.Error
		if err := c.do(parse(t, build(t, c.model))); !errors.As(err, &refused) || !strings.Contains(refused.Detail, c.say) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func FuzzGraft(f *testing.F) {
	f.Add(build(f, image(1, nil)))
	f.Add(build(f, image(1, func(b *onnx.Builder, y string) string {
		return b.Node("Reshape", "flat", []string{y, b.Ints("shape", 1, -1)})
	})))
	f.Add(file(f, "ports.onnx"))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		m, err := onnx.Parse(bytes)
		if err != nil || m.Check() != nil || m.OpenBatch() != nil || m.RepeatInputChannels(6) != nil {
			return
		}
		b := onnx.NewBuilder("outer")
		outputs := b.Graft(m, "inner.", b.Input("crops", onnx.Fixed(1, 6, 8, 8)))
		for _, name := range outputs {
			b.Output(name, nil)
		}
		made, err := b.Bytes()
		if err != nil {
			return
		}
		again, err := onnx.Parse(made)
		if err != nil {
			t.Fatalf("a grafted model is not read: %v", err)
		}
		if err := again.Check(); err != nil {
			t.Fatalf("a grafted model is not whole: %v", err)
		}
	})
}
