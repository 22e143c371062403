package gorgonia

import (
	"unsafe"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/program"
)

// strided copies a box between two dense tensors: element i of the box lies at base + Σ i·stride in each.
type strided struct {
	shape    []int
	from, to []int // strides
	fromBase int
	toBase   int
}

// strides returns the strides of a dense shape.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// simplify merges axes that are one in both tensors, and drops those of length 1.
func (c strided) simplify() strided {
	out := strided{fromBase: c.fromBase, toBase: c.toBase}
	for i, n := range c.shape {
		if n == 1 {
			continue
		}
		if k := len(out.shape) - 1; k >= 0 && out.from[k] == n*c.from[i] && out.to[k] == n*c.to[i] {
			out.shape[k] *= n
			out.from[k], out.to[k] = c.from[i], c.to[i]
			continue
		}
		out.shape, out.from, out.to = append(out.shape, n), append(out.from, c.from[i]), append(out.to, c.to[i])
	}
	if len(out.shape) == 0 {
		out.shape, out.from, out.to = []int{1}, []int{1}, []int{1}
	}
	return out
}

// run copies, or adds where add is set.
func (c *strided) run(x *exec, to, from []float32, add bool) {
	last := len(c.shape) - 1
	n, fs, ts := c.shape[last], c.from[last], c.to[last]
	rows := size(c.shape[:last])
	each := max(1, grain/max(n, 1))
	if add {
		each = rows // the rows may overlap
	}
	if rows == 1 && fs == 1 && ts == 1 && !add {
		x.span(n, func(a, b int) { copy(to[c.toBase+a:c.toBase+b], from[c.fromBase+a:c.fromBase+b]) })
		return
	}
	x.workers.Do((rows+each-1)/max(each, 1), func(_, p int) {
		for r := p * each; r < min(rows, (p+1)*each); r++ {
			f, t, k := c.fromBase, c.toBase, r
			for a := last - 1; a >= 0; a-- {
				i := k % c.shape[a]
				k /= c.shape[a]
				f += i * c.from[a]
				t += i * c.to[a]
			}
			switch {
			case add:
				for i := range n {
					to[t+i*ts] += from[f+i*fs]
				}
			case fs == 1 && ts == 1:
				copy(to[t:t+n], from[f:f+n])
			default:
				for i := range n {
					to[t+i*ts] = from[f+i*fs]
				}
			}
		}
	})
}

// same tells whether two slices begin at the same place: then there is nothing to copy.
func same(a, b []float32) bool { return unsafe.SliceData(a) == unsafe.SliceData(b) }

// concat is done by the plan where what comes before the axis has length 1: the parts are made where they belong.
func (b *builder) concat(do *program.Concat) {
	out := b.outShape()
	outer, inner := size(out[:do.Axis]), size(out[do.Axis+1:])
	var parts [][]int
	var in []*G.Node
	for i := range b.op.In {
		parts = append(parts, b.shape(i))
		in = append(in, b.in(i))
	}
	row := out[do.Axis] * inner
	name := b.name("Concat")
	b.set(formula{name: "Concat", wants: all(len(in)), joined: outer == 1,
		kernel: func(x *exec, out, in [][]float32) error {
			at := 0
			for i, part := range in {
				n := parts[i][do.Axis] * inner
				if n > 0 && !same(part, out[0][at:]) {
					c := strided{shape: []int{outer, n}, from: []int{n, 1}, to: []int{row, 1}, toBase: at}.simplify()
					c.run(x, out[0], part, false)
				}
				at += n
			}
			return nil
		},
		grad: func(_ []*G.Node, _, dy *G.Node) []*G.Node {
			grads := make([]*G.Node, len(parts))
			at := 0
			for i, part := range parts {
				n := part[do.Axis] * inner
				f := formula{name: name + " gradient", outs: [][]int{part}}
				if outer == 1 {
					from := at
					f.view = &from
				} else {
					c := strided{shape: []int{outer, n}, from: []int{row, 1}, to: []int{n, 1}, fromBase: at}.simplify()
					f.kernel = func(x *exec, out, in [][]float32) error {
						c.run(x, out[0], in[0], false)
						return nil
					}
				}
				grads[i] = b.apply(f, dy)
				at += n
			}
			return grads
		},
	}, in...)
}

// joinParts writes the inputs one after the other, but for those that were made there.
func joinParts(x *exec, out, in [][]float32) error {
	at := 0
	for _, part := range in {
		if to := out[0][at:]; !same(part, to) {
			x.span(len(part), func(from, end int) { copy(to[from:end], part[from:end]) })
		}
		at += len(part)
	}
	return nil
}

func (b *builder) reshape() {
	shape, zero := b.shape(0), 0
	name := b.name("Reshape")
	b.set(formula{name: "Reshape", view: &zero, wants: all(1), grad: func(_ []*G.Node, _, dy *G.Node) []*G.Node {
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, view: &zero}, dy)}
	}}, b.in(0))
}

// slice is a view where the elements lie together.
func (b *builder) slice(do *program.Slice) {
	shape, out := b.shape(0), b.outShape()
	from := strides(shape)
	c := strided{shape: out, from: make([]int, len(out)), to: strides(out)}
	for a := range out {
		c.fromBase += do.Start[a] * from[a]
		c.from[a] = do.Step[a] * from[a]
	}
	c = c.simplify()
	back := strided{shape: c.shape, from: c.to, to: c.from, toBase: c.fromBase}
	f := formula{name: "Slice", wants: all(1), kernel: func(x *exec, out, in [][]float32) error {
		c.run(x, out[0], in[0], false)
		return nil
	}}
	if len(c.shape) == 1 && c.from[0] == 1 {
		f.view = &c.fromBase
	}
	name, within := b.name("Slice"), f.view
	f.grad = func(_ []*G.Node, _, dy *G.Node) []*G.Node {
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, within: within, kernel: func(x *exec, out, in [][]float32) error {
			clear(out[0])
			back.run(x, out[0], in[0], false)
			return nil
		}}, dy)}
	}
	b.set(f, b.in(0))
}

func (b *builder) pad(do *program.Pad) {
	shape, out := b.shape(0), b.outShape()
	to := strides(out)
	c := strided{shape: shape, from: strides(shape), to: to}
	for a := range shape {
		c.toBase += do.Begin[a] * to[a]
	}
	c = c.simplify()
	back := strided{shape: c.shape, from: c.to, to: c.from, fromBase: c.toBase}
	name := b.name("Pad")
	b.set(formula{name: "Pad", wants: all(1), kernel: func(x *exec, out, in [][]float32) error {
		x.span(len(out[0]), func(from, to int) {
			for i := range out[0][from:to] {
				out[0][from+i] = do.Value
			}
		})
		c.run(x, out[0], in[0], false)
		return nil
	}, grad: func(_ []*G.Node, _, dy *G.Node) []*G.Node {
		return []*G.Node{b.apply(formula{name: name + " gradient", outs: [][]int{shape}, kernel: func(x *exec, out, in [][]float32) error {
			back.run(x, out[0], in[0], false)
			return nil
		}}, dy)}
	}}, b.in(0))
}

func (b *builder) transpose(do *program.Transpose) {
	shape, out := b.shape(0), b.outShape()
	from := strides(shape)
	c := strided{shape: out, from: make([]int, len(out)), to: strides(out)}
	for a, p := range do.Perm {
		c.from[a] = from[p]
	}
	c = c.simplify()
	back := strided{shape: c.shape, from: c.to, to: c.from}
	f := formula{name: "Transpose", wants: all(1), kernel: func(x *exec, out, in [][]float32) error {
		c.run(x, out[0], in[0], false)
		return nil
	}}
	g := formula{name: b.name("Transpose") + " gradient", outs: [][]int{shape}, kernel: func(x *exec, out, in [][]float32) error {
		back.run(x, out[0], in[0], false)
		return nil
	}}
	if zero := 0; len(c.shape) == 1 && c.from[0] == 1 {
		f.view, g.view = &zero, &zero
	}
	f.grad = func(_ []*G.Node, _, dy *G.Node) []*G.Node { return []*G.Node{b.apply(g, dy)} }
	b.set(f, b.in(0))
}
