package augment

import (
	"math"
	"math/bits"
)

// drawTone draws what becomes of each intensity. changed is false where nothing does.
func (o *Options) drawTone(volume []uint8, seed uint64) (table [256]uint8, changed bool) {
	scale, contrast, gamma, add := 1.0, 1.0, 1.0, 0.0
	if r := stream(seed, rescaling); o.Rescale > 1 && r.Float64() < o.RescaleP {
		scale, changed = factor(r, o.Rescale), true
	}
	if r := stream(seed, toning); r.Float64() < o.ToneP {
		contrast, gamma, add = factor(r, o.Contrast), factor(r, o.Gamma), within(r, o.Brightness)
		changed = true
	}
	if !changed {
		return table, false
	}
	middle := scale * mean(volume) / 255
	for i := range table {
		v := min(1, scale*float64(i)/255)
		v = middle + (v-middle)*contrast + add
		v = math.Pow(max(0, min(1, v)), gamma)
		table[i] = uint8(math.Floor(v*255 + 0.5))
	}
	return table, true
}

func mean(volume []uint8) float64 {
	sum := uint64(0)
	for _, v := range volume {
		sum += uint64(v)
	}
	return float64(sum) / float64(len(volume))
}

// addNoise adds Gaussian noise of a deviation in intensities. A sum of 64 random bits stands for the Gaussian, and a
// uniform number fills the steps between such sums.
func addNoise(volume []uint8, deviation float64, seed uint64) {
	step := int64(math.Round(deviation / 4 * 256)) // from sum to sum, in parts of 256
	for i, v := range volume {
		state := seed + uint64(i)*0x9e3779b97f4a7c15
		sum := int64(bits.OnesCount64(scramble(state))) - 32
		x := int64(v)<<8 + sum*step + (int64(state>>56)-128)*step>>8 + 128
		volume[i] = uint8(max(0, min(255, x>>8)))
	}
}

// scramble is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// blur applies a Gaussian of a deviation in voxels along each axis. Edges go on beyond the volume.
func (w *work) blur(volume []uint8, n [3]int, deviation float64) {
	kernel := gaussian(deviation)
	if len(kernel) < 2 {
		return
	}
	stride := 1
	for axis := 2; axis >= 0; axis-- {
		length := n[axis]
		block := stride * length // what lies between two planes across the axis, times its length
		for at := 0; at < len(volume); at += block {
			w.blurBlock(volume[at:at+block], length, stride, kernel)
		}
		stride = block
	}
}

// blurBlock blurs across length lines of width voxels each.
func (w *work) blurBlock(block []uint8, length, width int, kernel []uint32) {
	w.line = append(w.line[:0], block...)
	for k := range length {
		out, middle := block[k*width:][:width], w.line[k*width:][:width]
		switch len(kernel) {
		case 2:
			a, b := w.line[max(0, k-1)*width:][:width], w.line[min(length-1, k+1)*width:][:width]
			for i := range out {
				out[i] = uint8((1<<15 + kernel[0]*uint32(middle[i]) + kernel[1]*(uint32(a[i])+uint32(b[i]))) >> 16)
			}
		default:
			for i := range out {
				sum := 1<<15 + kernel[0]*uint32(middle[i])
				for t, weight := range kernel[1:] {
					before, after := max(0, k-t-1), min(length-1, k+t+1)
					sum += weight * (uint32(w.line[before*width+i]) + uint32(w.line[after*width+i]))
				}
				out[i] = uint8(sum >> 16)
			}
		}
	}
}

// gaussian is half a kernel whose sum is 1<<16, its middle first, cut off at three deviations.
func gaussian(deviation float64) []uint32 {
	reach := int(math.Ceil(3 * deviation))
	weights := make([]float64, reach+1)
	sum := 0.0
	for t := range weights {
		if deviation > 0 {
			weights[t] = math.Exp(-float64(t*t) / (2 * deviation * deviation))
		} else {
			weights[t] = 1
		}
		if sum += weights[t]; t > 0 {
			sum += weights[t]
		}
	}
	kernel := make([]uint32, reach+1)
	rest := uint32(1 << 16)
	for t := len(kernel) - 1; t > 0; t-- {
		kernel[t] = uint32(math.Round(weights[t] / sum * (1 << 16)))
		rest -= 2 * kernel[t]
	}
	kernel[0] = rest
	return kernel
}
