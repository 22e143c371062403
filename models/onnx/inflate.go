package onnx

import (
	"encoding/binary"
	"maps"
	"slices"
)

// InflateOptions of Inflate. Nil means all zeros.
type InflateOptions struct {
	// Undivided leaves kernels as they are where they are repeated, as the reference's code does. Activations then grow by the
	// kernel's length with every convolution, which a batch normalisation must be trained to take back.
	Undivided bool
	// Size is the edge of the volume that the model shall take. 0 keeps the image's rows and columns, and has as many slices as columns.
	Size int
	// Evaluate returns the whole numbers of a value that nodes of the model as it was compute, where these follow from the shapes of the
	// inputs alone, Size being the rows and columns. Nil means that such a value is not understood. (Package program does it, which this
	// package can't import.)
	Evaluate func(value string) (values []int64, ok bool)
}

// Inflate turns a model of images [N,C,rows,columns] into one of volumes [N,C,rows,columns,slices] (Carreira & Zisserman, arXiv
// 1705.07750): kernels are repeated along the new axis, which comes last, and divided by its length, so that a volume whose slices are all
// alike gives each slice the image's activations, but near its ends. Pools, strides, pads, scales and reductions treat slices as they do
// columns.
//
// A node whose meaning in three dimensions is not plain is refused by its name, and so are kernels that are longer one way than the
// other. After an error the model must not be used.
func (m *Model) Inflate(opts *InflateOptions) error {
	if opts == nil {
		opts = &InflateOptions{}
	}
	g := &m.Graph
	if g.nested() {
		return malformed("a model with graphs inside a graph can't be inflated")
	}
	if err := m.Check(); err != nil {
		return err
	}
	f := &inflater{InflateOptions: *opts, graph: g, opset: m.Opsets[""], lookup: g.lookup(), kinds: map[string]kind{}, made: map[string]*Tensor{}}
	if err := f.input(); err != nil {
		return err
	}
	for _, n := range g.Nodes {
		if err := f.node(n); err != nil {
			return err
		}
	}
	f.output()
	for _, name := range slices.Sorted(maps.Keys(f.made)) {
		t := f.made[name]
		if i := slices.IndexFunc(g.Initializers, func(old *Tensor) bool { return old.Name == t.Name }); i >= 0 {
			g.Initializers[i] = t
		} else {
			g.Initializers = append(g.Initializers, t)
		}
	}
	g.sweep()
	return nil
}

// kind is what is known of a value.
type kind int

const (
	other  kind = iota // has no rows and columns: constants, vectors
	image              // [N,C,rows,columns]
	pooled             // an image of one pixel
)

type inflater struct {
	InflateOptions
	*lookup
	graph *Graph
	opset int64
	kinds map[string]kind
	// made has the new constants by the name of the old one and what was done to it.
	made map[string]*Tensor
	// rows is the first image's, columns its width: Size replaces them.
	rows, columns int64
}

func (f *inflater) input() error {
	for i := range f.graph.Inputs {
		v := &f.graph.Inputs[i]
		if len(v.Shape) != 4 {
			continue
		}
		if f.rows == 0 {
			f.rows, f.columns = v.Shape[2], v.Shape[3]
		}
		f.kinds[v.Name] = image
		if size := int64(f.Size); size > 0 {
			v.Shape = []int64{v.Shape[0], v.Shape[1], size, size, size}
		} else {
			v.Shape = append(v.Shape, v.Shape[3])
		}
	}
	if f.rows == 0 {
		return malformed("nothing to inflate: no input is an image [N,C,rows,columns]")
	}
	return nil
}

func (f *inflater) output() {
	for i := range f.graph.Outputs {
		v := &f.graph.Outputs[i]
		switch {
		case f.kinds[v.Name] == pooled:
			v.Shape = append(v.Shape, 1)
		case f.kinds[v.Name] == image && len(v.Shape) == 4:
			rows, columns := f.resized(v.Shape[2], f.rows), f.resized(v.Shape[3], f.columns)
			v.Shape = []int64{v.Shape[0], v.Shape[1], rows, columns, columns}
		}
	}
}

// resized is the length of an output's dimension where the input's changes from of to Size. One that doesn't come out whole is left
// open.
func (f *inflater) resized(v, of int64) int64 {
	size := int64(f.Size)
	switch {
	case v < 0 || size == 0:
		return v
	case of <= 0 || v > 1<<30 || v*size%of != 0:
		return -1
	}
	return v * size / of
}

// kindOf is the kind of a node's input.
func (f *inflater) kindOf(n *Node, input int) kind { return f.kinds[at(n.Inputs, input)] }

// node changes one node and notes what its outputs are.
func (f *inflater) node(n *Node) error {
	images := 0
	for i := range n.Inputs {
		if f.kindOf(n, i) != other {
			images++
		}
	}
	rule, known := inflations[n.Op]
	switch {
	case images == 0 && !(known && growsVectors[n.Op]):
		return nil
	case !known || n.Domain != "":
		return f.refuse(n, "it is not known what this operator means in three dimensions")
	}
	k, err := rule(f, n)
	for _, out := range n.Outputs {
		f.kinds[out] = k
	}
	return err
}

func (f *inflater) refuse(n *Node, format string, args ...any) error {
	return malformed("node %s (%s) can't be inflated: %s", n.label(), n.Op, malformed(format, args...).Detail)
}

// set replaces or adds a list of integers.
func (n *Node) set(name string, values []int64) {
	n.raw = nil
	n.Attributes = slices.Clone(n.Attributes)
	for i, a := range n.Attributes {
		if a.Name == name {
			n.Attributes[i] = IntsAttribute(name, values...)
			return
		}
	}
	n.Attributes = append(n.Attributes, IntsAttribute(name, values...))
}

// put makes t an input of the node. The old constant's name stays where nothing else reads it, so that weights keep theirs.
func (f *inflater) put(n *Node, input int, how string, t *Tensor) {
	old := n.Inputs[input]
	if f.constants[old] != nil && f.makers[old] == nil && len(f.readers[old]) == 1 && !f.outputs[old] {
		t.Name = old
		f.made[old] = t
		return
	}
	t.Name = old + "/" + how
	f.made[t.Name] = t
	n.Inputs = slices.Clone(n.Inputs)
	n.Inputs[input], n.raw = t.Name, nil
}

// newInts makes an int64 tensor of one dimension.
func newInts(values []int64) *Tensor {
	t := &Tensor{Type: Int64, Dims: []int64{int64(len(values))}}
	for _, v := range values {
		t.data = binary.LittleEndian.AppendUint64(t.data, uint64(v))
	}
	return t
}
