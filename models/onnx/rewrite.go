package onnx

// RewriteVersion names the set of rewritings. It must change with anything that changes a rewritten
// graph's floating point: it belongs to a recipe.
const RewriteVersion = 2

// maxChanges bounds the time that a hostile file takes: every change looks at the whole graph.
const maxChanges = 64

// Accelerate rewrites what it can of a model into an equal graph that needs fewer multiplications, and
// returns how many places it changed. Results agree to rounding. Only inference is served: trained
// statistics become part of the weights.
//
//   - Conv or ConvTranspose + BatchNormalization: one convolution.
//   - Resize (nearest, x2) + 3x3x3 Conv: one ConvTranspose with a 4x4x4 kernel, stride 2. Every output of
//     the former reads 27 taps, but there are only 8 distinct values below them: 3.4 times fewer products.
//   - Concat of upsampled and other values + 3x3x3 Conv: one convolution each, and a sum, so that the
//     rule above serves the decoder of a U-Net.
func (m *Model) Accelerate() int {
	g := &m.Graph
	if g.nested() {
		return 0
	}
	changed := g.foldNormalisations()
	for n := 0; n < maxChanges && g.accelerateOne(); n++ {
		changed++
	}
	if changed > 0 {
		g.sweep()
	}
	return changed
}

// SumInputChannels makes the model's only input one channel wide, for a caller whose channels are all
// equal: each first convolution's weights are summed over its input channels. ok is false, and the model is as it was,
// where the input is read by anything but convolutions with constant weights.
func (m *Model) SumInputChannels() (ok bool) {
	g := &m.Graph
	if len(g.Inputs) != 1 || len(g.Inputs[0].Shape) < 3 || g.nested() {
		return false
	}
	in := &g.Inputs[0]
	l := g.lookup()
	if in.Shape[1] <= 1 || l.outputs[in.Name] || len(l.readers[in.Name]) == 0 {
		return false
	}
	weights := map[*Node][]float32{}
	for _, n := range l.readers[in.Name] {
		w := l.constant(at(n.Inputs, 1))
		if !is(n, "Conv") || n.Inputs[0] != in.Name || w == nil || w.Elements() == 0 || len(w.Dims) != len(in.Shape) || w.Dims[1] != in.Shape[1] {
			return false
		}
		values, isFloat := w.Float32s()
		if !isFloat {
			return false
		}
		weights[n] = values
	}
	for _, n := range l.readers[in.Name] {
		w := l.constant(n.Inputs[1])
		dims := append([]int64(nil), w.Dims...)
		dims[1] = 1
		taps := w.Elements() / (w.Dims[0] * w.Dims[1])
		sum := make([]float32, w.Dims[0]*taps)
		for i := range sum {
			o, tap := int64(i)/taps, int64(i)%taps
			total := 0.0
			for c := range w.Dims[1] {
				total += float64(weights[n][(o*w.Dims[1]+c)*taps+tap])
			}
			sum[i] = float32(total)
		}
		t := newTensor(n.Outputs[0]+"/one_channel", sum, dims...)
		g.Initializers = append(g.Initializers, t)
		n.Inputs[1], n.raw = t.Name, nil
	}
	in.Shape[1] = 1
	g.sweep()
	return true
}

// accelerateOne changes the first place that it can, and tells whether there was one.
func (g *Graph) accelerateOne() bool {
	l := g.lookup()
	for i, n := range g.Nodes {
		if !is(n, "Conv") {
			continue
		}
		maker := l.makers[at(n.Inputs, 0)]
		doubled := l.doubles(maker)
		if !doubled && (!is(maker, "Concat") || l.only(maker.Outputs[0]) != n) {
			continue
		}
		c, ok := l.conv3(n)
		if !ok {
			continue
		}
		name := n.Outputs[0] + "/cspine"
		var made []*Node
		if doubled {
			made = c.upsampled(g, name, maker.Inputs[0], n.Outputs[0], c.bias)
		} else if made = c.split(g, l, name, maker); made == nil {
			continue
		}
		g.Nodes = append(g.Nodes[:i:i], append(made, g.Nodes[i+1:]...)...)
		return true
	}
	return false
}
