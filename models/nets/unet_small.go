package nets

import "math"

// UNetSmall is a U-Net of 1.7 million parameters for training and inference on CPUs: 19 GFLOP forward at 128³, where the
// reference's network takes 318 (see docs/models.md for the layers' shares). Input volume [1, InChannels, Size, Size, Size], 0 to 1;
// output probability [1, Classes, Size, Size, Size].
//
// What it spends goes where the task needs it. Which level a vertebra is can only be told by counting from the skull:
// fifteen convolutions at 1/8 to 1/32 of the size, which see the whole volume and cost a third. Where its surface runs is told
// by the grey values nearby: a shallow branch at full size, joined with what is known at half size voxel by voxel. Its few
// channels need only tell bone from the rest, since the logits of the levels come straight from half size and are added. Skips are added, not
// concatenated, which halves the decoder's cost (LinkNet, Chaurasia & Culurciello, arXiv 1707.03718).
type UNetSmall struct {
	InChannels int // 0 means 1
	Classes    int // 0 means 7
	Size       int // a multiple of 32; 0 means 128
}

// Build returns the network with weights drawn from the seed.
func (n UNetSmall) Build(seed uint64) ([]byte, error) {
	n.InChannels, n.Classes, n.Size = or(n.InChannels, 1), or(n.Classes, 7), or(n.Size, 128)
	if err := check("unet-small", n.Size, 32, n.InChannels, n.Classes); err != nil {
		return nil, err
	}
	l := newLayers("unet-small", 3, seed)
	x := l.volume(n.InChannels, n.Size)

	half := l.unit("stem", x, 16, 3, 2)
	quarter := l.residual("encoder4.block0", l.unit("encoder4.down", half, 32, 3, 2))
	eighth := l.unit("encoder8.down", quarter, 64, 3, 2)
	eighth = l.residual("encoder8.block1", l.residual("encoder8.block0", eighth))
	sixteenth := l.unit("encoder16.down", eighth, 64, 3, 2)
	sixteenth = l.residual("encoder16.block1", l.residual("encoder16.block0", sixteenth))
	y := l.residual("encoder32.block0", l.unit("encoder32.down", sixteenth, 64, 3, 2))

	y = l.up("decoder16", y, sixteenth)
	y = l.up("decoder8", y, eighth)
	y = l.up("decoder4", y, quarter)
	half = l.up("decoder2", y, half)

	fine := l.norm("detail.bn", l.conv("detail.conv", x, 8, 3, 1))
	coarse := l.norm("subvoxel.bn", l.subvoxel("subvoxel.conv", half, 8, math.Sqrt(2.0/16)))
	y = l.relu("join.relu", l.concat("join", coarse, fine))
	edges := l.logits(l.unit("mix", y, 8, 1, 1), n.Classes, 1)
	levels := l.subvoxel("levels", half, n.Classes, 0.02)
	l.probability(l.add("logits", edges, levels))
	return l.Bytes()
}

// residual is a basic block of a ResNet that keeps size and channels.
func (l *layers) residual(name string, x tensor) tensor {
	y := l.unit(name+".0", x, x.channels, 3, 1)
	y = l.norm(name+".1.bn", l.conv(name+".1.conv", y, x.channels, 3, 1))
	return l.relu(name+".relu", l.add(name+".add", y, x))
}

// up brings x to the size and channels of skip, adds the two and convolves the sum.
func (l *layers) up(name string, x, skip tensor) tensor {
	if x.channels != skip.channels {
		x = l.unit(name+".lateral", x, skip.channels, 1, 1) // before doubling, where it costs an eighth
	}
	return l.unit(name, l.add(name+".add", l.double(name+".up", x), skip), skip.channels, 3, 1)
}

// subvoxel doubles the size: each voxel becomes 2 along every axis, with weights of their own, which a transposed convolution with kernel 2
// and stride 2 is (sub-pixel convolution, Shi et al., arXiv 1609.05158). Weights are drawn with the deviation.
func (l *layers) subvoxel(name string, x tensor, channels int, deviation float64) tensor {
	w := l.Floats(name+".weight", l.normal(name, x.channels*channels*l.taps(2), deviation), l.dims(2, x.channels, channels)...)
	y := l.Node("ConvTranspose", name, []string{x.name, w}, l.window(2, 2, 0)...)
	return tensor{y, channels, 2 * x.size}
}
