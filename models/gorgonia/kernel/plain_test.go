package kernel

// The definition of a convolution, term by term.

// taps calls f for each term of output position (z, y, x) that lies inside the input: f(offset in a channel of x, offset in a
// channel of the kernel).
func (c *Conv) taps(z, y, x int, f func(in, k int)) {
	g := &c.g
	for a := range g.Kernel[0] {
		iz := z*g.Stride[0] - g.PadBegin[0] + a*g.Dilation[0]
		if iz < 0 || iz >= g.InSize[0] {
			continue
		}
		for b := range g.Kernel[1] {
			iy := y*g.Stride[1] - g.PadBegin[1] + b*g.Dilation[1]
			if iy < 0 || iy >= g.InSize[1] {
				continue
			}
			for d := range g.Kernel[2] {
				ix := x*g.Stride[2] - g.PadBegin[2] + d*g.Dilation[2]
				if ix < 0 || ix >= g.InSize[2] {
					continue
				}
				f((iz*g.InSize[1]+iy)*g.InSize[2]+ix, (a*g.Kernel[1]+b)*g.Kernel[2]+d)
			}
		}
	}
}

// positions calls f for each output position.
func (c *Conv) positions(f func(q, z, y, x int)) {
	q := 0
	for z := range c.g.OutSize[0] {
		for y := range c.g.OutSize[1] {
			for x := range c.g.OutSize[2] {
				f(q, z, y, x)
				q++
			}
		}
	}
}

func (c *Conv) plainForward(y, x, weight, bias []float32) {
	c.w.Do(c.g.Batch*c.g.Out, func(_, p int) {
		n, o := p/c.g.Out, p%c.g.Out
		first := o / c.outG * c.inG
		out := y[p*c.outVol:][:c.outVol]
		c.positions(func(q, z, yy, xx int) {
			var t float32
			if bias != nil {
				t = bias[o]
			}
			c.taps(z, yy, xx, func(in, k int) {
				for i := range c.inG {
					t += x[(n*c.g.In+first+i)*c.inVol+in] * weight[(o*c.inG+i)*c.kVol+k]
				}
			})
			out[q] = t
		})
	})
}

func (c *Conv) plainGradInput(dx, weight, dy []float32) {
	c.w.Do(c.g.Batch*c.g.In, func(_, p int) {
		n, i := p/c.g.In, p%c.g.In
		group := i / c.inG
		out := dx[p*c.inVol:][:c.inVol]
		clear(out)
		c.positions(func(q, z, yy, xx int) {
			c.taps(z, yy, xx, func(in, k int) {
				for o := group * c.outG; o < (group+1)*c.outG; o++ {
					out[in] += dy[(n*c.g.Out+o)*c.outVol+q] * weight[(o*c.inG+i%c.inG)*c.kVol+k]
				}
			})
		})
	})
}

func (c *Conv) plainGradWeight(dweight, x, dy []float32) {
	c.w.Do(c.g.Out*c.inG, func(_, p int) {
		o, i := p/c.inG, p%c.inG
		in0 := o/c.outG*c.inG + i
		out := dweight[p*c.kVol:][:c.kVol]
		clear(out)
		for n := range c.g.Batch {
			c.positions(func(q, z, yy, xx int) {
				d := dy[(n*c.g.Out+o)*c.outVol+q]
				c.taps(z, yy, xx, func(in, k int) {
					out[k] += d * x[(n*c.g.In+in0)*c.inVol+in]
				})
			})
		}
	})
}
