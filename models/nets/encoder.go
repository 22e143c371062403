package nets

import (
	"fmt"
	"strings"

	"github.com/cspine/cspine/models/onnx"
)

// Encoder is the part of a network that turns images, or volumes, into features: one of Encoders, or Imported. The zero value is none.
type Encoder struct {
	name string
	// levels returns n features of a U-Net's, largest first, each half the size of the one before. It is nil where the encoder
	// makes only vectors.
	levels func(l *layers, x tensor, n int) []tensor
	// vector returns the features of each image as a whole.
	vector   func(l *layers, x tensor) vector
	imported *imported // or nil
	// size and hidden are a classifier's own, where not zero.
	size, hidden int
	// shortcut adds to a slice's logit what the largest features of all slices of its vertebra say.
	shortcut bool
}

// Name is the word that users choose it by.
func (e Encoder) Name() string { return e.name }

// Encoders are those that a classifier can have.
var Encoders = []Encoder{Small, ResNet18d, EfficientNetV2S, ConvNeXtNano}

// FindEncoder returns the encoder with a name of Encoders. The error lists them.
func FindEncoder(name string) (Encoder, error) {
	var names []string
	for _, e := range Encoders {
		if e.name == name {
			return e, nil
		}
		names = append(names, e.name)
	}
	return Encoder{}, fmt.Errorf("nets: no encoder is called %q; there are %s", name, strings.Join(names, ", "))
}

// Small is a residual network for CPUs and small images: 47 million multiplications and additions for an image of 112x112, 0.36
// million parameters, 192 features. Fractures are clefts of one to three pixels there, seen in a small part of the image, and not in
// every slice. Half of the work is therefore done at a quarter of the pixels, and the features are channels' maxima as well as their
// means, in which a cleft would be lost; the vertebra alone is seen, without its neighbours' clefts and joints (focus), and a shortcut
// leads past the memories, which take long to learn that one slice of fifteen is enough (docs/models.md has what the two are worth).
var Small = Encoder{name: "small", size: 112, hidden: 128, shortcut: true, vector: func(l *layers, x tensor) vector {
	x = l.unit("encoder.stem", l.focus("encoder.focus", x), 16, 3, 2)
	for i, channels := range []int{16, 32, 64, 96} {
		x = l.basic(fmt.Sprintf("encoder.stage%d", i+1), x, channels, min(i+1, 2))
	}
	return l.joined("encoder.pool", l.average(x), l.largest(x))
}}

// focus weighs the grey values of each image, planes 0 to 4, by how likely the vertebra of the mask, plane 5, is near: the mask's maximum
// within a 28th of the size. Weighed like that they get mean 0 and deviation 1, whatever metal or air did to their scale. The mask stays
// as it is. It has no parameters.
func (l *layers) focus(name string, x tensor) tensor {
	axis := l.Ints(name+".axis", 1)
	plane := func(what string, from, to int64) string {
		return l.Node("Slice", name+"."+what, []string{x.name, l.Ints(name+"."+what+".from", from), l.Ints(name+"."+what+".to", to), axis})
	}
	image, mask := plane("image", 0, planes-1), plane("mask", planes-1, planes)
	reach := int64(x.size / 28)
	near := mask // one axis after the other, which is as good and faster
	for i, kernel := range [2][]int64{{2*reach + 1, 1}, {1, 2*reach + 1}} {
		rows, columns := kernel[0]/2, kernel[1]/2
		near = l.Node("MaxPool", fmt.Sprintf("%s.near%d", name, i), []string{near}, onnx.IntsAttribute("kernel_shape", kernel...),
			onnx.IntsAttribute("strides", 1, 1), onnx.IntsAttribute("pads", rows, columns, rows, columns))
	}
	// A constant node, since an initializer would be trained.
	little := l.Node("Constant", name+".little", nil, onnx.FloatAttribute("value_float", 1e-4))
	mean := func(what, of string) string {
		return l.Node("ReduceMean", name+"."+what, []string{of}, onnx.IntsAttribute("axes", 1, 2, 3), onnx.IntAttribute("keepdims", 1))
	}
	two := func(op, what, a, b string) string { return l.Node(op, name+"."+what, []string{a, b}) }
	share := two("Add", "share", mean("share.mean", near), little)
	middle := two("Div", "middle", mean("middle.mean", two("Mul", "weighed", image, near)), share)
	centred := two("Mul", "centred", two("Sub", "difference", image, middle), near)
	variance := two("Div", "variance", mean("variance.mean", two("Mul", "square", centred, centred)), share)
	deviation := l.Node("Sqrt", name+".deviation", []string{two("Add", "variance.positive", variance, little)})
	x.name = l.Node("Concat", name, []string{two("Div", "even", centred, deviation), mask}, onnx.IntAttribute("axis", 1))
	return x
}
