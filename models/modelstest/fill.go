package modelstest

import (
	"fmt"
	"slices"
)

// filling describes a tensor by a formula that the generator of the stored values (testdata/training_cases.py, fill)
// computes to the same bits, so that inputs and targets need no file.
type filling struct {
	Shape   []int   `json:"shape"`
	Kind    string  `json:"kind"`
	Stream  uint32  `json:"stream"`
	Scale   float32 `json:"scale"` // 0 in the file's "scale" means 0; a missing one is 1
	Classes int     `json:"classes"`
}

// hashed is lowbias32 of the i-th value of a stream (Wellons, https://nullprogram.com/blog/2018/07/31/).
func hashed(stream, i uint32) uint32 {
	x := i + stream*0x9E3779B9
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}

// values computes the tensor.
func (f *filling) values() []float32 {
	n := product(f.Shape)
	out := make([]float32, n)
	switch f.Kind {
	case "signed": // [−1, 1)
		for i := range out {
			out[i] = float32(hashed(f.Stream, uint32(i))>>8)/(1<<23) - 1
		}
	case "unit": // [0, 1)
		for i := range out {
			out[i] = float32(hashed(f.Stream, uint32(i))>>8) / (1 << 24)
		}
	case "binary":
		for i := range out {
			out[i] = float32(hashed(f.Stream, uint32(i)) >> 31)
		}
	case "ones":
		for i := range out {
			out[i] = 1
		}
	case "balls":
		out = balls(f.Stream, f.Shape[0], f.Shape[1], f.Shape[2:])
	case "scene":
		f.scene(out)
	default:
		panic(fmt.Sprintf("modelstest: filling of kind %q", f.Kind))
	}
	for i := range out {
		out[i] *= f.Scale
	}
	return out
}

// scene is noise in [−1/4, 1/4), the same in every channel, in which class k's ball is (k+1)/8 brighter.
func (f *filling) scene(out []float32) {
	samples, channels, space := f.Shape[0], f.Shape[1], product(f.Shape[2:])
	masks := balls(f.Stream, samples, f.Classes, f.Shape[2:])
	for s := range samples {
		for i := range space {
			bright := float32(0)
			for k := range f.Classes {
				bright = max(bright, masks[(s*f.Classes+k)*space+i]*float32(k+1)/8)
			}
			v := bright + (float32(hashed(f.Stream, uint32(s*space+i))>>16)/(1<<17) - .25)
			for c := range channels {
				out[(s*channels+c)*space+i] = v
			}
		}
	}
}

// balls draws one ball a mask [samples,classes,…]: its centre in the middle half of every axis, its radius a quarter of
// the shortest.
func balls(stream uint32, samples, classes int, space []int) []float32 {
	n := product(space)
	out := make([]float32, samples*classes*n)
	r := slices.Min(space) / 4
	centre, at := make([]int, len(space)), make([]int, len(space))
	for k := range samples * classes {
		for a, size := range space {
			centre[a] = size/4 + int(hashed(stream+1000+uint32(k), uint32(a)))%(size/2)
		}
		clear(at)
		for i := range n {
			d := 0
			for a := range at {
				d += (at[a] - centre[a]) * (at[a] - centre[a])
			}
			if d <= r*r {
				out[k*n+i] = 1
			}
			for a := len(at) - 1; a >= 0; a-- {
				if at[a]++; at[a] < space[a] {
					break
				}
				at[a] = 0
			}
		}
	}
	return out
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
