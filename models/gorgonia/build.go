package gorgonia

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// builder makes formulas of a program's operations.
type builder struct {
	symbols
	program  *program.Program
	training bool
	workers  *kernel.Workers
	convs    map[kernel.Geometry]*kernel.Conv
	// fixed has the memory of statistics and constants by value. Training moves the statistics.
	fixed [][]float32
	nodes []*G.Node // by value
	// readers counts what reads a value: operations, and the program's outputs.
	readers []int
	makers  []*program.Op // by value; nil for what isn't computed
	// learned tells the values that a trained parameter has a part in. Others have no gradient. It has none but in training.
	learned []bool
	op      *program.Op // that is being built
	number  uint64      // its place in the program
}

// forward builds all operations. Those of a program are in order.
func (b *builder) forward() {
	p := b.program
	b.nodes, b.readers, b.makers = make([]*G.Node, len(p.Values)), make([]int, len(p.Values)), make([]*program.Op, len(p.Values))
	b.learned = make([]bool, len(p.Values))
	for i := range p.Values {
		b.learned[i] = b.training && p.Values[i].Role == program.Parameter
		if p.Values[i].Role != program.Computed {
			b.nodes[i] = b.input(fmt.Sprint("value ", i), p.Values[i].Shape)
		}
	}
	for _, v := range p.Outputs {
		b.readers[v]++
	}
	for i := range p.Ops {
		learned := false
		for _, v := range p.Ops[i].In {
			if v >= 0 {
				b.readers[v]++
				learned = learned || b.learned[v]
			}
		}
		for _, v := range p.Ops[i].Out {
			b.makers[v], b.learned[v] = &p.Ops[i], learned
		}
	}
	done := make([]bool, len(p.Ops))
	for i := range p.Ops {
		if !done[i] {
			b.op, b.number = &p.Ops[i], uint64(i)
			b.build(i, done)
		}
	}
}

// build builds one operation, and with it those that follow it and are computed in the same pass.
func (b *builder) build(i int, done []bool) {
	switch do := b.op.Do.(type) {
	case *program.Conv:
		b.conv(do)
	case *program.ConvTranspose:
		b.convTranspose(do)
	case *program.BatchNorm:
		b.batchNorm(do, b.fuse(i, done))
	case *program.LayerNorm:
		b.layerNorm(do)
	case *program.Unary:
		b.unary(do)
	case *program.Binary:
		b.binary(do)
	case *program.Pool:
		b.pool(do)
	case *program.Mean:
		b.mean(do)
	case *program.Resize:
		b.resize(do)
	case *program.Concat:
		b.concat(do)
	case *program.Slice:
		b.slice(do)
	case *program.Pad:
		b.pad(do)
	case *program.MatMul:
		b.matMul(do)
	case *program.Reshape:
		b.reshape()
	case *program.Transpose:
		b.transpose(do)
	case *program.Expand:
		b.expand()
	case *program.LSTM:
		b.lstm(do)
	case *program.Softmax:
		b.softmax(do)
	case *program.Dropout:
		b.dropout(do)
	default:
		fail("gorgonia: node %s: no operation %T", b.op.Node, do)
	}
}

// spread moves each Relu that alone reads a concatenation to before it: there it can be computed together with what made the part.
// The program's operations are replaced, not changed.
func spread(p *program.Program) *program.Program {
	readers := make([]int, len(p.Values))
	for _, v := range p.Outputs {
		readers[v]++
	}
	maker := make([]int, len(p.Values))
	for i := range p.Ops {
		for _, v := range p.Ops[i].In {
			if v >= 0 {
				readers[v]++
			}
		}
		for _, v := range p.Ops[i].Out {
			maker[v] = i
		}
	}
	q := *p
	q.Values = slices.Clone(p.Values)
	q.Ops = nil
	after := map[int]*program.Op{} // by the concatenation
	gone := map[int]bool{}
	for i := range p.Ops {
		op := &p.Ops[i]
		if u, ok := op.Do.(*program.Unary); !ok || (u.Func != program.Relu && u.Func != program.LeakyRelu) || p.Values[op.In[0]].Role != program.Computed {
			continue
		}
		c := maker[op.In[0]]
		if _, ok := p.Ops[c].Do.(*program.Concat); ok && readers[op.In[0]] == 1 {
			after[c], gone[i] = op, true
		}
	}
	for i := range p.Ops {
		op := p.Ops[i]
		relu := after[i]
		if gone[i] {
			continue
		}
		if relu != nil {
			op.In, op.Out = slices.Clone(op.In), relu.Out
			for k, v := range op.In {
				q.Values = append(q.Values, program.Value{Name: p.Values[v].Name, Shape: p.Values[v].Shape})
				q.Ops = append(q.Ops, program.Op{Do: relu.Do, In: []int{v}, Out: []int{len(q.Values) - 1}, Node: relu.Node})
				op.In[k] = len(q.Values) - 1
			}
		}
		q.Ops = append(q.Ops, op)
	}
	return &q
}

// fuse returns the Relu that alone reads the result of operation i, and takes it over: what is set for it is set for i. It returns nil where there is
// none.
func (b *builder) fuse(i int, done []bool) *program.Unary {
	out := b.program.Ops[i].Out[0]
	if b.readers[out] != 1 {
		return nil
	}
	for j := i + 1; j < len(b.program.Ops); j++ {
		next := &b.program.Ops[j]
		if len(next.In) != 1 || next.In[0] != out {
			continue
		}
		u, ok := next.Do.(*program.Unary)
		if !ok || u.Func != program.Relu && (u.Func != program.LeakyRelu || u.Alpha <= 0) {
			return nil // the gradient takes the sign from the result
		}
		done[j] = true
		fused := *b.op
		fused.Out = next.Out
		b.op = &fused
		return u
	}
	return nil
}

// in returns the node of the i-th input, nil where it is left out.
func (b *builder) in(i int) *G.Node {
	if i >= len(b.op.In) || b.op.In[i] < 0 {
		return nil
	}
	return b.nodes[b.op.In[i]]
}

// shape returns the shape of the i-th input, and outShape that of the first output.
func (b *builder) shape(i int) []int { return b.program.Values[b.op.In[i]].Shape }
func (b *builder) outShape() []int   { return b.program.Values[b.op.Out[0]].Shape }

// set makes the first output of a formula.
func (b *builder) set(f formula, in ...*G.Node) {
	f.name = b.name(f.name)
	if f.outs == nil {
		f.outs = [][]int{b.outShape()}
	}
	b.nodes[b.op.Out[0]] = b.apply(f, in...)
}

func (b *builder) name(do string) string { return do + " " + b.op.Node }

// all is a list of n trues: every input has a gradient.
func all(n int) []bool {
	w := make([]bool, n)
	for i := range w {
		w[i] = true
	}
	return w
}
