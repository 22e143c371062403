package nets

import (
	"fmt"
	"math"

	"github.com/cspine/cspine/models/onnx"
)

// vector is a value of the network without spatial axes: [rows, width], or of a sequence [steps, rows, width].
type vector struct {
	name  string
	width int
}

// average takes the mean of each channel.
func (l *layers) average(x tensor) vector {
	return l.flat(tensor{l.Node("GlobalAveragePool", x.name+".average", []string{x.name}), x.channels, 1})
}

// largest takes the maximum of each channel.
func (l *layers) largest(x tensor) vector {
	return l.flat(tensor{l.Node("GlobalMaxPool", x.name+".largest", []string{x.name}), x.channels, 1})
}

// flat drops the spatial axes of a tensor that has one pixel.
func (l *layers) flat(x tensor) vector {
	return vector{l.Node("Flatten", x.name+".flat", []string{x.name}, onnx.IntAttribute("axis", 1)), x.channels}
}

func (l *layers) joined(name string, x, y vector) vector {
	return vector{l.Node("Concat", name, []string{x.name, y.name}, onnx.IntAttribute("axis", -1)), x.width + y.width}
}

// reshape gives a value another shape. 0 keeps a dimension, and −1 is what is left.
func (l *layers) reshape(name, x string, dims ...int64) string {
	return l.Node("Reshape", name, []string{x, l.Ints(name+".shape", dims...)})
}

func (l *layers) transpose(name, x string, axes ...int64) string {
	return l.Node("Transpose", name, []string{x}, onnx.IntsAttribute("perm", axes...))
}

// linear adds a matrix product and a bias for [rows, width], which start as PyTorch's do: uniform to 1/√width.
func (l *layers) linear(name string, x vector, width int) vector {
	bound := 1 / math.Sqrt(float64(x.width))
	w := l.Floats(name+".weight", l.uniform(name+".weight", width*x.width, bound), width, x.width)
	bias := l.Floats(name+".bias", l.uniform(name+".bias", width, bound), width)
	return vector{l.Node("Gemm", name, []string{x.name, w, bias}, onnx.IntAttribute("transB", 1)), width}
}

// lstm adds layers of bidirectional long short-term memories, each of which reads the one before: [steps, rows, width] becomes
// [steps, rows, 2·hidden]. Weights start as PyTorch's do: uniform to 1/√hidden.
func (l *layers) lstm(name string, x vector, hidden, depth int) vector {
	bound := 1 / math.Sqrt(float64(hidden))
	for i := range depth {
		layer := fmt.Sprintf("%s.%d", name, i)
		in := []string{x.name}
		for _, p := range []struct {
			role string
			dims []int
		}{{"weight", []int{2, 4 * hidden, x.width}}, {"recurrent", []int{2, 4 * hidden, hidden}}, {"bias", []int{2, 8 * hidden}}} {
			n := 1
			for _, d := range p.dims {
				n *= d
			}
			in = append(in, l.Floats(layer+"."+p.role, l.uniform(layer+"."+p.role, n, bound), p.dims...))
		}
		y := l.Node("LSTM", layer, in, onnx.IntAttribute("hidden_size", int64(hidden)), onnx.TextAttribute("direction", "bidirectional"))
		y = l.transpose(layer+".together", y, 0, 2, 1, 3) // [steps, rows, directions, hidden]
		x = vector{l.reshape(layer+".joined", y, 0, 0, -1), 2 * hidden}
	}
	return x
}
