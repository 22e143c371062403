package nets

import (
	"fmt"

	"github.com/cspine/cspine/models/onnx"
)

// ResNet18d is timm's resnet18d (He et al., arXiv 1512.03385; the "d" changes of arXiv 1812.01187: three convolutions as stem, an
// average pool in the shortcuts).
var ResNet18d = Encoder{
	name:   "resnet18d",
	levels: resNet18d,
	vector: func(l *layers, x tensor) vector { return l.average(resNet18d(l, x, 5)[4]) },
}

func resNet18d(l *layers, x tensor, levels int) []tensor {
	x = l.relu("encoder.conv1.2", l.norm("encoder.conv1.1", l.conv("encoder.conv1.0", x, 32, 3, 2)))
	x = l.relu("encoder.conv1.5", l.norm("encoder.conv1.4", l.conv("encoder.conv1.3", x, 32, 3, 1)))
	x = l.relu("encoder.act1", l.norm("encoder.bn1", l.conv("encoder.conv1.6", x, 64, 3, 1)))
	features := []tensor{x}
	x = tensor{l.Node("MaxPool", "encoder.maxpool", []string{x.name}, l.window(3, 2, 1)...), x.channels, (x.size + 1) / 2}
	for i, channels := range []int{64, 128, 256, 512}[:levels-1] {
		stride := min(i+1, 2)
		x = l.basic(fmt.Sprintf("encoder.layer%d.0", i+1), x, channels, stride)
		x = l.basic(fmt.Sprintf("encoder.layer%d.1", i+1), x, channels, 1)
		features = append(features, x)
	}
	return features
}

// basic is ResNet's block of two convolutions.
func (l *layers) basic(name string, x tensor, channels, stride int) tensor {
	y := l.relu(name+".act1", l.norm(name+".bn1", l.conv(name+".conv1", x, channels, 3, stride)))
	y = l.norm(name+".bn2", l.conv(name+".conv2", y, channels, 3, 1))
	if stride != 1 {
		x = tensor{l.Node("AveragePool", name+".downsample.0", []string{x.name}, l.each("kernel_shape", 2), l.each("strides", 2),
			onnx.IntAttribute("ceil_mode", 1)), x.channels, (x.size + 1) / 2}
	}
	if stride != 1 || x.channels != channels {
		x = l.norm(name+".downsample.2", l.conv(name+".downsample.1", x, channels, 1, 1))
	}
	return l.relu(name+".act2", l.add(name+".add", y, x))
}
