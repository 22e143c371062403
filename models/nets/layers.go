package nets

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/cspine/cspine/models/onnx"
)

// layers adds a network's layers to a graph, all with the same number of spatial axes: two for images, three for volumes. Each weight's initial values depend on the seed and on its own name
// alone, so that a change in one layer leaves the others' as they were.
type layers struct {
	*onnx.Builder
	network string
	seed    uint64
	axes    int
}

func newLayers(network string, axes int, seed uint64) *layers {
	l := &layers{Builder: onnx.NewBuilder(network), network: network, seed: seed, axes: axes}
	l.Metadata("cspine.network", network)
	l.Metadata("cspine.seed", strconv.FormatUint(seed, 10))
	return l
}

// tensor is a value of the network: a batch of squares or cubes, [N, channels, size, size] or [N, channels, size, size, size].
type tensor struct {
	name           string
	channels, size int
}

// draw returns n numbers, each made by one call of next.
func (l *layers) draw(name string, n int, next func(r *rand.Rand) float64) []float32 {
	key := sha256.Sum256(append(binary.LittleEndian.AppendUint64(nil, l.seed), name...))
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(next(r))
	}
	return values
}

// normal returns n draws of a normal distribution around zero.
func (l *layers) normal(name string, n int, deviation float64) []float32 {
	return l.draw(name, n, func(r *rand.Rand) float64 { return r.NormFloat64() * deviation })
}

// uniform returns n draws between −bound and bound.
func (l *layers) uniform(name string, n int, bound float64) []float32 {
	return l.draw(name, n, func(r *rand.Rand) float64 { return (2*r.Float64() - 1) * bound })
}

func filled(n int, v float32) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = v
	}
	return values
}

// taps is the number of a kernel's elements, or of the pixels or voxels of a square or cube.
func (l *layers) taps(edge int) int {
	n := 1
	for range l.axes {
		n *= edge
	}
	return n
}

// dims returns the given dimensions, and size for each spatial axis.
func (l *layers) dims(size int, first ...int) []int {
	for range l.axes {
		first = append(first, size)
	}
	return first
}

// each returns an attribute with v for each spatial axis.
func (l *layers) each(name string, v int) onnx.Attribute {
	return onnx.IntsAttribute(name, slices.Repeat([]int64{int64(v)}, l.axes)...)
}

// pads returns the attribute of a padding before and after each spatial axis.
func (l *layers) pads(before, after int) onnx.Attribute {
	return onnx.IntsAttribute("pads", append(slices.Repeat([]int64{int64(before)}, l.axes), slices.Repeat([]int64{int64(after)}, l.axes)...)...)
}

// window returns the attributes of a convolution or pooling with the same padding before and after.
func (l *layers) window(kernel, stride, pad int) []onnx.Attribute {
	return []onnx.Attribute{l.each("kernel_shape", kernel), l.each("strides", stride), l.pads(pad, pad)}
}

// conv adds a convolution without bias that keeps the size, or halves it with stride 2, rounding up. The weights are
// Kaiming's for ReLU by fan-out (He et al., arXiv 1502.01852), as torchvision's ResNets start.
func (l *layers) conv(name string, x tensor, channels, kernel, stride int) tensor {
	n := channels * x.channels * l.taps(kernel)
	w := l.Floats(name+".weight", l.normal(name, n, math.Sqrt(2/float64(channels*l.taps(kernel)))), l.dims(kernel, channels, x.channels)...)
	y := l.Node("Conv", name, []string{x.name, w}, l.window(kernel, stride, kernel/2)...)
	return tensor{y, channels, (x.size + stride - 1) / stride}
}

// norm adds a batch normalisation with PyTorch's defaults.
func (l *layers) norm(name string, x tensor) tensor { return l.normalise(name, x, 1e-5) }

// normalise adds a batch normalisation, which starts as PyTorch's does.
func (l *layers) normalise(name string, x tensor, epsilon float32) tensor {
	in := []string{x.name}
	for _, p := range []struct {
		role  string
		value float32
	}{{"weight", 1}, {"bias", 0}, {"running_mean", 0}, {"running_var", 1}} {
		in = append(in, l.Floats(name+"."+p.role, filled(x.channels, p.value), x.channels))
	}
	x.name = l.Node("BatchNormalization", name, in, onnx.FloatAttribute("epsilon", epsilon), onnx.FloatAttribute("momentum", 0.9))
	return x
}

func (l *layers) relu(name string, x tensor) tensor {
	x.name = l.Node("Relu", name, []string{x.name})
	return x
}

// unit is a convolution, a normalisation and a ReLU.
func (l *layers) unit(name string, x tensor, channels, kernel, stride int) tensor {
	return l.relu(name+".relu", l.norm(name+".bn", l.conv(name+".conv", x, channels, kernel, stride)))
}

func (l *layers) add(name string, x, y tensor) tensor {
	x.name = l.Node("Add", name, []string{x.name, y.name})
	return x
}

func (l *layers) concat(name string, x, y tensor) tensor {
	return tensor{l.Node("Concat", name, []string{x.name, y.name}, onnx.IntAttribute("axis", 1)), x.channels + y.channels, x.size}
}

// double repeats each voxel twice along every spatial axis.
func (l *layers) double(name string, x tensor) tensor {
	scales := l.Floats(name+".scales", append([]float32{1, 1}, filled(l.axes, 2)...), 2+l.axes)
	y := l.Node("Resize", name, []string{x.name, "", scales}, onnx.TextAttribute("mode", "nearest"),
		onnx.TextAttribute("coordinate_transformation_mode", "asymmetric"), onnx.TextAttribute("nearest_mode", "floor"))
	return tensor{y, x.channels, 2 * x.size}
}

// prior is the probability that an untrained head gives. A voxel of a neck belongs to a given vertebra about that
// often, so training need not first unlearn one half everywhere (the focal loss paper's start, arXiv 1708.02002, §4.1).
const prior = 0.02

// head adds the convolution with bias and the sigmoid that make probabilities.
func (l *layers) head(x tensor, classes, kernel int) { l.probability(l.logits(x, classes, kernel)) }

// logits adds the convolution with bias that makes logits. Its weights are small enough that the first probabilities stay near
// the prior.
func (l *layers) logits(x tensor, classes, kernel int) tensor {
	n := classes * x.channels * l.taps(kernel)
	deviation := 0.25 / math.Sqrt(float64(x.channels*l.taps(kernel)))
	w := l.Floats("head.weight", l.normal("head", n, deviation), l.dims(kernel, classes, x.channels)...)
	bias := l.Floats("head.bias", filled(classes, float32(math.Log(prior/(1-prior)))), classes)
	y := l.Node("Conv", "head", []string{x.name, w, bias}, l.window(kernel, 1, kernel/2)...)
	return tensor{y, classes, x.size}
}

// probability adds the sigmoid of logits, which is the network's output.
func (l *layers) probability(x tensor) {
	l.Output(l.Node("Sigmoid", "probability", []string{x.name}), onnx.Fixed(l.dims(x.size, 1, x.channels)...))
}
