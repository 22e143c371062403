package gorgonia

import (
	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// product is a batch of matrix products: op(A) is m×k, op(B) is k×n.
type product struct {
	m, n, k        int
	transA, transB bool
	alpha          float32
	// a and b say for each product of the batch which matrix of the inputs it takes.
	a, b []int
}

// matMul multiplies the last two axes. Vectors, which numpy treats as matrices, are for the compiler to reshape.
func (b *builder) matMul(do *program.MatMul) {
	x, y, out := b.shape(0), b.shape(1), b.outShape()
	if len(x) < 2 || len(y) < 2 || len(out) < 2 {
		fail("gorgonia: node %s: a matrix product of shapes %v and %v", b.op.Node, x, y)
	}
	p := &product{m: out[len(out)-2], n: out[len(out)-1], k: x[len(x)-1], transA: do.TransA, transB: do.TransB, alpha: do.Alpha}
	if do.TransA {
		p.k = x[len(x)-2]
	}
	batch := out[:len(out)-2]
	c := newBroadcastIndex(batch, x[:len(x)-2], y[:len(y)-2])
	p.a, p.b = c[0], c[1]
	if len(p.b) > 1 && !do.TransA && size(y[:len(y)-2]) == 1 {
		// One matrix for all rows of A: one product.
		p.m *= len(p.a)
		p.a, p.b = []int{0}, []int{0}
	}
	in := []*G.Node{b.in(0), b.in(1)}
	var bias *broadcast
	if c := b.in(2); c != nil && do.Beta != 0 {
		in = append(in, c)
		bias = newBroadcast(out, out, b.shape(2), program.Add)
	}
	name := b.name("MatMul")
	var biasShape []int
	if bias != nil {
		biasShape = b.shape(2)
	}
	b.set(formula{name: "MatMul", wants: all(len(in)), kernel: func(x *exec, out, in [][]float32) error {
		p.run(x.workers, out[0], in[0], in[1])
		if bias == nil {
			return nil
		}
		c := in[2]
		if do.Beta != 1 {
			c = make([]float32, len(c))
			kernel.Affine(c, in[2], do.Beta, 0)
		}
		return bias.run(x, out, [][]float32{out[0], c})
	}, grad: func(in []*G.Node, _, dy *G.Node) []*G.Node {
		grads := []*G.Node{
			b.apply(formula{name: name + " gradient", outs: [][]int{x}, kernel: func(x *exec, out, in [][]float32) error {
				p.gradA(x.workers, out[0], in[0], in[1])
				return nil
			}}, in[1], dy),
			b.apply(formula{name: name + " gradient", outs: [][]int{y}, kernel: func(x *exec, out, in [][]float32) error {
				p.gradB(x.workers, out[0], in[0], in[1])
				return nil
			}}, in[0], dy),
		}
		if bias != nil {
			grads = append(grads, b.apply(formula{name: name + " gradient", outs: [][]int{biasShape}, kernel: func(x *exec, out, in [][]float32) error {
				bias.grad(x, 1, out, [][]float32{nil, nil, in[0]})
				if do.Beta != 1 {
					kernel.Affine(out[0], out[0], do.Beta, 0)
				}
				return nil
			}}, dy))
		}
		return grads
	}}, in...)
}

// newBroadcastIndex returns for each element of the batch the element of each input that it takes.
func newBroadcastIndex(batch []int, inputs ...[]int) [][]int {
	all := make([][]int, len(inputs))
	n := size(batch)
	for i, shape := range inputs {
		s := repeated(batch, shape)
		all[i] = make([]int, n)
		for e := range n {
			r := e
			for a := len(batch) - 1; a >= 0; a-- {
				all[i][e] += r % batch[a] * s[a]
				r /= batch[a]
			}
		}
	}
	return all
}

// leading returns the length of a row of a matrix that is rows×columns when transposed as trans says.
func leading(trans bool, rows, columns int) int {
	if trans {
		return rows
	}
	return columns
}

func (p *product) run(w *kernel.Workers, out, a, b []float32) {
	for i := range p.a {
		kernel.Gemm(w, p.transA, p.transB, p.m, p.n, p.k, p.alpha, a[p.a[i]*p.m*p.k:], leading(p.transA, p.m, p.k),
			b[p.b[i]*p.k*p.n:], leading(p.transB, p.k, p.n), 0, out[i*p.m*p.n:], p.n)
	}
}

// gradA writes dy·op(B)ᵀ, transposed where A is.
func (p *product) gradA(w *kernel.Workers, da, b, dy []float32) {
	seen := map[int]bool{}
	for i := range p.a {
		at, bt, g := da[p.a[i]*p.m*p.k:], b[p.b[i]*p.k*p.n:], dy[i*p.m*p.n:]
		beta := before(seen, p.a[i])
		if p.transA {
			kernel.Gemm(w, p.transB, true, p.k, p.m, p.n, p.alpha, bt, leading(p.transB, p.k, p.n), g, p.n, beta, at, p.m)
		} else {
			kernel.Gemm(w, false, !p.transB, p.m, p.k, p.n, p.alpha, g, p.n, bt, leading(p.transB, p.k, p.n), beta, at, p.k)
		}
	}
}

// gradB writes op(A)ᵀ·dy, transposed where B is.
func (p *product) gradB(w *kernel.Workers, db, a, dy []float32) {
	seen := map[int]bool{}
	for i := range p.a {
		at, bt, g := a[p.a[i]*p.m*p.k:], db[p.b[i]*p.k*p.n:], dy[i*p.m*p.n:]
		beta := before(seen, p.b[i])
		if p.transB {
			kernel.Gemm(w, true, p.transA, p.n, p.k, p.m, p.alpha, g, p.n, at, leading(p.transA, p.m, p.k), beta, bt, p.k)
		} else {
			kernel.Gemm(w, !p.transA, false, p.k, p.n, p.m, p.alpha, at, leading(p.transA, p.m, p.k), g, p.n, beta, bt, p.n)
		}
	}
}

// before returns 1 where something was written to a matrix before, so that it is added to, and 0 where it is written anew.
func before(seen map[int]bool, i int) float32 {
	if seen[i] {
		return 1
	}
	seen[i] = true
	return 0
}
