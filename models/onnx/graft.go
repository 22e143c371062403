package onnx

import "slices"

// The opsets of a model that may become part of one that a Builder makes: before 13, Squeeze, ReduceSum and Softmax meant other things.
const (
	oldestGraft = 13
	newestGraft = 25
)

// Graft adds a model's nodes and constants, with prefix before all their names, and value in place of its only input. It returns the
// new names of the model's outputs, none where it can't (Bytes says why). The model must have been checked, and is not changed.
func (b *Builder) Graft(m *Model, prefix, value string) []string {
	g := &m.Graph
	opset := m.Opsets[""]
	switch {
	case len(g.Inputs) != 1:
		b.fail("%s: a model of one input is expected, not of %d", prefix, len(g.Inputs))
	case opset < oldestGraft || opset > newestGraft:
		b.fail("%s: a model of opset %d to %d is expected, not of %d", prefix, oldestGraft, newestGraft, opset)
	case g.nested():
		b.fail("%s: the model has graphs inside its nodes", prefix)
	}
	b.need(value, prefix)
	if b.err != nil {
		return nil
	}
	b.opset, b.ir = max(b.opset, uint64(opset)), max(b.ir, uint64(m.IRVersion))
	renamed := func(names []string) []string {
		out := make([]string, len(names))
		for i, name := range names {
			switch name {
			case "":
			case g.Inputs[0].Name:
				out[i] = value
			default:
				out[i] = prefix + name
			}
		}
		return out
	}
	for _, t := range g.Initializers {
		b.initializers = append(b.initializers, slices.Concat(t.renamed(b.define(prefix+t.Name)).pieces()...))
	}
	for _, n := range g.Nodes {
		if n.Domain != "" {
			b.fail("%s: node %s is of %s.%s, which is not ONNX's own", prefix, n.label(), n.Domain, n.Op)
		}
		made := Node{Op: n.Op, Name: prefix + n.label(), Inputs: renamed(n.Inputs), Outputs: renamed(n.Outputs), Attributes: n.Attributes}
		b.nodes = append(b.nodes, made.bytes())
		for _, name := range made.Outputs {
			if name != "" {
				b.define(name)
			}
		}
	}
	names := make([]string, len(g.Outputs))
	for i, v := range g.Outputs {
		names[i] = v.Name
	}
	return renamed(names)
}

// renamed returns the tensor with another name, and all else as it stands.
func (t *Tensor) renamed(name string) *Tensor {
	out := *t
	out.Name = name
	if t.raw == nil {
		return &out
	}
	out.raw = nil
	// A tensor that was parsed can be walked.
	_ = walk(t.raw, func(f field) error {
		if f.number != 8 {
			out.raw = append(out.raw, f.raw...)
		}
		return nil
	})
	out.raw = appendMessage(out.raw, 8, []byte(name))
	return &out
}

// RepeatInputChannels makes the model's only input, an image, as many channels wide: the weights of its first convolutions are
// repeated over the channels and scaled, so that equal channels give what they gave before (as timm does). The error is an
// *Error that names the node in the way; the model is then as it was.
func (m *Model) RepeatInputChannels(channels int) error {
	g := &m.Graph
	if len(g.Inputs) != 1 || len(g.Inputs[0].Shape) < 3 || g.nested() {
		return malformed("a model with an image as its only input is expected")
	}
	in, l := &g.Inputs[0], g.lookup()
	have, want := in.Shape[1], int64(channels)
	if have == want {
		return nil
	}
	if have < 1 || have > want {
		return malformed("the input %q has %d channels, which can't become %d", in.Name, have, want)
	}
	first, err := l.firstConvolutions(in.Name)
	if err != nil {
		return err
	}
	made := map[*Node]*Tensor{}
	for _, n := range first {
		w := l.constant(at(n.Inputs, 1))
		if w == nil || len(w.Dims) != len(in.Shape) || w.Dims[1] != have {
			return malformed("node %s (%s) convolves the input's %d channels by something else than a constant weight for all of them", n.label(), n.Op, have)
		}
		values, ok := w.Float32s()
		if !ok {
			return malformed("the weight of node %s (%s) is not of float32; export in float32", n.label(), n.Op)
		}
		taps := int(w.Elements() / max(1, w.Dims[0]*have))
		scale := float32(have) / float32(want)
		wide := make([]float32, 0, int(w.Dims[0]*want)*taps)
		for o := range int(w.Dims[0]) {
			for c := range int(want) {
				for _, v := range values[(o*int(have)+c%int(have))*taps:][:taps] {
					wide = append(wide, v*scale)
				}
			}
		}
		dims := slices.Clone(w.Dims)
		dims[1] = want
		made[n] = newTensor(n.Inputs[1], wide, dims...)
	}
	for n, t := range made {
		old := n.Inputs[1]
		if i := slices.IndexFunc(g.Initializers, func(t *Tensor) bool { return t.Name == old }); i >= 0 && len(l.readers[old]) == 1 && !l.outputs[old] {
			g.Initializers[i] = t // under its own name
			continue
		}
		t.Name = n.Outputs[0] + "/weight"
		n.Inputs, n.raw = slices.Clone(n.Inputs), nil
		n.Inputs[1] = t.Name
		g.Initializers = append(g.Initializers, t)
	}
	in.Shape[1] = want
	g.sweep()
	return nil
}

// firstConvolutions finds the convolutions that read a value, directly or padded.
func (l *lookup) firstConvolutions(name string) ([]*Node, error) {
	var found []*Node
	if l.outputs[name] || len(l.readers[name]) == 0 {
		return nil, malformed("the input is not convolved")
	}
	for _, n := range l.readers[name] {
		switch {
		case n.Op == "Shape":
		case slices.Contains(n.Inputs[1:], name): // by more than its first input, or another
			return nil, malformed("node %s (%s) does not convolve the image; export the network without it", n.label(), n.Op)
		case is(n, "Conv"):
			found = append(found, n)
		case is(n, "Pad") || is(n, "Identity"):
			more, err := l.firstConvolutions(n.Outputs[0])
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		default:
			return nil, malformed("node %s (%s) reads the image before a convolution does; export the network without it", n.label(), n.Op)
		}
	}
	return found, nil
}

// OpenBatch frees a model's only input, and what is reshaped by constants on the way, from the batch of one that it was exported with. What
// else depends on the batch shows when the model is compiled for another. The error is an *Error.
func (m *Model) OpenBatch() error {
	g := &m.Graph
	if len(g.Inputs) != 1 || len(g.Inputs[0].Shape) < 2 || g.nested() {
		return malformed("a model with one input that has a batch is expected")
	}
	in, l := &g.Inputs[0], g.lookup()
	switch in.Shape[0] {
	case -1:
		return nil
	case 1:
	default:
		return malformed("the input %q has a batch of %d; export the network with a batch of 1, or a free one", in.Name, in.Shape[0])
	}
	follows := map[string]bool{in.Name: true}
	for _, n := range g.Nodes {
		if n.Op == "Shape" || n.Op == "Size" || !slices.ContainsFunc(n.Inputs, func(name string) bool { return follows[name] }) {
			continue
		}
		for _, name := range n.Outputs {
			follows[name] = true
		}
		if !is(n, "Reshape") || len(n.Inputs) != 2 || !follows[n.Inputs[0]] {
			continue
		}
		t := l.constant(n.Inputs[1])
		if t == nil {
			continue
		}
		dims, ok := t.Int64s()
		if !ok || len(dims) == 0 || dims[0] != 1 {
			continue
		}
		if zero, _ := n.attribute("allowzero"); zero.Int != 0 {
			return malformed("node %s (%s) has allowzero", n.label(), n.Op)
		}
		dims[0] = -1
		if slices.Contains(dims[1:], -1) {
			dims[0] = 0 // the batch, as it comes
		}
		shape := newInts(dims)
		shape.Name = n.Outputs[0] + "/shape"
		n.Inputs, n.raw = []string{n.Inputs[0], shape.Name}, nil
		g.Initializers = append(g.Initializers, shape)
	}
	in.Shape[0] = -1
	g.sweep()
	return nil
}
