package gorgonia

import (
	"math"
	"slices"
	"sync"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// broadcast is an elementwise combination of a and b. A stride of 0 repeats. The last axis is a row, in which strides are 0 or 1.
type broadcast struct {
	shape []int
	a, b  []int // strides
	fn    program.Arithmetic

	finding sync.Mutex
	sums    [2]*rowSums // by a and by b; found when they are first needed
}

// newBroadcast merges the axes that are one for both inputs.
func newBroadcast(out, a, b []int, fn program.Arithmetic) *broadcast {
	sa, sb := repeated(out, a), repeated(out, b)
	c := &broadcast{fn: fn}
	for i, n := range out {
		if n == 1 {
			continue
		}
		if k := len(c.shape) - 1; k >= 0 && c.a[k] == n*sa[i] && c.b[k] == n*sb[i] {
			c.shape[k] *= n
			c.a[k], c.b[k] = sa[i], sb[i]
			continue
		}
		c.shape, c.a, c.b = append(c.shape, n), append(c.a, sa[i]), append(c.b, sb[i])
	}
	if len(c.shape) == 0 {
		c.shape, c.a, c.b = []int{1}, []int{0}, []int{0}
	}
	return c
}

// repeated returns the strides of a dense shape as seen from the one that it broadcasts to.
func repeated(out, shape []int) []int {
	s, dense := make([]int, len(out)), strides(shape)
	for i := range shape {
		if shape[i] != 1 {
			s[len(out)-len(shape)+i] = dense[i]
		}
	}
	return s
}

// offset returns where row r begins in a tensor with strides s, and in the output.
func (c *broadcast) offset(r int, s []int) int {
	at := 0
	for k := len(c.shape) - 2; k >= 0; k-- {
		at += r % c.shape[k] * s[k]
		r /= c.shape[k]
	}
	return at
}

func (c *broadcast) run(x *exec, out, in [][]float32) error {
	last := len(c.shape) - 1
	n := c.shape[last]
	sa, sb := c.a[last], c.b[last]
	if last == 0 {
		x.span(n, func(from, to int) { c.row(out[0][from:to], in[0][from*sa:], in[1][from*sb:], sa, sb) })
		return nil
	}
	rows := size(c.shape[:last])
	each := max(1, grain/n)
	x.workers.Do((rows+each-1)/each, func(_, p int) {
		for r := p * each; r < min(rows, (p+1)*each); r++ {
			c.row(out[0][r*n:][:n], in[0][c.offset(r, c.a):], in[1][c.offset(r, c.b):], sa, sb)
		}
	})
	return nil
}

// row combines one row.
func (c *broadcast) row(o, a, b []float32, sa, sb int) {
	n := len(o)
	switch {
	case sa == 0 && sb == 0:
		v := arithmetic(c.fn, a[0], b[0])
		for i := range o {
			o[i] = v
		}
	case c.fn == program.Add && sa == 1 && sb == 1:
		kernel.Add(o, a[:n], b[:n])
	case c.fn == program.Mul && sa == 1 && sb == 1:
		kernel.Mul(o, a[:n], b[:n])
	case c.fn == program.Sub && sa == 1 && sb == 1:
		kernel.Affine2(o, a[:n], b[:n], 1, -1, 0)
	case c.fn == program.Add && sa == 1:
		kernel.Affine(o, a[:n], 1, b[0])
	case c.fn == program.Add && sb == 1:
		kernel.Affine(o, b[:n], 1, a[0])
	case c.fn == program.Sub && sa == 1:
		kernel.Affine(o, a[:n], 1, -b[0])
	case c.fn == program.Sub && sb == 1:
		kernel.Affine(o, b[:n], -1, a[0])
	case c.fn == program.Div && sa == 1 && sb == 0:
		kernel.Over(o, a[:n], b[0])
	case c.fn == program.Mul && sa == 1:
		kernel.Affine(o, a[:n], b[0], 0)
	case c.fn == program.Mul && sb == 1:
		kernel.Affine(o, b[:n], a[0], 0)
	default:
		for i := range o {
			o[i] = arithmetic(c.fn, a[i*sa], b[i*sb])
		}
	}
}

func arithmetic(fn program.Arithmetic, a, b float32) float32 {
	switch fn {
	case program.Add:
		return a + b
	case program.Sub:
		return a - b
	case program.Mul:
		return a * b
	case program.Div:
		return a / b
	}
	if b == 2 {
		return a * a
	}
	return float32(math.Pow(float64(a), float64(b)))
}

// slope writes dy times the derivative by one of the inputs.
func (c *broadcast) slope(which int, g, a, b, dy []float32, sa, sb int) {
	n := len(g)
	switch c.fn {
	case program.Add:
		copy(g, dy)
	case program.Sub:
		copy(g, dy)
		if which == 1 {
			kernel.Affine(g, g, -1, 0)
		}
	case program.Mul:
		other, s := b, sb
		if which == 1 {
			other, s = a, sa
		}
		if s == 1 {
			kernel.Mul(g, dy, other[:n])
		} else {
			kernel.Affine(g, dy, other[0], 0)
		}
	case program.Div:
		for i := range g {
			g[i] = dy[i] / b[i*sb]
			if which == 1 {
				g[i] *= -a[i*sa] / b[i*sb]
			}
		}
	case program.Pow:
		for i := range g {
			e := b[i*sb]
			if e == 2 {
				g[i] = dy[i] * 2 * a[i*sa]
			} else {
				g[i] = float32(float64(dy[i]) * float64(e) * math.Pow(float64(a[i*sa]), float64(e)-1))
			}
		}
	}
}

// grad sums the slopes by one of the inputs over the axes that it is repeated along. in are a, b and dy. Each element of the result
// has one worker and one order.
func (c *broadcast) grad(x *exec, which int, out, in [][]float32) {
	s := c.a
	if which == 1 {
		s = c.b
	}
	last := len(c.shape) - 1
	n := c.shape[last]
	sa, sb := c.a[last], c.b[last]
	if last == 0 && s[0] == 1 {
		x.span(n, func(from, to int) {
			c.slope(which, out[0][from:to], in[0][min(from*sa, len(in[0])):], in[1][min(from*sb, len(in[1])):], in[2][from:to], sa, sb)
		})
		return
	}
	sums := c.sumsOf(which, s)
	starts := len(sums.ends)
	each := max(1, grain/(n*max(1, len(sums.rows)/starts)))
	x.workers.Do((starts+each-1)/each, func(_, p int) {
		g := make([]float32, n)
		var sum []float64
		if s[last] == 1 {
			sum = make([]float64, n)
		}
		for k := p * each; k < min(starts, (p+1)*each); k++ {
			rows := sums.of(k)
			at := c.offset(rows[0], s)
			total := 0.0
			clear(sum)
			for _, r := range rows {
				a, b, dy := in[0][min(c.offset(r, c.a), len(in[0])):], in[1][min(c.offset(r, c.b), len(in[1])):], in[2][r*n:][:n]
				if sum == nil {
					total += c.slopes(which, g, a, b, dy, sa, sb)
					continue
				}
				if len(rows) == 1 {
					c.slope(which, out[0][at:][:n], a, b, dy, sa, sb)
					continue
				}
				c.slope(which, g, a, b, dy, sa, sb)
				for i, v := range g {
					sum[i] += float64(v)
				}
			}
			switch {
			case sum == nil:
				out[0][at] = float32(total)
			case len(rows) > 1:
				for i, v := range sum {
					out[0][at+i] = float32(v)
				}
			}
		}
	})
}

// slopes sums what slope writes; g is scratch.
func (c *broadcast) slopes(which int, g, a, b, dy []float32, sa, sb int) float64 {
	switch other, s := b, sb; c.fn {
	case program.Add:
		return kernel.Sum(dy)
	case program.Mul:
		if which == 1 {
			other, s = a, sa
		}
		if s == 1 {
			return kernel.Dot(dy, other[:len(dy)])
		}
		return kernel.Sum(dy) * float64(other[0])
	}
	c.slope(which, g, a, b, dy, sa, sb)
	return kernel.Sum(g)
}

// rowSums has the rows of the result that each row, or element, of a repeated input is summed from.
type rowSums struct{ rows, ends []int }

func (s *rowSums) of(k int) []int {
	from := 0
	if k > 0 {
		from = s.ends[k-1]
	}
	return s.rows[from:s.ends[k]]
}

// sumsOf finds the sums by an input with strides s; once, since they are the same at each run.
func (c *broadcast) sumsOf(which int, s []int) *rowSums {
	c.finding.Lock()
	defer c.finding.Unlock()
	if c.sums[which] != nil {
		return c.sums[which]
	}
	r := &rowSums{rows: make([]int, size(c.shape[:len(c.shape)-1]))}
	at := make([]int, len(r.rows))
	for i := range at {
		r.rows[i], at[i] = i, c.offset(i, s)
	}
	slices.SortStableFunc(r.rows, func(i, j int) int { return at[i] - at[j] })
	for k, i := range r.rows {
		if k > 0 && at[r.rows[k-1]] != at[i] {
			r.ends = append(r.ends, k)
		}
	}
	r.ends = append(r.ends, len(r.rows))
	c.sums[which] = r
	return r
}

func (b *builder) binary(do *program.Binary) {
	x, y := b.shape(0), b.shape(1)
	out := b.outShape()
	c := newBroadcast(out, x, y, do.Func)
	f := formula{name: string(do.Func), wants: all(2), kernel: c.run}
	if do.Func == program.Pow {
		f.wants[1] = false
	}
	if slices.Equal(x, out) {
		f.inPlace = append(f.inPlace, 0)
	}
	if slices.Equal(y, out) {
		f.inPlace = append(f.inPlace, 1)
	}
	name := b.name(string(do.Func))
	// Sums need only dy; the places of the inputs are then empty.
	reads := []bool{true, true, true}
	if do.Func == program.Add || do.Func == program.Sub {
		reads = []bool{false, false, true}
	}
	f.grad = func(in []*G.Node, _, dy *G.Node) []*G.Node {
		grads := make([]*G.Node, 2)
		for which, shape := range [2][]int{x, y} {
			switch {
			case !f.wants[which]:
			case slices.Equal(shape, out) && (do.Func == program.Add || do.Func == program.Sub && which == 0):
				grads[which] = dy
			default:
				grads[which] = b.apply(formula{name: name + " gradient", outs: [][]int{shape}, reads: reads,
					kernel: func(x *exec, out, in [][]float32) error {
						c.grad(x, which, out, in)
						return nil
					}}, in[0], in[1], dy)
			}
		}
		return grads
	}
	b.set(f, b.in(0), b.in(1))
}
