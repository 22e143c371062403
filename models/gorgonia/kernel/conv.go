package kernel

import (
	"errors"
	"fmt"
	"math"
)

// Geometry of a convolution x [Batch, In, InSize…] * weight [Out, In/Group, Kernel…] → y [Batch, Out, OutSize…]. Images have
// 1 in the first entry of sizes, kernel, stride and dilation, and 0 in that of PadBegin. The padding at the end is whatever OutSize asks for.
type Geometry struct {
	Batch, In, Out, Group                               int
	InSize, OutSize, Kernel, Stride, Dilation, PadBegin [3]int
}

// Conv is a convolution of one geometry. Its methods check the lengths of the slices and panic when they are wrong: an
// engine that recovers at its border turns that into an error. Outputs must not overlap inputs.
type Conv struct {
	g              Geometry
	w              *Workers
	xLen, yLen     int
	wLen           int
	inVol, outVol  int
	kVol           int
	inG, outG      int
	forward, input *pass
	weight         *weightPass
	points         *points // in place of the three; or nil
}

// NewConv checks the geometry.
func NewConv(g Geometry, w *Workers) (*Conv, error) {
	if w == nil {
		return nil, errors.New("convolution: no workers")
	}
	c := &Conv{g: g, w: w}
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("convolution %+v: %w", g, err)
	}
	c.inVol, c.outVol, c.kVol = volume(g.InSize), volume(g.OutSize), volume(g.Kernel)
	c.inG, c.outG = g.In/g.Group, g.Out/g.Group
	c.xLen, c.yLen, c.wLen = g.Batch*g.In*c.inVol, g.Batch*g.Out*c.outVol, g.Out*c.inG*c.kVol
	if c.points = newPoints(&g); c.points != nil {
		return c, nil
	}
	c.forward, c.input = forwardPass(&g, best), inputPass(&g, best)
	c.weight = newWeightPass(&g, best)
	return c, nil
}

// smallestSlab bounds the floats of a channel that are read for one row of outputs.
const smallestSlab = 1 << 22

func volume(s [3]int) int { return s[0] * s[1] * s[2] }

func (g *Geometry) check() error {
	within := func(limit int, v ...int) bool {
		p := 1
		for _, x := range v {
			if x < 1 || x > limit/p {
				return false
			}
			p *= x
		}
		return true
	}
	mul := func(v ...int) bool { return within(math.MaxInt32, v...) }
	switch {
	case g.Batch < 1 || g.In < 1 || g.Out < 1 || g.Group < 1:
		return errors.New("batch, channels and groups must be positive")
	case g.In%g.Group != 0 || g.Out%g.Group != 0:
		return errors.New("channels can't be divided by the groups")
	case !mul(g.Batch, g.In, g.InSize[0], g.InSize[1], g.InSize[2]),
		!mul(g.Batch, g.Out, g.OutSize[0], g.OutSize[1], g.OutSize[2]),
		!mul(g.Out, g.In/g.Group, g.Kernel[0], g.Kernel[1], g.Kernel[2]):
		return errors.New("a tensor is empty or has more than 2³¹−1 elements")
	}
	for a := range 3 {
		switch {
		case g.Stride[a] < 1 || g.Stride[a] > 1<<16 || g.Dilation[a] < 1 || g.Dilation[a] > 1<<16:
			return errors.New("strides and dilations must be positive and sane")
		case g.PadBegin[a] < -1<<20 || g.PadBegin[a] > 1<<20:
			return errors.New("the padding is out of range")
		}
	}
	// What one row of outputs reads, padding included, must fit scratch.
	var span [3]int
	for a := range 3 {
		if !within(smallestSlab, g.Kernel[a], g.Dilation[a]) || !within(smallestSlab, g.OutSize[a], g.Stride[a]) {
			return errors.New("kernel, dilation or stride are too large")
		}
		span[a] = (g.Kernel[a]-1)*g.Dilation[a] + 1
	}
	if !within(smallestSlab, span[0], span[1], g.OutSize[2]*g.Stride[2]+span[2]) {
		return errors.New("kernel, dilation or stride are too large")
	}
	return nil
}

// need panics unless s has n floats.
func need(what string, s []float32, n int) {
	if len(s) != n {
		panic(fmt.Sprintf("kernel: %s has %d floats, must have %d", what, len(s), n))
	}
}

// Forward writes y = x * weight + bias. A nil bias is zero.
func (c *Conv) Forward(y, x, weight, bias []float32) {
	c.need(x, y, weight)
	if bias != nil {
		need("bias", bias, c.g.Out)
	}
	c.w.turn.Lock()
	defer c.w.turn.Unlock()
	if c.points != nil {
		c.points.forward(c.w, y, x, weight, bias)
		return
	}
	c.forward.run(c.w, y, x, weight, bias)
}

// GradInput writes the gradient by x, given the gradient by y. It is ConvTranspose's forward pass too.
func (c *Conv) GradInput(dx, weight, dy []float32) {
	c.need(dx, dy, weight)
	c.w.turn.Lock()
	defer c.w.turn.Unlock()
	if c.points != nil {
		c.points.gradInput(c.w, dx, weight, dy)
		return
	}
	c.input.run(c.w, dx, dy, weight, nil)
}

// GradWeight writes the gradient by the weights, summed over the batch.
func (c *Conv) GradWeight(dweight, x, dy []float32) {
	c.need(x, dy, dweight)
	c.w.turn.Lock()
	defer c.w.turn.Unlock()
	if c.points != nil {
		c.points.gradWeight(c.w, dweight, x, dy)
		return
	}
	c.weight.run(c.w, dweight, x, dy)
}

// GradBias writes the gradient by the bias: dy's sum over batch and positions.
func (c *Conv) GradBias(dbias, dy []float32) {
	need("dbias", dbias, c.g.Out)
	need("dy", dy, c.yLen)
	c.w.Do(c.g.Out, func(_, o int) {
		var t float64
		for n := range c.g.Batch {
			t += Sum(dy[(n*c.g.Out+o)*c.outVol:][:c.outVol])
		}
		dbias[o] = float32(t)
	})
}

func (c *Conv) need(x, y, weight []float32) {
	need("x", x, c.xLen)
	need("y", y, c.yLen)
	need("weight", weight, c.wLen)
}
