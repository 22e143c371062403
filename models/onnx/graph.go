package onnx

// lookup answers questions about a graph: who makes a value, who reads it, what is constant. It must be
// made anew after the graph was changed.
type lookup struct {
	constants map[string]*Tensor
	makers    map[string]*Node
	readers   map[string][]*Node
	outputs   map[string]bool
	inputs    map[string]Value
	widths    map[string]int64 // what channels has found
}

func (g *Graph) lookup() *lookup {
	l := &lookup{map[string]*Tensor{}, map[string]*Node{}, map[string][]*Node{}, map[string]bool{}, map[string]Value{}, map[string]int64{}}
	for _, t := range g.Initializers {
		l.constants[t.Name] = t
	}
	for _, n := range g.Nodes {
		for _, name := range n.Outputs {
			l.makers[name] = n
		}
		for _, name := range n.Inputs {
			l.readers[name] = append(l.readers[name], n)
		}
		if n.Op == "Constant" && n.Domain == "" && len(n.Outputs) == 1 {
			if a, ok := n.attribute("value"); ok && a.Tensor != nil {
				l.constants[n.Outputs[0]] = a.Tensor
			}
		}
	}
	for _, v := range g.Outputs {
		l.outputs[v.Name] = true
	}
	for _, v := range g.Inputs {
		l.inputs[v.Name] = v
	}
	return l
}

// constant returns the value of a name that is constant, or nil. It looks through Identity and through
// Concat of one-dimensional float32 constants, which is how exporters write a Resize's scales.
func (l *lookup) constant(name string) *Tensor {
	for range maxRank { // a chain of Identity nodes; bounded against a cycle
		if t := l.constants[name]; t != nil {
			return t
		}
		n := l.makers[name]
		if is(n, "Concat") {
			return l.joined(n)
		}
		if !is(n, "Identity") || len(n.Inputs) != 1 {
			return nil
		}
		name = n.Inputs[0]
	}
	return nil
}

// maxJoined is the most values that a Concat is taken for a constant with.
const maxJoined = 1 << 10

func (l *lookup) joined(concat *Node) *Tensor {
	var all []float32
	for _, name := range concat.Inputs {
		t := l.constants[name]
		if t == nil || len(t.Dims) != 1 {
			return nil
		}
		values, ok := t.Float32s()
		if !ok {
			return nil
		}
		if all = append(all, values...); len(all) > maxJoined { // no Resize's scales: a long constant named again and again, perhaps
			return nil
		}
	}
	return newTensor(concat.Outputs[0], all, int64(len(all)))
}

// only returns the single reader of a value, or nil where there are more, or the value is an output.
func (l *lookup) only(name string) *Node {
	if l.outputs[name] || len(l.readers[name]) != 1 {
		return nil
	}
	return l.readers[name][0]
}

// is tells whether n is ONNX's own operator op with one output. A nil n is none.
func is(n *Node, op string) bool {
	return n != nil && n.Op == op && n.Domain == "" && len(n.Outputs) == 1
}

// channels returns the length of axis 1 of a value, or 0 where it can't be told.
func (l *lookup) channels(name string) int64 {
	if v, ok := l.inputs[name]; ok && len(v.Shape) > 1 {
		return max(v.Shape[1], 0)
	}
	if width, known := l.widths[name]; known {
		return width
	}
	l.widths[name] = 0 // meets a cycle, which only a hostile file has
	width := l.findChannels(l.makers[name])
	l.widths[name] = width
	return width
}

// findChannels looks at what makes a value.
func (l *lookup) findChannels(n *Node) int64 {
	if n == nil || n.Domain != "" || len(n.Inputs) == 0 {
		return 0
	}
	switch n.Op {
	case "Conv":
		if w := l.constant(at(n.Inputs, 1)); w != nil && len(w.Dims) > 2 {
			return w.Dims[0]
		}
	case "ConvTranspose":
		group, grouped := n.attribute("group")
		if w := l.constant(at(n.Inputs, 1)); w != nil && len(w.Dims) > 2 && (!grouped || group.Int == 1) {
			return w.Dims[1]
		}
	case "Concat":
		if axis, _ := n.attribute("axis"); axis.Int != 1 {
			return 0
		}
		sum := int64(0)
		for _, in := range n.Inputs {
			c := l.channels(in)
			if c == 0 {
				return 0
			}
			sum += c
		}
		return sum
	case "Add", "Mul": // alike on both sides, or one is broadcast: the larger counts
		return max(l.channels(n.Inputs[0]), l.channels(at(n.Inputs, 1)))
	case "Relu", "LeakyRelu", "PRelu", "Elu", "Sigmoid", "Tanh", "Clip", "Gelu", "Erf", "HardSwish", "Dropout", "Identity",
		"BatchNormalization", "InstanceNormalization", "MaxPool", "AveragePool", "Resize":
		return l.channels(n.Inputs[0])
	}
	return 0
}

func at(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

// sweep removes nodes and constants that nothing reads. The graph must not be nested.
func (g *Graph) sweep() {
	needed := map[string]bool{}
	for _, v := range g.Outputs {
		needed[v.Name] = true
	}
	kept := len(g.Nodes)
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		used := len(n.Outputs) == 0
		for _, name := range n.Outputs {
			used = used || needed[name]
		}
		if !used {
			continue
		}
		for _, name := range n.Inputs {
			needed[name] = true
		}
		kept--
		g.Nodes[kept] = n
	}
	g.Nodes = g.Nodes[kept:]
	constants := g.Initializers[:0]
	for _, t := range g.Initializers {
		if needed[t.Name] {
			constants = append(constants, t)
		}
	}
	g.Initializers = constants
}

// nested tells whether a node has a graph of its own. Such graphs may read values that Node.Inputs doesn't
// name, so that a graph which has some is left as it is.
func (g *Graph) nested() bool {
	for _, n := range g.Nodes {
		switch n.Op {
		case "If", "Loop", "Scan", "SequenceMap":
			return true
		}
	}
	return false
}
