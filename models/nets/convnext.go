package nets

import (
	"fmt"
	"math"

	"github.com/cspine/cspine/models/onnx"
)

// ConvNeXtNano is timm's convnext_nano (Liu et al., arXiv 2201.03545, with fewer and narrower blocks), whose pointwise layers are
// convolutions. Stochastic depth is left out.
var ConvNeXtNano = Encoder{name: "convnext-nano", vector: func(l *layers, x tensor) vector {
	c := convNeXt{l}
	x = c.channelNorm("encoder.stem.1", c.conv("encoder.stem.0", x, 80, 4, 1))
	for i, s := range []struct{ channels, blocks int }{{80, 2}, {160, 2}, {320, 8}, {640, 2}} {
		stage := fmt.Sprintf("encoder.stages.%d", i)
		if i > 0 {
			x = c.conv(stage+".downsample.1", c.channelNorm(stage+".downsample.0", x), s.channels, 2, 1)
		}
		for k := range s.blocks {
			x = c.block(fmt.Sprintf("%s.blocks.%d", stage, k), x)
		}
	}
	y := l.average(x)
	y.name = c.layerNorm("encoder.head.norm", y.name, y.width)
	return y
}}

// convNeXt adds ConvNeXt's blocks.
type convNeXt struct{ *layers }

// block mixes pixels channel by channel, and then channels pixel by pixel in four times the width. What comes out is scaled by a
// learned factor for each channel, which starts near nothing.
func (c convNeXt) block(name string, x tensor) tensor {
	y := c.channelNorm(name+".norm", c.depthwise(name+".conv_dw", x, 7))
	y = c.gelu(name+".mlp.act", c.conv(name+".mlp.fc1", y, 4*x.channels, 1, 1))
	y = c.conv(name+".mlp.fc2", y, x.channels, 1, 1)
	// [C] for the weight's name to be timm's in shape too; a graph wants [C,1,1].
	gamma := c.Floats(name+".gamma", filled(x.channels, 1e-6), x.channels)
	y.name = c.Node("Mul", name+".scale", []string{y.name, c.reshape(name+".gamma.wide", gamma, int64(x.channels), 1, 1)})
	return c.add(name+".add", y, x)
}

// conv is a convolution with bias, whose stride is its kernel's size, so that it reads each pixel once; the padding is none.
func (c convNeXt) conv(name string, x tensor, channels, kernel, group int) tensor {
	return c.biased(name, x, channels, kernel, kernel, 0, group)
}

func (c convNeXt) depthwise(name string, x tensor, kernel int) tensor {
	return c.biased(name, x, x.channels, kernel, 1, kernel/2, x.channels)
}

func (c convNeXt) biased(name string, x tensor, channels, kernel, stride, pad, group int) tensor {
	w := c.Floats(name+".weight", c.normal(name, channels*(x.channels/group)*c.taps(kernel), .02), c.dims(kernel, channels, x.channels/group)...)
	bias := c.Floats(name+".bias", make([]float32, channels), channels)
	y := c.Node("Conv", name, []string{x.name, w, bias}, append(c.window(kernel, stride, pad), onnx.IntAttribute("group", int64(group)))...)
	return tensor{y, channels, (x.size+2*pad-kernel)/stride + 1}
}

// channelNorm normalises the channels of each pixel.
func (c convNeXt) channelNorm(name string, x tensor) tensor {
	last, first := []int64{0}, []int64{0, int64(c.axes + 1)}
	for i := range int64(c.axes) {
		last, first = append(last, i+2), append(first, i+1)
	}
	y := c.layerNorm(name, c.transpose(name+".last", x.name, append(last, 1)...), x.channels)
	x.name = c.transpose(name+".first", y, first...)
	return x
}

// layerNorm normalises over the last axis (Ba et al., arXiv 1607.06450).
func (c convNeXt) layerNorm(name, x string, width int) string {
	in := []string{x, c.Floats(name+".weight", filled(width, 1), width), c.Floats(name+".bias", make([]float32, width), width)}
	return c.Node("LayerNormalization", name, in, onnx.IntAttribute("axis", -1), onnx.FloatAttribute("epsilon", 1e-6))
}

// gelu is x·½·(1 + erf(x/√2)).
func (c convNeXt) gelu(name string, x tensor) tensor {
	number := func(role string, v float32) string {
		return c.Node("Constant", name+role, nil, onnx.FloatAttribute("value_float", v))
	}
	e := c.Node("Erf", name+".erf", []string{c.Node("Div", name+".over", []string{x.name, number(".root2", math.Sqrt2)})})
	y := c.Node("Mul", name+".product", []string{x.name, c.Node("Add", name+".plus", []string{e, number(".one", 1)})})
	x.name = c.Node("Mul", name, []string{y, number(".half", .5)})
	return x
}
