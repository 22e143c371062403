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
	{Name: "unet-small", About: "U-Net of 1.7 M parameters for CPUs", build: func(o Options, seed uint64) ([]byte, error) {
		return UNetSmall{o.Channels, o.Classes, o.Size}.Build(seed)
	}},
}

// Build returns the network as an ONNX file with weights drawn from the seed.
func (n Network) Build(o Options, seed uint64) ([]byte, error) {
	if o.Blocks != 0 && !n.blocks {
		return nil, fmt.Errorf("nets: %s has no choice of blocks", n.Name)
	}
	return n.build(o, seed)
}
