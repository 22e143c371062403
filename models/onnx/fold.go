package onnx

import "math"

// foldNormalisations takes every BatchNormalization with constant statistics into the Conv or ConvTranspose before it,
// where nothing else reads that one's output, and returns how many it took.
func (g *Graph) foldNormalisations() int {
	l := g.lookup()
	gone := map[*Node]bool{}
	for _, n := range g.Nodes {
		if g.foldInto(n, l) {
			next := l.only(n.Outputs[0])
			n.Outputs, n.raw = []string{next.Outputs[0]}, nil
			gone[next] = true
		}
	}
	if len(gone) == 0 {
		return 0
	}
	kept := g.Nodes[:0]
	for _, n := range g.Nodes {
		if !gone[n] {
			kept = append(kept, n)
		}
	}
	g.Nodes = kept
	return len(gone)
}

// foldInto gives a convolution that a normalisation follows the weights and bias of both. It returns false, and
// changes nothing, where that can't be done.
func (g *Graph) foldInto(n *Node, l *lookup) bool {
	group, grouped := n.attribute("group")
	transposed := is(n, "ConvTranspose") && (!grouped || group.Int == 1)
	if !is(n, "Conv") && !transposed {
		return false
	}
	w := l.constant(at(n.Inputs, 1))
	if w == nil || len(w.Dims) < 3 || w.Elements() == 0 {
		return false
	}
	weights, isFloat := w.Float32s()
	if !isFloat {
		return false
	}
	outAxis := 0
	if transposed { // [in, out, …]
		outAxis = 1
	}
	out := w.Dims[outAxis]
	norm, ok := l.normalisation(l.only(n.Outputs[0]), out)
	if !ok {
		return false
	}
	bias, ok := l.bias(n, out)
	if !ok {
		return false
	}
	per := int(w.Elements() / out)
	if transposed {
		per = int(w.Elements() / (w.Dims[0] * out))
	}
	for i := range weights {
		weights[i] = float32(float64(weights[i]) * norm.gain[i/per%int(out)])
	}
	for o := range bias {
		bias[o] = float32(float64(bias[o])*norm.gain[o] + norm.shift[o])
	}
	name := n.Outputs[0] + "/normalised"
	g.Initializers = append(g.Initializers, newTensor(name+"/w", weights, w.Dims...), newTensor(name+"/b", bias, out))
	n.Inputs, n.raw = []string{n.Inputs[0], name + "/w", name + "/b"}, nil
	return true
}

// bias returns a copy of a convolution's bias, zeros where it has none.
func (l *lookup) bias(n *Node, out int64) (values []float32, ok bool) {
	name := at(n.Inputs, 2)
	if name == "" {
		return make([]float32, out), true
	}
	b := l.constant(name)
	if b == nil || b.Elements() != out {
		return nil, false
	}
	return b.Float32s()
}

// normalisation is what a BatchNormalization does to each channel in inference: gain·x + shift.
type normalisation struct{ gain, shift []float64 }

// normalisation reads one. ok is false where n is none, or its statistics are not constant.
func (l *lookup) normalisation(n *Node, channels int64) (norm normalisation, ok bool) {
	if n == nil || !is(n, "BatchNormalization") || len(n.Inputs) != 5 {
		return norm, false
	}
	if training, _ := n.attribute("training_mode"); training.Int != 0 {
		return norm, false
	}
	var p [4][]float32 // scale, shift, mean, variance
	for i := range p {
		t := l.constant(n.Inputs[1+i])
		if t == nil || t.Elements() != channels {
			return norm, false
		}
		if p[i], ok = t.Float32s(); !ok {
			return norm, false
		}
	}
	epsilon := float32(1e-5)
	if a, given := n.attribute("epsilon"); given {
		epsilon = a.Float
	}
	norm.gain, norm.shift = make([]float64, channels), make([]float64, channels)
	for c := range norm.gain {
		norm.gain[c] = float64(p[0][c]) / math.Sqrt(float64(p[3][c])+float64(epsilon))
		norm.shift[c] = float64(p[1][c]) - float64(p[2][c])*norm.gain[c]
	}
	return norm, true
}
