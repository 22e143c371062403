package phantom

import "math"

// scanner is what the machine adds: a table, a kernel, noise.
type scanner struct {
	tableY   float64 // world, of the couch's upper surface at its middle
	tableR   float64 // radius of its curve
	kernel   []float32
	gain     float32 // by which the kernel changes the noise's deviation
	noiseHU  float64 // in the neck
	streakHU float64 // in the shoulders
	collar   bool    // the patient wears one
	cradle   bool    // the head lies in one
	metal    []vec   // dental fillings, in the world
}

// newKernel is half a symmetric kernel, its middle first: a narrow Gaussian less a wide one, so that edges overshoot as
// bone kernels make them.
func newKernel(d *dice, pixel float64, v *variety) (kernel []float32, gain float32) {
	narrow, wide, share := v.narrowMM.draw(d)/pixel, d.between(0.75, 0.95)/pixel, v.overshoot.draw(d)
	const taps = 5
	k := make([]float64, taps)
	var a, b [taps]float64
	var sumA, sumB float64
	for i := range k {
		x := float64(i)
		a[i], b[i] = math.Exp(-x*x/(2*narrow*narrow)), math.Exp(-x*x/(2*wide*wide))
		times := 2.0
		if i == 0 {
			times = 1
		}
		sumA, sumB = sumA+times*a[i], sumB+times*b[i]
	}
	var power float64
	kernel = make([]float32, taps)
	for i := range k {
		k[i] = (1+share)*a[i]/sumA - share*b[i]/sumB
		kernel[i] = float32(k[i])
		power += k[i] * k[i]
		if i > 0 {
			power += k[i] * k[i]
		}
	}
	return kernel, float32(power) // separable: both passes scale the deviation by √power
}

// paintTable paints the couch: a thin hard shell round light foam, and a mattress on it.
func (c *canvas) paintTable(s *Study) {
	m := &s.scanner
	if m.tableR == 0 {
		return
	}
	for row := range c.size {
		y := c.y0 + float64(row)*c.pixel
		if y < m.tableY-60 {
			continue
		}
		for column := range c.size {
			x := c.x0 + float64(column)*c.pixel
			depth := float32(math.Hypot(x, y-(m.tableY-m.tableR)) - m.tableR) // below the surface
			i := row*c.size + column
			switch {
			case depth < -9 || depth > 46:
			case depth < 0:
				c.hu[i] = -935
			case depth < 2.2 || depth > 43.8:
				c.hu[i] = -140
			default:
				c.hu[i] = -955
			}
		}
	}
}

// paintOutside paints what surrounds the patient: the cradle under the head, the collar round the neck.
func (c *canvas) paintOutside(s *Study) {
	m := &s.scanner
	if m.cradle && c.sec.level < 3.2 {
		const radius, wall = 118.0, 1.1
		_, back := c.sec.world(0, 0)
		middle := s.skull.frame.world(vec{0, 89 * s.skull.size, 0}).y - radius + 9
		for j := range c.nodes {
			for i := range c.nodes {
				x, y := c.place(i, j)
				k := j*c.nodes + i
				shell := math.Abs(math.Hypot(x-s.skull.frame.origin.x, y-middle)-radius) - wall
				c.near[k] = max(shell, back+20-y, 3-c.skin[k])
			}
		}
		c.fill(c.whole(), -180)
	}
	if m.collar && c.sec.level > 2.4 && c.sec.level < 7.2 {
		shell := 7 + 2*math.Sin(c.sec.level*2.1)
		for k, skin := range c.skin {
			c.near[k] = math.Abs(skin-shell*0.55) - shell*0.4
		}
		c.fill(c.whole(), -945)
		for k, skin := range c.skin {
			c.near[k] = max(math.Abs(skin-shell-0.8)-0.8, 9-math.Abs(math.Abs(c.u[k])-58))
		}
		c.fill(c.whole(), -60)
	}
}

// paintMetal paints fillings and the rays that go out from them.
func (c *canvas) paintMetal(s *Study) {
	for i, m := range s.scanner.metal {
		const thick = 3.5 // mm
		dz := math.Abs(m.z - c.sec.z)
		if dz > thick {
			continue
		}
		strength := 520 * (1 - ramp(0.6*thick, thick, dz))
		seed := float64(5 * i)
		for row := 0; row < c.size; row += nodeStep {
			for column := 0; column < c.size; column += nodeStep {
				x, y := c.x0+float64(column)*c.pixel-m.x, c.y0+float64(row)*c.pixel-m.y
				skin := c.skin[row/nodeStep*c.nodes+column/nodeStep]
				c.add(row, column, float32(strength*s.ray(x, y, c.sec.z, seed)*(1-0.7*ramp(-2, 4, skin))))
			}
		}
	}
}

// ray is the brightness of the streaks x, y mm from a piece of metal, and more than anything within it.
func (s *Study) ray(x, y, z, seed float64) float64 {
	const radius, reach = 3.0, 110.0
	r := math.Hypot(x, y)
	switch {
	case r > reach:
		return 0
	case r < radius:
		return 8
	}
	angle := math.Atan2(y, x)
	return math.Exp(-r/32) * (s.smooth.at(angle*13, seed, z/1.5) + 0.5*s.smooth.at(angle*31, seed+0.5, z))
}

// add brightens the pixels of the cell of nodes that starts at row and column.
func (c *canvas) add(row, column int, hu float32) {
	for y := row; y < min(row+nodeStep, c.size); y++ {
		for x := column; x < min(column+nodeStep, c.size); x++ {
			c.hu[y*c.size+x] += hu
		}
	}
}

// expose adds noise and streaks and applies the kernel.
func (c *canvas) expose(s *Study, z int) {
	m := &s.scanner
	wide := 2 * s.outline.wide(c.sec.level) * c.sec.size
	// More body, fewer photons; the tube current makes up for most of it.
	dim := math.Exp(0.0042 * (min(wide, 420) - 120))
	sigma := float32(m.noiseHU*dim) / m.gain
	streak := m.streakHU * ramp(150, 380, wide)
	n := c.size
	state := newDice(s.seed, uint64(s.index), 0x6e6f697365, uint64(z))
	base := state.next()
	const knot = 64
	knots := make([]float32, n/knot+2)
	smallest := 1 / float32(4)
	for row := range n {
		for i := range knots {
			knots[i] = float32(state.around(0, 1)*0.6) + knots[i]*0.6
		}
		far := float32(row-n/2) / float32(n/2)
		for column := range n {
			i := row*n + column
			x := float32(column-n/2) / float32(n/2)
			bright := 1 - 0.45*min(1, far*far+x*x) // the middle sees the fewest photons
			bits := scramble(base + uint64(i)*0x9e3779b97f4a7c15)
			white := float32(popcount(bits)-32) * smallest
			k := column / knot
			t := float32(column-k*knot) / knot
			c.hu[i] += white*sigma*bright + float32(streak)*blend(knots[k], knots[k+1], t)
		}
	}
	c.convolve(m.kernel)
}

// convolve applies a separable kernel along rows, then along columns. The rim, narrower than the kernel, is left as it is.
func (c *canvas) convolve(k []float32) {
	n, reach := c.size, len(k)-1
	k0, k1, k2, k3, k4 := k[0], k[1], k[2], k[3], k[4]
	src, dst := c.hu, c.work
	for row := range n {
		in, out := src[row*n:(row+1)*n], dst[row*n:(row+1)*n]
		copy(out, in)
		for i := reach; i < n-reach; i++ {
			w := in[i-4 : i+5 : i+5]
			out[i] = k0*w[4] + k1*(w[3]+w[5]) + k2*(w[2]+w[6]) + k3*(w[1]+w[7]) + k4*(w[0]+w[8])
		}
	}
	for row := range n {
		out := src[row*n : (row+1)*n]
		if row < reach || row >= n-reach {
			copy(out, dst[row*n:(row+1)*n])
			continue
		}
		line := func(d int) []float32 { return dst[(row+d)*n:][:n] }
		a, b, d, e, f, g, h, l, m := line(-4), line(-3), line(-2), line(-1), line(0), line(1), line(2), line(3), line(4)
		for i := range out {
			out[i] = k0*f[i] + k1*(e[i]+g[i]) + k2*(d[i]+h[i]) + k3*(b[i]+l[i]) + k4*(a[i]+m[i])
		}
	}
}
