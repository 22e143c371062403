package nets

import (
	"fmt"
	"strings"
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
// million parameters, 192 features. Fractures are clefts of one to three pixels there, seen in a small part of the image. Half of the
// work is therefore done at a quarter of the pixels, and the features are channels' maxima as well as their means, in which a cleft
// would be lost.
var Small = Encoder{name: "small", size: 112, hidden: 128, vector: func(l *layers, x tensor) vector {
	x = l.unit("encoder.stem", x, 16, 3, 2)
	for i, channels := range []int{16, 32, 64, 96} {
		x = l.basic(fmt.Sprintf("encoder.stage%d", i+1), x, channels, min(i+1, 2))
	}
	return l.joined("encoder.pool", l.average(x), l.largest(x))
}}
