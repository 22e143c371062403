package nets

import "fmt"

// Options of Network.Build. Zeros mean the network's own.
type Options struct {
	Size     int // edge of the volume in voxels
	Channels int // of the input
	Classes  int
	Blocks   int // levels, where the network has a choice
}

// Network is a network that users can name.
type Network struct {
	Name  string
	About string
	build func(o Options, seed uint64) ([]byte, error)
	// blocks tells whether Options.Blocks means anything to it.
	blocks bool
}

// Networks are all there are.
var Networks = []Network{
	{"unet-small", "U-Net of 1.7 M parameters, for CPUs", small, false},
	{"unet-resnet18d", "the reference's U-Net on a resnet18d, 4 or 5 blocks", onEncoder(ResNet18d), true},
	{"unet-efficientnetv2s", "the reference's second U-Net, on an EfficientNetV2-S, 4 or 5 blocks", onEncoder(EfficientNetV2S), true},
}

func small(o Options, seed uint64) ([]byte, error) {
	return UNetSmall{InChannels: o.Channels, Classes: o.Classes, Size: o.Size}.Build(seed)
}

func onEncoder(e Encoder) func(Options, uint64) ([]byte, error) {
	return func(o Options, seed uint64) ([]byte, error) {
		return UNet{Encoder: e, Blocks: o.Blocks, InChannels: o.Channels, Classes: o.Classes, Size: o.Size}.Build(seed)
	}
}

// Build returns the network as an ONNX file with weights drawn from the seed.
func (n Network) Build(o Options, seed uint64) ([]byte, error) {
	if o.Blocks != 0 && !n.blocks {
		return nil, fmt.Errorf("nets: %s has no choice of blocks", n.Name)
	}
	return n.build(o, seed)
}
