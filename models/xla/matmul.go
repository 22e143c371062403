package xla

import (
	"slices"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models/program"
)

// matMul is Alpha·A·B + Beta·C.
func (b *build) matMul(op *program.MatMul, in []tensor, shape []int) (tensor, backward) {
	left, right := b.order(in[0]), b.order(in[1])
	shapes := [2][]int{dims(left), dims(right)}
	// Vectors are matrices of one row or column.
	x, y := ConvertDType(left, b.compute), ConvertDType(right, b.compute)
	if x.Rank() == 1 {
		x = Reshape(x, 1, -1)
	}
	if y.Rank() == 1 {
		y = Reshape(y, -1, 1)
	}
	m := newMatrices(op, x, y)
	z := m.times(x, y)
	if op.Alpha != 1 {
		z = MulScalar(z, float64(op.Alpha))
	}
	z = Reshape(z, shape...)
	if len(in) > 2 && in[2].n != nil {
		c := b.order(in[2])
		c = BroadcastToDims(Reshape(c, raise(dims(c), len(shape))...), shape...)
		z = Add(z, ConvertDType(MulScalar(c, float64(op.Beta)), z.DType()))
	}
	return tensor{n: z}, func(dy tensor, need []bool) []tensor {
		g := b.order(dy)
		dx := make([]tensor, len(in))
		scaled := ConvertDType(g, b.compute)
		if op.Alpha != 1 {
			scaled = MulScalar(scaled, float64(op.Alpha))
		}
		scaled = Reshape(scaled, m.result()...)
		if need[0] {
			dx[0].n = Reshape(b.unbroadcast(m.byLeft(scaled, y), dims(x)), shapes[0]...)
		}
		if need[1] {
			dx[1].n = Reshape(b.unbroadcast(m.byRight(scaled, x), dims(y)), shapes[1]...)
		}
		if len(in) > 2 && need[2] {
			dx[2].n = MulScalar(b.unbroadcast(f32(g), dims(b.order(in[2]))), float64(op.Beta))
		}
		return dx
	}
}

// matrices multiplies stacks of matrices [batch…,M,K] and [batch…,K,N], either perhaps with its last axes swapped.
type matrices struct {
	batch          []int
	m, n           int
	transA, transB bool
	flat           bool // one right factor for all: the rows of all left factors are one matrix
}

func newMatrices(op *program.MatMul, x, y *Node) matrices {
	dx, dy := dims(x), dims(y)
	s := matrices{transA: op.TransA, transB: op.TransB}
	s.m, s.n = dx[len(dx)-2], dy[len(dy)-1]
	if op.TransA {
		s.m = dx[len(dx)-1]
	}
	if op.TransB {
		s.n = dy[len(dy)-2]
	}
	s.flat = len(dy) == 2 && !op.TransA
	rank := max(len(dx), len(dy))
	bx, by := raise(dx[:len(dx)-2], rank-2), raise(dy[:len(dy)-2], rank-2)
	for i := range bx {
		s.batch = append(s.batch, max(bx[i], by[i]))
	}
	return s
}

func (s matrices) result() []int { return slices.Concat(s.batch, []int{s.m, s.n}) }

// stack gives a stack the full batch as one axis.
func (s matrices) stack(x *Node) *Node {
	d := dims(x)
	rank := len(s.batch) + 2
	x = Reshape(x, raise(d, rank)...)
	full := slices.Concat(s.batch, d[len(d)-2:])
	return Reshape(BroadcastToDims(x, full...), append([]int{product(s.batch)}, d[len(d)-2:]...)...)
}

// dot sums over an axis of each of two stacks; 1 is the first axis of a matrix.
func (s matrices) dot(x *Node, overX int, y *Node, overY int) *Node {
	z := DotGeneral(s.stack(x), []int{overX}, []int{0}, s.stack(y), []int{overY}, []int{0})
	return Reshape(z, slices.Concat(s.batch, dims(z)[1:])...)
}

func over(trans bool, plain int) int {
	if trans {
		return 3 - plain
	}
	return plain
}

func (s matrices) times(x, y *Node) *Node {
	if s.flat {
		z := DotGeneral(Reshape(x, -1, dims(x)[x.Rank()-1]), []int{1}, nil, y, []int{over(s.transB, 1) - 1}, nil)
		return Reshape(z, s.result()...)
	}
	return s.dot(x, over(s.transA, 2), y, over(s.transB, 1))
}

// byLeft is the gradient by the left factor, with the full batch.
func (s matrices) byLeft(g, y *Node) *Node {
	if s.flat {
		z := DotGeneral(Reshape(g, -1, s.n), []int{1}, nil, y, []int{over(s.transB, 2) - 1}, nil)
		return Reshape(z, slices.Concat(s.batch, []int{s.m, -1})...)
	}
	if s.transA {
		return s.dot(y, over(s.transB, 2), g, 2)
	}
	return s.dot(g, 2, y, over(s.transB, 2))
}

// byRight is the gradient by the right factor, with the full batch unless there is one for all.
func (s matrices) byRight(g, x *Node) *Node {
	if s.flat {
		rg, rx := Reshape(g, -1, s.n), Reshape(x, -1, dims(x)[x.Rank()-1])
		if s.transB {
			return DotGeneral(rg, []int{0}, nil, rx, []int{0}, nil)
		}
		return DotGeneral(rx, []int{0}, nil, rg, []int{0}, nil)
	}
	if s.transB {
		return s.dot(g, 1, x, over(s.transA, 1))
	}
	return s.dot(x, over(s.transA, 1), g, 1)
}
