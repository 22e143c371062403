package nets

import (
	"fmt"
	"math"

	"github.com/cspine/cspine/models/onnx"
)

// EfficientNetV2S is timm's tf_efficientnetv2_s (Tan & Le, arXiv 2104.00298), the variant with TensorFlow's padding, which puts
// the odd pixel behind. Stochastic depth is left out.
var EfficientNetV2S = Encoder{
	name:   "efficientnetv2s",
	levels: efficientNetV2S,
	vector: func(l *layers, x tensor) vector {
		return l.average(efficientNet{l}.unit("encoder.conv_head", "encoder.bn2", efficientNetV2S(l, x, 5)[4], 1280, 1, 1))
	},
}

func efficientNetV2S(l *layers, x tensor, levels int) []tensor {
	e := efficientNet{l}
	x = e.unit("encoder.conv_stem", "encoder.bn1", x, 24, 3, 2)
	var features []tensor
	for i, s := range []struct {
		block                             func(name string, x tensor, channels, stride, expand int) tensor
		repeats, channels, stride, expand int
		level                             bool // its output is a feature
	}{
		{e.plain, 2, 24, 1, 1, true},
		{e.fused, 4, 48, 2, 4, true},
		{e.fused, 4, 64, 2, 4, true},
		{e.inverted, 6, 128, 2, 4, false},
		{e.inverted, 9, 160, 1, 6, true},
		{e.inverted, 15, 256, 2, 6, true},
	} {
		for k := range s.repeats {
			stride := s.stride
			if k > 0 {
				stride = 1
			}
			x = s.block(fmt.Sprintf("encoder.blocks.%d.%d", i, k), x, s.channels, stride, s.expand)
		}
		if s.level {
			features = append(features, x)
		}
		if len(features) == levels {
			break
		}
	}
	return features
}

// efficientNet adds EfficientNet's blocks.
type efficientNet struct{ *layers }

// plain is a convolution with a shortcut.
func (e efficientNet) plain(name string, x tensor, channels, stride, _ int) tensor {
	return e.shortcut(name, e.unit(name+".conv", name+".bn1", x, channels, 3, stride), x)
}

// fused is Fused-MBConv: a full convolution that widens, and a pointwise one that narrows.
func (e efficientNet) fused(name string, x tensor, channels, stride, expand int) tensor {
	y := e.unit(name+".conv_exp", name+".bn1", x, expand*x.channels, 3, stride)
	return e.shortcut(name, e.norm(name+".bn2", e.same(name+".conv_pwl", y, channels, 1, 1, 1)), x)
}

// inverted is MBConv: widen, a depthwise convolution, squeeze and excite, narrow.
func (e efficientNet) inverted(name string, x tensor, channels, stride, expand int) tensor {
	wide := expand * x.channels
	y := e.unit(name+".conv_pw", name+".bn1", x, wide, 1, 1)
	y = e.silu(name+".act2", e.norm(name+".bn2", e.same(name+".conv_dw", y, wide, 3, stride, wide)))
	y = e.excite(name+".se", y, x.channels/4)
	return e.shortcut(name, e.norm(name+".bn3", e.same(name+".conv_pwl", y, channels, 1, 1, 1)), x)
}

// excite weighs channels by what the whole image or volume holds (squeeze and excitation, Hu et al., arXiv 1709.01507).
func (e efficientNet) excite(name string, x tensor, reduced int) tensor {
	mean := tensor{e.Node("GlobalAveragePool", name+".mean", []string{x.name}), x.channels, 1}
	y := e.silu(name+".act1", e.biased(name+".conv_reduce", mean, reduced))
	y.name = e.Node("Sigmoid", name+".gate", []string{e.biased(name+".conv_expand", y, x.channels).name})
	x.name = e.Node("Mul", name, []string{x.name, y.name})
	return x
}

func (e efficientNet) shortcut(name string, y, x tensor) tensor {
	if y.channels == x.channels && y.size == x.size {
		return e.add(name+".add", y, x)
	}
	return y
}

func (e efficientNet) unit(conv, norm string, x tensor, channels, kernel, stride int) tensor {
	return e.silu(norm+".act", e.norm(norm, e.same(conv, x, channels, kernel, stride, 1)))
}

// norm is a batch normalisation with TensorFlow's epsilon.
func (e efficientNet) norm(name string, x tensor) tensor { return e.normalise(name, x, 1e-3) }

func (e efficientNet) silu(name string, x tensor) tensor {
	gate := e.Node("Sigmoid", name+".sigmoid", []string{x.name})
	x.name = e.Node("Mul", name, []string{x.name, gate})
	return x
}

// same is a convolution with TensorFlow's padding, of which the larger half is behind.
func (e efficientNet) same(name string, x tensor, channels, kernel, stride, group int) tensor {
	size := (x.size + stride - 1) / stride
	pad := max((size-1)*stride+kernel-x.size, 0)
	n := channels * (x.channels / group) * e.taps(kernel)
	deviation := math.Sqrt(2 / float64(channels/group*e.taps(kernel)))
	w := e.Floats(name+".weight", e.normal(name, n, deviation), e.dims(kernel, channels, x.channels/group)...)
	y := e.Node("Conv", name, []string{x.name, w}, e.each("kernel_shape", kernel), e.each("strides", stride), e.pads(pad/2, pad-pad/2), onnx.IntAttribute("group", int64(group)))
	return tensor{y, channels, size}
}

// biased is a pointwise convolution with a bias.
func (e efficientNet) biased(name string, x tensor, channels int) tensor {
	w := e.Floats(name+".weight", e.normal(name, channels*x.channels, math.Sqrt(2/float64(channels))), e.dims(1, channels, x.channels)...)
	bias := e.Floats(name+".bias", make([]float32, channels), channels)
	y := e.Node("Conv", name, []string{x.name, w, bias}, e.window(1, 1, 0)...)
	return tensor{y, channels, x.size}
}
