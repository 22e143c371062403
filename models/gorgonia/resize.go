package gorgonia

import (
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// resize is a resampling of three axes, one after the other within each plane.
type resize struct {
	planes  int
	in, out [3]int
	// lower, upper and share say for each output of an axis which two inputs it is between, and how much of it is the upper one's.
	lower, upper [3][]int
	share        [3][]float32
	linear       bool
	doubled      bool // every input twice along the last axis
}

func (b *builder) resize(do *program.Resize) {
	b.checkRank()
	shape, outShape := b.shape(0), b.outShape()
	r := &resize{planes: shape[0] * shape[1], linear: do.Linear}
	for a := range 3 {
		r.in[a], r.out[a] = 1, 1
		scale := 1.0
		if i := a - (5 - len(shape)); i >= 0 {
			r.in[a], r.out[a], scale = shape[2+i], outShape[2+i], do.Scales[i]
		}
		for o := range r.out[a] {
			var at float64
			switch {
			case !do.Linear:
				at = math.Floor(float64(o) / scale)
			case do.AlignCorners:
				if r.out[a] > 1 {
					at = float64(o) * float64(r.in[a]-1) / float64(r.out[a]-1)
				}
			default:
				at = max((float64(o)+0.5)/scale-0.5, 0)
			}
			low := min(int(at), r.in[a]-1)
			r.lower[a] = append(r.lower[a], low)
			r.upper[a] = append(r.upper[a], min(low+1, r.in[a]-1))
			r.share[a] = append(r.share[a], float32(at-float64(low)))
		}
		r.doubled = r.out[a] == 2*r.in[a] && scale == 2
	}
	name := b.name("Resize")
	run, grad := r.nearest, r.nearestGrad
	if do.Linear {
		run, grad = r.interpolate, r.interpolateGrad
	}
	b.set(formula{name: "Resize", wants: all(1), kernel: run, grad: func(_ []*G.Node, _, dy *G.Node) []*G.Node {
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, kernel: grad}, dy)}
	}}, b.in(0))
}

// nearest makes each row once and copies it to where it is repeated.
func (r *resize) nearest(x *exec, out, in [][]float32) error {
	n, m, wide, row := size(r.in[:]), size(r.out[:]), r.in[2], r.out[2]
	x.workers.Do(r.planes, func(_, p int) {
		from, to := in[0][p*n:][:n], out[0][p*m:][:m]
		for z, zz := range r.lower[0] {
			plane := to[z*r.out[1]*row:][:r.out[1]*row]
			if z > 0 && zz == r.lower[0][z-1] {
				copy(plane, to[(z-1)*r.out[1]*row:])
				continue
			}
			for y, yy := range r.lower[1] {
				line := plane[y*row:][:row]
				if y > 0 && yy == r.lower[1][y-1] {
					copy(line, plane[(y-1)*row:])
					continue
				}
				src := from[(zz*r.in[1]+yy)*wide:][:wide]
				if r.doubled {
					for i, v := range src {
						line[2*i], line[2*i+1] = v, v
					}
					continue
				}
				for i, xx := range r.lower[2] {
					line[i] = src[xx]
				}
			}
		}
	})
	return nil
}

// nearestGrad adds the rows that were copies, then the values of a row.
func (r *resize) nearestGrad(x *exec, out, in [][]float32) error {
	n, m, wide, row := size(r.in[:]), size(r.out[:]), r.in[2], r.out[2]
	x.workers.Do(r.planes, func(_, p int) {
		dx, dy := out[0][p*n:][:n], in[0][p*m:][:m]
		clear(dx)
		sum := make([]float32, row)
		for z0 := 0; z0 < r.out[0]; {
			z1 := run(r.lower[0], z0)
			for y0 := 0; y0 < r.out[1]; {
				y1 := run(r.lower[1], y0)
				first := true
				for z := z0; z < z1; z++ {
					for y := y0; y < y1; y++ {
						src := dy[(z*r.out[1]+y)*row:][:row]
						if first {
							copy(sum, src)
							first = false
						} else {
							kernel.Add(sum, sum, src)
						}
					}
				}
				to := dx[(r.lower[0][z0]*r.in[1]+r.lower[1][y0])*wide:][:wide]
				if r.doubled {
					for i := range to {
						to[i] = sum[2*i] + sum[2*i+1]
					}
				} else {
					for i, xx := range r.lower[2] {
						to[xx] += sum[i]
					}
				}
				y0 = y1
			}
			z0 = z1
		}
	})
	return nil
}

// run returns where the run of equal entries from i on ends.
func run(a []int, i int) int {
	j := i + 1
	for j < len(a) && a[j] == a[i] {
		j++
	}
	return j
}

// interpolate sums eight inputs for an output, axis by axis from the first.
func (r *resize) interpolate(x *exec, out, in [][]float32) error {
	n, m, wide, row := size(r.in[:]), size(r.out[:]), r.in[2], r.out[2]
	x.workers.Do(r.planes, func(_, p int) {
		from, to := in[0][p*n:][:n], out[0][p*m:][:m]
		line, tmp := make([]float32, wide), make([]float32, wide)
		for z := range r.out[0] {
			for y := range r.out[1] {
				// The four rows around, in the plane below and the one above.
				r.blend(line, from, r.lower[0][z], y)
				if s := r.share[0][z]; s != 0 {
					r.blend(tmp, from, r.upper[0][z], y)
					kernel.Affine2(line, line, tmp, 1-s, s, 0)
				}
				dst := to[(z*r.out[1]+y)*row:][:row]
				for i, lo := range r.lower[2] {
					s := r.share[2][i]
					dst[i] = (1-s)*line[lo] + s*line[r.upper[2][i]]
				}
			}
		}
	})
	return nil
}

func (r *resize) blend(line, from []float32, z, y int) {
	wide := r.in[2]
	a, b := from[(z*r.in[1]+r.lower[1][y])*wide:][:wide], from[(z*r.in[1]+r.upper[1][y])*wide:][:wide]
	s := r.share[1][y]
	kernel.Affine2(line, a, b, 1-s, s, 0)
}

func (r *resize) interpolateGrad(x *exec, out, in [][]float32) error {
	n, m, wide, row := size(r.in[:]), size(r.out[:]), r.in[2], r.out[2]
	x.workers.Do(r.planes, func(_, p int) {
		dx, dy := out[0][p*n:][:n], in[0][p*m:][:m]
		clear(dx)
		line := make([]float32, wide)
		for z := range r.out[0] {
			for y := range r.out[1] {
				clear(line)
				for i, g := range dy[(z*r.out[1]+y)*row:][:row] {
					s := r.share[2][i]
					line[r.lower[2][i]] += (1 - s) * g
					line[r.upper[2][i]] += s * g
				}
				for _, zs := range [2]struct {
					z     int
					share float32
				}{{r.lower[0][z], 1 - r.share[0][z]}, {r.upper[0][z], r.share[0][z]}} {
					s := r.share[1][y]
					kernel.Axpy(dx[(zs.z*r.in[1]+r.lower[1][y])*wide:][:wide], zs.share*(1-s), line)
					kernel.Axpy(dx[(zs.z*r.in[1]+r.upper[1][y])*wide:][:wide], zs.share*s, line)
				}
			}
		}
	})
	return nil
}
