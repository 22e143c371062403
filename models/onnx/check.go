package onnx

// Check tells whether a parsed model is whole: constants have the values that their dimensions promise, names are given once,
// nodes read only what stands before them, and there is something to compute. The error is an *Error. Whether
// operators and shapes are understood is for those who run it.
func (m *Model) Check() error {
	g := &m.Graph
	if len(g.Outputs) == 0 {
		return malformed("the graph has no outputs")
	}
	known := map[string]bool{"": true}
	define := func(kind, name string) error {
		if name == "" {
			return malformed("%s without a name", kind)
		}
		if known[name] {
			return malformed("%s %q: the name is given twice", kind, name)
		}
		known[name] = true
		return nil
	}
	for _, t := range g.Initializers {
		if err := define("a constant", t.Name); err != nil {
			return err
		}
		if err := t.whole(); err != nil {
			return err
		}
	}
	for _, v := range g.Inputs {
		if err := define("an input", v.Name); err != nil {
			return err
		}
	}
	for _, n := range g.Nodes {
		for _, name := range n.Inputs {
			if !known[name] {
				return malformed("node %s reads %q, which nothing before it makes", n.label(), name)
			}
		}
		for _, name := range n.Outputs {
			if name == "" {
				continue // an optional output that nobody wants
			}
			if err := define("an output of node "+n.label(), name); err != nil {
				return err
			}
		}
		for _, a := range n.Attributes {
			if a.Tensor == nil {
				continue
			}
			if err := a.Tensor.whole(); err != nil {
				return malformed("node %s: %v", n.label(), err)
			}
		}
	}
	for _, v := range g.Outputs {
		if !known[v.Name] {
			return malformed("nothing makes the output %q", v.Name)
		}
	}
	return nil
}

// label is a node's name, or what it does and makes where it has none.
func (n *Node) label() string {
	if n.Name != "" {
		return n.Name
	}
	return n.Op + " → " + at(n.Outputs, 0)
}

// whole tells whether the tensor has the values that its dimensions promise. Types without a fixed width, such as text, are
// taken as they are.
func (t *Tensor) whole() error {
	width := t.Type.width()
	if width == 0 {
		return nil
	}
	have, unit := int64(len(t.data)), width
	if have == 0 {
		switch t.Type {
		case Float32:
			have = int64(len(t.floats))
		case Float64:
			have = int64(len(t.doubles))
		default:
			have, unit = int64(len(t.varints)), 1
		}
	}
	if have != unit*t.Elements() {
		return malformed("constant %q holds %d values, not what its dimensions %v say; the file is damaged", t.Name, have/unit, t.Dims)
	}
	return nil
}
