package xla

import (
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas
)

// Sums decide how well float32 gradients agree between engines. XLA's code for processors adds one element after
// another, which for the 262,144 positions of a 64³ volume loses three digits; products with a vector of ones add in blocks, and
// use all threads. GPUs add in trees by themselves.

// columns sums a float32 [M,C] over its rows: [1,C].
func (b *build) columns(x *Node) *Node {
	d := dims(x)
	if !b.host || d[0] < 64 {
		return Reshape(ReduceSum(x, 0), 1, d[1])
	}
	return DotGeneral(Ones(b.g, shape32(1, d[0])), []int{1}, nil, x, []int{0}, nil)
}

// total sums all elements of a float32 node.
func (b *build) total(x *Node) *Node {
	n := x.Shape().Size()
	if !b.host || n < 64 {
		return ReduceAllSum(x)
	}
	c := 1
	for n%(2*c) == 0 && c < 4096 {
		c *= 2
	}
	if c < 8 { // an odd length: rows of the last axis are as good
		c = dims(x)[x.Rank()-1]
	}
	rows := Reshape(x, n/c, c)
	return ReduceAllSum(DotGeneral(rows, []int{1}, nil, Ones(b.g, shape32(c, 1)), []int{0}, nil))
}

// sumOf sums over some axes, which the result keeps with length 1.
func (b *build) sumOf(x *Node, axes ...int) *Node {
	if len(axes) == 0 {
		return x
	}
	x = f32(x)
	keep := append([]int{}, dims(x)...)
	for _, a := range axes {
		keep[a] = 1
	}
	if leading(axes) {
		n := product(dims(x)[:len(axes)])
		return Reshape(b.columns(Reshape(x, n, x.Shape().Size()/n)), keep...)
	}
	return Reshape(ReduceSum(x, axes...), keep...)
}

// leading tells whether axes are 0, 1, 2, ….
func leading(axes []int) bool {
	for i, a := range axes {
		if a != i {
			return false
		}
	}
	return true
}
