package onnx

// Untie gives every Identity of a float32 initializer an initializer of its own, under the name of the Identity's output, and removes
// the node. It returns how many there were. PyTorch's exporter writes equal tensors once when a network is exported for inference
// (two fresh biases of zeros, say, or a bias and a running mean), though they are trained apart. It stops where the copies
// would take over four times as much as the initializers do and 64 MiB: a small file may name a large one many times.
func (m *Model) Untie() int {
	g := &m.Graph
	if g.nested() {
		return 0
	}
	constants, outputs := map[string]*Tensor{}, map[string]bool{}
	room := 64 << 20
	for _, t := range g.Initializers {
		constants[t.Name] = t
		room += 4 * len(t.raw)
	}
	for _, v := range g.Outputs {
		outputs[v.Name] = true
	}
	kept := g.Nodes[:0]
	untied := 0
	for _, n := range g.Nodes {
		if is(n, "Identity") && len(n.Inputs) == 1 && !outputs[n.Outputs[0]] && constants[n.Outputs[0]] == nil {
			if t := constants[n.Inputs[0]]; t != nil && 4*t.Elements() <= int64(room) {
				if values, ok := t.Float32s(); ok {
					room -= 4 * len(values)
					own := newTensor(n.Outputs[0], values, t.Dims...)
					constants[own.Name] = own
					g.Initializers = append(g.Initializers, own)
					untied++
					continue
				}
			}
		}
		kept = append(kept, n)
	}
	g.Nodes = kept
	return untied
}
