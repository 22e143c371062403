package nets_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/models/onnx"
)

// random is a deterministic stand-in for weights: odd values between −½ and ½.
func random(n, seed int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32((i+seed)*7919%257)/256 - .5
	}
	return v
}

// flatNet builds a network of images [1,2,size,size] with what encoders and decoders have. Outputs: "map" [1,3,size,size], and
// "vector" [1,4], which is not affected by borders along the new axis where pointwise is set: its branch then has kernels of one.
func flatNet(t *testing.T, size int) []byte {
	t.Helper()
	b := onnx.NewBuilder("flat")
	pair := func(name string, v int64) onnx.Attribute { return onnx.IntsAttribute(name, v, v) }
	pads := func(begin, end int64) onnx.Attribute { return onnx.IntsAttribute("pads", begin, begin, end, end) }
	conv := func(name, x string, in, out, kernel int, attributes ...onnx.Attribute) string {
		w := b.Floats(name+".weight", random(out*in*kernel*kernel, len(name)), out, in, kernel, kernel)
		return b.Node("Conv", name, []string{x, w, b.Floats(name+".bias", random(out, 3), out)}, attributes...)
	}
	x := b.Input("image", onnx.Fixed(1, 2, size, size))
	y := conv("conv1", x, 2, 4, 3, pair("kernel_shape", 3), pair("strides", 2), pads(0, 1)) // TensorFlow's padding
	// Pads that nodes compute: one before an image of an even size, from its shape.
	rows := b.Node("Gather", "rows", []string{b.Node("Shape", "shape", []string{y}), b.Ints("two", 2)})
	even := b.Node("Sub", "even", []string{b.Ints("one", 1), b.Node("Mod", "odd", []string{rows, "two"})})
	y = b.Node("Pad", "pad", []string{y, b.Node("Mul", "padding", []string{even, b.Ints("before", 0, 0, 1, 1, 0, 0, 0, 0)})})
	for _, p := range []string{"scale", "shift", "mean"} {
		b.Floats("bn."+p, random(4, len(p)), 4)
	}
	b.Floats("bn.var", []float32{.5, 1, 2, 4}, 4)
	y = conv("conv3", y, 4, 4, 2)
	skip := b.Node("BatchNormalization", "bn", []string{y, "bn.scale", "bn.shift", "bn.mean", "bn.var"})
	y = b.Node("MaxPool", "maxpool", []string{skip}, pair("kernel_shape", 3), pair("strides", 2), pads(1, 1))
	short := b.Node("AveragePool", "avgpool", []string{skip}, pair("kernel_shape", 2), pair("strides", 2), onnx.IntAttribute("ceil_mode", 1))
	y = b.Node("Relu", "relu", []string{b.Node("Add", "add", []string{conv("conv2", y, 4, 4, 3, pads(1, 1)), short})})
	y = b.Node("Mul", "layerscale", []string{y, b.Floats("gamma", random(4, 9), 4, 1, 1)})
	gate := b.Node("Sigmoid", "gate", []string{conv("excite", b.Node("GlobalAveragePool", "squeeze", []string{x}), 2, 4, 1)})
	y = b.Node("Mul", "gated", []string{y, gate})
	scales := b.Floats("scales", []float32{1, 1, 2, 2}, 4)
	y = b.Node("Resize", "up", []string{y, "", scales}, onnx.TextAttribute("mode", "nearest"),
		onnx.TextAttribute("coordinate_transformation_mode", "asymmetric"), onnx.TextAttribute("nearest_mode", "floor"))
	y = b.Node("Concat", "join", []string{y, skip}, onnx.IntAttribute("axis", -3))
	y = b.Node("ConvTranspose", "transposed", []string{y, b.Floats("transposed.weight", random(8*4*16, 1), 8, 4, 4, 4)}, pair("strides", 2), pads(1, 1))
	b.Output(b.Node("Sigmoid", "map", []string{conv("last", y, 4, 3, 3, pads(1, 1))}), onnx.Fixed(1, 3, size, size))

	z := b.Node("Relu", "z", []string{conv("point", x, 2, 5, 1)})
	z = b.Node("ReduceMean", "average", []string{z}, onnx.IntsAttribute("axes", -2, -1), onnx.IntAttribute("keepdims", 0))
	b.Output(b.Node("Gemm", "vector", []string{z, b.Floats("fc", random(20, 2), 5, 4)}), onnx.Fixed(1, 4))
	file, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func inflated(t *testing.T, file []byte, opts nets.InflateOptions) []byte {
	t.Helper()
	made, err := nets.Inflate(file, opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := models.Info(made); err != nil {
		t.Fatal(err)
	}
	return made
}

func infer(t *testing.T, file []byte, in []float32) [][]float32 {
	t.Helper()
	net, err := gorgonia.New().Compile(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	var out [][]float32
	for _, p := range net.Outputs() {
		out = append(out, make([]float32, p.Len()))
	}
	if err := net.Infer(t.Context(), [][]float32{in}, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestInflatedActivationsEqualTheImages gives a volume whose slices are all the image, and looks at its middle slice.
func TestInflatedActivationsEqualTheImages(t *testing.T) {
	const size = 48
	flat := flatNet(t, size)
	image := random(2*size*size, 5)
	var volume []float32
	for _, v := range image {
		for range size {
			volume = append(volume, v)
		}
	}
	want, got := infer(t, flat, image), infer(t, inflated(t, flat, nets.InflateOptions{}), volume)
	for i, w := range want[0] {
		if g := got[0][i*size+size/2]; math.Abs(float64(g-w)) > 2e-6 {
			t.Fatalf("map: value %d is %g in the volume, %g in the image", i, g, w)
		}
	}
	for i, w := range want[1] {
		if g := got[1][i]; math.Abs(float64(g-w)) > 2e-6 {
			t.Fatalf("vector: value %d is %g in the volume, %g in the image", i, g, w)
		}
	}
}

func TestUndividedKernelsAreRepeatedAsTheyAre(t *testing.T) {
	flat := flatNet(t, 16)
	weights := func(file []byte, name string) onnx.Weight {
		m, err := onnx.Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		return m.Weights()[name]
	}
	for name, edge := range map[string]int{"conv1.weight": 3, "excite.weight": 1, "transposed.weight": 4} {
		old, made := weights(flat, name), weights(inflated(t, flat, nets.InflateOptions{Undivided: true}), name)
		if len(made.Dims) != 5 || made.Dims[4] != int64(edge) {
			t.Fatalf("%s has the dimensions %v", name, made.Dims)
		}
		for i, v := range made.Values {
			if v != old.Values[i/edge] {
				t.Fatalf("%s: value %d is %g, the image's %g", name, i, v, old.Values[i/edge])
			}
		}
	}
}

func TestInflateTakesTheSizeAskedFor(t *testing.T) {
	m, err := onnx.Parse(inflated(t, flatNet(t, 64), nets.InflateOptions{Size: 32}))
	if err != nil {
		t.Fatal(err)
	}
	in, out := m.Graph.Inputs[0].Shape, m.Graph.Outputs
	if len(in) != 5 || in[2] != 32 || in[4] != 32 || len(out[0].Shape) != 5 || out[0].Shape[4] != 32 || len(out[1].Shape) != 2 {
		t.Errorf("input %v, outputs %v", in, out)
	}
}

func TestInflateRefusesByTheNodesName(t *testing.T) {
	type build func(b *onnx.Builder, x string) string
	one := func(op string, extra []string, attributes ...onnx.Attribute) build {
		return func(b *onnx.Builder, x string) string {
			return b.Node(op, "odd", append([]string{x}, extra...), attributes...)
		}
	}
	for name, c := range map[string]struct {
		make build
		say  string
	}{
		"an operator whose meaning changes": {one("DepthToSpace", nil, onnx.IntAttribute("blocksize", 2)), "not known"},
		"shape arithmetic":                  {one("Shape", nil), "would change"},
		"a transposed image":                {one("Transpose", nil, onnx.IntsAttribute("perm", 0, 2, 3, 1)), "not known"},
		"a pool longer one way":             {one("MaxPool", nil, onnx.IntsAttribute("kernel_shape", 2, 3)), "kernel_shape is [2 3]"},
		"pads that differ":                  {one("AveragePool", nil, onnx.IntsAttribute("kernel_shape", 2, 2), onnx.IntsAttribute("pads", 0, 1, 0, 1)), "pads are [0 1 0 1]"},
		"joined along rows":                 {one("Concat", nil, onnx.IntAttribute("axis", 2)), "along rows or columns"},
		"flattened pixels":                  {one("Flatten", nil), "more than a pixel"},
		"reduced rows":                      {one("ReduceMean", nil, onnx.IntsAttribute("axes", 2)), "reduces the axes [2]"},
		"a kernel longer one way": {func(b *onnx.Builder, x string) string {
			return b.Node("Conv", "odd", []string{x, b.Floats("w", random(2*2*3, 1), 2, 2, 1, 3)})
		}, "1 by 3"},
		"weights that are computed": {func(b *onnx.Builder, x string) string {
			w := b.Node("Neg", "neg", []string{b.Floats("w", random(4, 1), 2, 2, 1, 1)})
			return b.Node("Conv", "odd", []string{x, w})
		}, "not constant"},
		"a kernel that is no multiple of its stride": {func(b *onnx.Builder, x string) string {
			return b.Node("ConvTranspose", "odd", []string{x, b.Floats("w", random(2*2*9, 1), 2, 2, 3, 3)}, onnx.IntsAttribute("strides", 2, 2))
		}, "no multiple of its stride"},
		"a constant that differs between columns": {func(b *onnx.Builder, x string) string {
			return b.Node("Add", "odd", []string{x, b.Floats("w", random(8, 1), 8)})
		}, "differs between rows or columns"},
		"cubic interpolation": {func(b *onnx.Builder, x string) string {
			return b.Node("Resize", "odd", []string{x, "", b.Floats("s", []float32{1, 1, 2, 2}, 4)}, onnx.TextAttribute("mode", "cubic"))
		}, "cubic"},
	} {
		b := onnx.NewBuilder("odd")
		b.Output(c.make(b, b.Input("image", onnx.Fixed(1, 2, 8, 8))), onnx.Fixed(1, 2, 8, 8))
		file, err := b.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		var refused *models.Error
		if _, err := nets.Inflate(file, nets.InflateOptions{}); !errors.As(err, &refused) || refused.Code != models.CodeUnsupported ||
			!strings.Contains(refused.Detail, "node odd (") || !strings.Contains(refused.Detail, c.say) {
			t.Errorf("%s: error is %v, want %q", name, err, c.say)
		}
	}
	b := onnx.NewBuilder("volume")
	b.Output(b.Input("volume", onnx.Fixed(1, 2, 8, 8, 8)), onnx.Fixed(1, 2, 8, 8, 8))
	file, _ := b.Bytes()
	if _, err := nets.Inflate(file, nets.InflateOptions{}); err == nil {
		t.Error("a volume was inflated")
	}
}
