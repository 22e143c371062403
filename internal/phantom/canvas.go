package phantom

import "math"

// nodeStep is the distance in pixels of the nodes at which solids are evaluated; in between, distances are
// interpolated. It is what makes a slice cheap: an edge stays sharp, since it is a distance that is
// interpolated, not a density.
const nodeStep = 2

// warpStep is the distance in pixels of the points at which the tissue's warp is evaluated.
const warpStep = 16

// outside is the distance of a node that no solid reaches, mm.
const outside = 1e3

// canvas is one slice being painted. Painters lay tissue over tissue, each with soft edges a pixel wide, which is
// what partial volume makes of an edge.
type canvas struct {
	size   int     // rows and columns
	pixel  float64 // mm
	x0, y0 float64 // world place of the first pixel's centre
	edge   float64 // mm over which an edge fades: half the pixel and the slice's share
	sec    section

	hu    []float32
	label []uint8

	nodes       int       // nodes along a side
	u, v        []float64 // of every node, in the tables' mm, warped
	warpU       []float64
	warpV       []float64
	skin        []float64 // of every node, mm from the skin
	near, far   []float64 // scratch by node: distance to the nearest solid, and to the next
	owner       []uint8   // scratch by node: index of the nearest solid
	noise, work []float32
}

func newCanvas(size int) *canvas {
	n := (size+nodeStep-1)/nodeStep + 1
	w := (size+warpStep-1)/warpStep + 1
	return &canvas{
		size: size, nodes: n,
		hu: make([]float32, size*size), label: make([]uint8, size*size),
		u: make([]float64, n*n), v: make([]float64, n*n), warpU: make([]float64, w*w), warpV: make([]float64, w*w),
		skin: make([]float64, n*n), near: make([]float64, n*n), far: make([]float64, n*n), owner: make([]uint8, n*n),
		noise: make([]float32, size*size), work: make([]float32, size*size),
	}
}

// begin clears the canvas for a slice.
func (c *canvas) begin(s *Study, z int) {
	c.pixel, c.x0, c.y0 = s.pixelMM, s.corner.x, s.corner.y
	c.edge = 0.5*s.pixelMM + 0.2*min(s.sliceMM, 1)
	c.sec = s.spine.section(s.sliceZ(z))
	for i := range c.hu {
		c.hu[i] = airHU
	}
	clear(c.label)
	c.bend(s)
}

// bend works out where in the neck each node lies, and bends the neck a little so that nothing is an exact ellipse.
func (c *canvas) bend(s *Study) {
	w := (c.size+warpStep-1)/warpStep + 1
	z := c.sec.z
	for j := range w {
		for i := range w {
			x, y := c.x0+float64(i*warpStep)*c.pixel, c.y0+float64(j*warpStep)*c.pixel
			c.warpU[j*w+i] = 2.2*s.smooth.at(x/26, y/26, z/34) + 0.8*s.smooth.at(x/9+7, y/9, z/20)
			c.warpV[j*w+i] = 2.2*s.smooth.at(x/26+11, y/26+5, z/34) + 0.8*s.smooth.at(x/9, y/9+13, z/20)
		}
	}
	const ratio = warpStep / nodeStep
	for j := range c.nodes {
		wj := min(j/ratio, w-2)
		tj := float64(j-wj*ratio) / ratio
		y := c.y0 + float64(j*nodeStep)*c.pixel
		for i := range c.nodes {
			wi := min(i/ratio, w-2)
			ti := float64(i-wi*ratio) / ratio
			k := wj*w + wi
			x := c.x0 + float64(i*nodeStep)*c.pixel
			du := (c.warpU[k]*(1-ti)+c.warpU[k+1]*ti)*(1-tj) + (c.warpU[k+w]*(1-ti)+c.warpU[k+w+1]*ti)*tj
			dv := (c.warpV[k]*(1-ti)+c.warpV[k+1]*ti)*(1-tj) + (c.warpV[k+w]*(1-ti)+c.warpV[k+w+1]*ti)*tj
			u, v := c.sec.local(x, y)
			c.u[j*c.nodes+i], c.v[j*c.nodes+i] = u+du, v+dv
		}
	}
}

// window is a range of nodes, half-open.
type window struct{ i0, i1, j0, j1 int }

func (c *canvas) whole() window { return window{0, c.nodes, 0, c.nodes} }

func (w window) empty() bool { return w.i0+1 >= w.i1 || w.j0+1 >= w.j1 }

// around is the window that covers a box of world coordinates.
func (c *canvas) around(x0, y0, x1, y1 float64) window {
	step := c.pixel * nodeStep
	clamp := func(f float64) int { return max(0, min(c.nodes, int(f))) }
	return window{
		clamp(math.Floor((x0 - c.x0) / step)), clamp(math.Ceil((x1-c.x0)/step) + 1),
		clamp(math.Floor((y0 - c.y0) / step)), clamp(math.Ceil((y1-c.y0)/step) + 1),
	}
}

// place is the world's x, y of a node.
func (c *canvas) place(i, j int) (x, y float64) {
	return c.x0 + float64(i*nodeStep)*c.pixel, c.y0 + float64(j*nodeStep)*c.pixel
}

// paint calls put for every pixel of the window at most reach mm outside of the solid whose distances stand in near:
// its index and its distance in mm.
func (c *canvas) paint(w window, reach float64, put func(i int, d float32)) {
	if w.empty() {
		return
	}
	limit := reach + 1e-9
	for j := w.j0; j < w.j1-1; j++ {
		for i := w.i0; i < w.i1-1; i++ {
			k := j*c.nodes + i
			a, b, p, q := c.near[k], c.near[k+1], c.near[k+c.nodes], c.near[k+c.nodes+1]
			if min(a, b, p, q) > limit {
				continue
			}
			for y := range nodeStep {
				row := j*nodeStep + y
				if row >= c.size {
					break
				}
				t := float64(y) / nodeStep
				left, right := a+(p-a)*t, b+(q-b)*t
				slope := (right - left) / nodeStep
				column := i * nodeStep
				for x := 0; x < nodeStep && column+x < c.size; x++ {
					if d := left + slope*float64(x); d < limit {
						put(row*c.size+column+x, float32(d))
					}
				}
			}
		}
	}
}

// survey measures a solid at the nodes of a window and tells keep those no further than reach mm. It looks at blocks
// of nodes first and passes over the far ones.
func (c *canvas) survey(w window, reach float64, distance func(x, y float64) float64, keep func(k int, d float64)) {
	const block = 4
	radius := 0.71 * (block - 1) * nodeStep * c.pixel
	for j := w.j0; j < w.j1; j += block {
		for i := w.i0; i < w.i1; i += block {
			x, y := c.place(i, j)
			half := 0.5 * (block - 1) * nodeStep * c.pixel
			if distance(x+half, y+half) > 1.6*radius+reach {
				continue
			}
			for jj := j; jj < min(j+block, w.j1); jj++ {
				for ii := i; ii < min(i+block, w.i1); ii++ {
					x, y := c.place(ii, jj)
					if d := distance(x, y); d < reach {
						keep(jj*c.nodes+ii, d)
					}
				}
			}
		}
	}
}

// solve measures a solid, told of the world's x and y, over the whole slice: near holds its distance up to reach mm, and
// outside beyond.
func (c *canvas) solve(reach float64, distance func(x, y float64) float64) {
	for k := range c.near {
		c.near[k] = outside
	}
	c.survey(c.whole(), reach, distance, func(k int, d float64) { c.near[k] = d })
}

// cover is the share of a pixel at distance d from a solid's surface that the solid fills.
func (c *canvas) cover(d float32) float32 {
	return max(0, min(1, 0.5-d/float32(2*c.edge)))
}

// fill paints a solid of one density.
func (c *canvas) fill(w window, hu float32) {
	c.paint(w, c.edge, func(i int, d float32) {
		c.hu[i] += (hu - c.hu[i]) * c.cover(d)
	})
}

// measure writes a solid's distance, told of the neck's u and v, to near. Nothing comes through the skin.
func (c *canvas) measure(w window, distance func(u, v float64) float64) {
	for j := w.j0; j < w.j1; j++ {
		for k := j*c.nodes + w.i0; k < j*c.nodes+w.i1; k++ {
			c.near[k] = max(distance(c.u[k], c.v[k])*c.sec.size, c.skin[k]+2.2)
		}
	}
}
