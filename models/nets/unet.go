package nets

import (
	"fmt"

	"github.com/cspine/cspine/models/onnx"
)

// UNet is the reference's stage-1 network: a 2D image encoder turned to 3D and a U-Net decoder, with a probability for each
// class. Input volume [1, InChannels, Size, Size, Size], 0 to 1; output probability [1, Classes, Size, Size, Size].
//
// Weights bear the names that timm and segmentation_models_pytorch give them, "encoder." before the former.
type UNet struct {
	// Encoder is ResNet18d or EfficientNetV2S.
	Encoder Encoder
	// Blocks is how many of the encoder's five levels are used: 4 as in the reference, or 5. What only unused levels need is not
	// computed. 0 means 4.
	Blocks     int
	InChannels int // 0 means 3
	Classes    int // 0 means 7
	Size       int // a multiple of 2^Blocks; 0 means 128
}

// Encoder makes the features of an image network, largest first, each half the size of the one before.
type Encoder struct {
	name     string
	features func(l *layers, x tensor, levels int) []tensor
}

// Build returns the network with weights drawn from the seed.
func (n UNet) Build(seed uint64) ([]byte, error) {
	n.Blocks, n.InChannels, n.Classes, n.Size = or(n.Blocks, 4), or(n.InChannels, 3), or(n.Classes, 7), or(n.Size, 128)
	name := "unet-" + n.Encoder.name
	if n.Blocks != 4 && n.Blocks != 5 {
		return nil, fmt.Errorf("nets: %s: %d blocks are neither 4 nor 5", name, n.Blocks)
	}
	if err := check(name, n.Size, 1<<n.Blocks, n.InChannels, n.Classes); err != nil {
		return nil, err
	}
	l := newLayers(name, seed)
	features := n.Encoder.features(l, l.volume(n.InChannels, n.Size), n.Blocks)

	x := features[n.Blocks-1]
	for i, channels := range []int{256, 128, 64, 32, 16}[:n.Blocks] {
		block := fmt.Sprintf("decoder.blocks.%d", i)
		x = l.double(block+".up", x)
		if skip := n.Blocks - 2 - i; skip >= 0 {
			x = l.concat(block+".concat", x, features[skip])
		}
		for _, conv := range []string{".conv1", ".conv2"} {
			x = l.relu(block+conv+".2", l.norm(block+conv+".1", l.conv(block+conv+".0", x, channels, 3, 1)))
		}
	}
	l.head(x, n.Classes, 3)
	return l.Bytes()
}

// ResNet18d is timm's resnet18d (He et al., arXiv 1512.03385; the "d" changes of arXiv 1812.01187: three convolutions as stem, an
// average pool in the shortcuts).
var ResNet18d = Encoder{"resnet18d", func(l *layers, x tensor, levels int) []tensor {
	x = l.relu("encoder.conv1.2", l.norm("encoder.conv1.1", l.conv("encoder.conv1.0", x, 32, 3, 2)))
	x = l.relu("encoder.conv1.5", l.norm("encoder.conv1.4", l.conv("encoder.conv1.3", x, 32, 3, 1)))
	x = l.relu("encoder.act1", l.norm("encoder.bn1", l.conv("encoder.conv1.6", x, 64, 3, 1)))
	features := []tensor{x}
	x = tensor{l.Node("MaxPool", "encoder.maxpool", []string{x.name}, times("kernel_shape", 3, 3), times("strides", 3, 2), times("pads", 6, 1)),
		x.channels, x.size / 2}
	for i, channels := range []int{64, 128, 256, 512}[:levels-1] {
		stride := min(i+1, 2)
		x = l.basic(fmt.Sprintf("encoder.layer%d.0", i+1), x, channels, stride)
		x = l.basic(fmt.Sprintf("encoder.layer%d.1", i+1), x, channels, 1)
		features = append(features, x)
	}
	return features
}}

// basic is ResNet's block of two convolutions.
func (l *layers) basic(name string, x tensor, channels, stride int) tensor {
	y := l.relu(name+".act1", l.norm(name+".bn1", l.conv(name+".conv1", x, channels, 3, stride)))
	y = l.norm(name+".bn2", l.conv(name+".conv2", y, channels, 3, 1))
	if stride != 1 {
		x = tensor{l.Node("AveragePool", name+".downsample.0", []string{x.name}, times("kernel_shape", 3, 2), times("strides", 3, 2),
			onnx.IntAttribute("ceil_mode", 1)), x.channels, (x.size + 1) / 2}
	}
	if stride != 1 || x.channels != channels {
		x = l.norm(name+".downsample.2", l.conv(name+".downsample.1", x, channels, 1, 1))
	}
	return l.relu(name+".act2", l.add(name+".add", y, x))
}
