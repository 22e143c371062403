package nets

import "fmt"

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

// Build returns the network with weights drawn from the seed.
func (n UNet) Build(seed uint64) ([]byte, error) {
	n.Blocks, n.InChannels, n.Classes, n.Size = or(n.Blocks, 4), or(n.InChannels, 3), or(n.Classes, 7), or(n.Size, 128)
	name := "unet-" + n.Encoder.name
	if n.Encoder.levels == nil {
		return nil, fmt.Errorf("nets: %s: the encoder has no levels for a U-Net", name)
	}
	if n.Blocks != 4 && n.Blocks != 5 {
		return nil, fmt.Errorf("nets: %s: %d blocks are neither 4 nor 5", name, n.Blocks)
	}
	if err := check(name, n.Size, 1<<n.Blocks, n.InChannels, n.Classes); err != nil {
		return nil, err
	}
	l := newLayers(name, 3, seed)
	features := n.Encoder.levels(l, l.volume(n.InChannels, n.Size), n.Blocks)

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
