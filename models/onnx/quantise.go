package onnx

import (
	"fmt"
	"math"
	"slices"
)

// Range is the smallest and largest value that was seen of an activation.
type Range struct{ Min, Max float32 }

// QuantisationPoints returns the names of the values that convolutions with constant weights read: those whose ranges Quantise needs,
// sorted.
func (m *Model) QuantisationPoints() []string {
	g := &m.Graph
	if g.nested() {
		return nil
	}
	l := g.lookup()
	var names []string
	for _, n := range g.Nodes {
		if l.quantisable(n) {
			names = append(names, n.Inputs[0])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// quantisable tells whether n is a convolution whose weights are constant floats.
func (l *lookup) quantisable(n *Node) bool {
	if !is(n, "Conv") && !is(n, "ConvTranspose") || len(n.Inputs) < 2 {
		return false
	}
	w := l.constant(n.Inputs[1])
	return w != nil && len(w.Dims) > 2 && w.Elements() > 0 && w.Type == Float32 && l.constant(n.Inputs[0]) == nil
}

// Observe adds the smallest and the largest value of each named one as two more outputs, scalars, in the order of names.
func (m *Model) Observe(names []string) {
	g := &m.Graph
	for i, name := range names {
		for _, end := range []string{"Min", "Max"} {
			out := fmt.Sprintf("cspine/observed/%d/%s", i, end)
			g.Nodes = append(g.Nodes, &Node{Op: "Reduce" + end, Name: out, Inputs: []string{name}, Outputs: []string{out},
				Attributes: []Attribute{{Name: "keepdims", Int: 0}}})
			g.Outputs = append(g.Outputs, Value{Name: out, Type: Float32})
		}
	}
}

// Quantise makes convolutions ready for eight-bit arithmetic: their weights become int8 with a scale for each output channel, and
// what they read is rounded to uint8 over its range (QuantizeLinear, DequantizeLinear; Jacob et al., arXiv 1712.05877). Values beyond a range are
// clipped. A convolution whose input has no range stays as it is. It returns how many it changed.
func (m *Model) Quantise(ranges map[string]Range) (int, error) {
	const needed = 13 // the first version whose DequantizeLinear has an axis
	if v := m.Opsets[""]; v < needed {
		return 0, malformed("the model is of operator set %d; export it with opset %d or later", v, needed)
	}
	g := &m.Graph
	if g.nested() {
		return 0, malformed("the model has nested graphs")
	}
	q := quantiser{g: g, l: g.lookup(), ranges: ranges, done: map[string]string{}}
	changed := 0
	var nodes []*Node
	for _, n := range g.Nodes {
		r, known := ranges[at(n.Inputs, 0)]
		if known && q.l.quantisable(n) {
			made, err := q.convolution(n, r)
			if err != nil {
				return changed, err
			}
			nodes = append(nodes, made...)
			changed++
		}
		nodes = append(nodes, n)
	}
	g.Nodes = nodes
	g.sweep()
	return changed, nil
}

// Quantised tells whether the model has gone through Quantise, or was quantised elsewhere in the same form.
func (m *Model) Quantised() bool {
	return slices.ContainsFunc(m.Graph.Nodes, func(n *Node) bool { return n.Op == "QuantizeLinear" && n.Domain == "" })
}

type quantiser struct {
	g      *Graph
	l      *lookup
	ranges map[string]Range
	done   map[string]string // what replaces a value, by its name and, for weights, axis
}

// convolution points n to rounded values and returns the nodes that make them.
func (q *quantiser) convolution(n *Node, r Range) ([]*Node, error) {
	name := n.Inputs[0]
	if !(r.Min <= r.Max) || math.IsInf(float64(r.Max-r.Min), 0) {
		return nil, malformed("node %s: its input ranges from %g to %g", n.Name, r.Min, r.Max)
	}
	var made []*Node
	input, ok := q.done[name]
	if !ok {
		made, input = q.activation(name, r)
		q.done[name] = input
	}
	axis := 0
	if n.Op == "ConvTranspose" {
		axis = 1
	}
	key := fmt.Sprintf("%s\x00%d", n.Inputs[1], axis)
	weights, ok := q.done[key]
	if !ok {
		node, out, err := q.weights(n, axis)
		if err != nil {
			return nil, err
		}
		made, weights = append(made, node), out
		q.done[key] = weights
	}
	inputs := slices.Clone(n.Inputs)
	inputs[0], inputs[1] = input, weights
	n.Inputs, n.raw = inputs, nil
	return made, nil
}

// activation rounds a value to the 256 steps of its range, which zero belongs to.
func (q *quantiser) activation(name string, r Range) (made []*Node, out string) {
	low, high := min(r.Min, 0), max(r.Max, 0)
	scale := (high - low) / 255
	if scale == 0 {
		scale = 1
	}
	zero := uint8(math.RoundToEven(float64(-low / scale)))
	s, z := name+"/q/scale", name+"/q/zero"
	q.g.Initializers = append(q.g.Initializers, newTensor(s, []float32{scale}), &Tensor{Name: z, Type: Uint8, data: []byte{zero}})
	out = name + "/q/float"
	return []*Node{
		{Op: "QuantizeLinear", Name: name + "/q", Inputs: []string{name, s, z}, Outputs: []string{name + "/q"}},
		{Op: "DequantizeLinear", Name: out, Inputs: []string{name + "/q", s, z}, Outputs: []string{out}},
	}, out
}

// weights stores a convolution's weights as int8, symmetric about zero, with a scale for each index of axis.
func (q *quantiser) weights(n *Node, axis int) (*Node, string, error) {
	t := q.l.constant(n.Inputs[1])
	values, ok := t.Float32s()
	if !ok {
		return nil, "", malformed("node %s: its weights can't be read", n.Name)
	}
	channels := int(t.Dims[axis])
	per := len(values) / int(t.Dims[0])
	if axis == 1 {
		per /= channels
	}
	scales := make([]float32, channels)
	for i, v := range values {
		c := i / per % channels
		scales[c] = max(scales[c], float32(math.Abs(float64(v))))
	}
	for c := range scales {
		if scales[c] /= 127; scales[c] == 0 {
			scales[c] = 1
		}
	}
	data := make([]byte, len(values))
	for i, v := range values {
		steps := math.RoundToEven(float64(v / scales[i/per%channels]))
		data[i] = byte(int8(max(-127, min(127, steps))))
	}
	name := fmt.Sprintf("%s/q%d", n.Inputs[1], axis)
	q.g.Initializers = append(q.g.Initializers,
		&Tensor{Name: name, Type: Int8, Dims: t.Dims, data: data},
		newTensor(name+"/scale", scales, int64(channels)),
		&Tensor{Name: name + "/zero", Type: Int8, Dims: []int64{int64(channels)}, data: make([]byte, channels)})
	out := name + "/float"
	return &Node{Op: "DequantizeLinear", Name: out, Inputs: []string{name, name + "/scale", name + "/zero"}, Outputs: []string{out},
		Attributes: []Attribute{{Name: "axis", Int: int64(axis)}}}, out, nil
}
