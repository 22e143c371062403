package onnx

import "slices"

// Info says what a file is, for people and for clear errors.
type Info struct {
	IRVersion  int64            `json:"ir_version"`
	Producer   string           `json:"producer,omitempty"`
	Opsets     map[string]int64 `json:"opsets"`
	Inputs     []ValueInfo      `json:"inputs"`
	Outputs    []ValueInfo      `json:"outputs"`
	Nodes      int              `json:"nodes"`
	Parameters int64            `json:"parameters"` // elements of all floating-point constants
	Operators  []OperatorCount  `json:"operators"`  // most frequent first, then by name
}

// ValueInfo is an input or output of the graph. Shape has −1 for an open dimension.
type ValueInfo struct {
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Shape []int64 `json:"shape"`
}

// OperatorCount says how often a graph uses an operator.
type OperatorCount struct {
	Operator string `json:"operator"` // with its domain where that isn't ONNX's own
	Count    int    `json:"count"`
}

// Info returns what the model is.
func (m *Model) Info() Info {
	info := Info{IRVersion: m.IRVersion, Producer: m.Producer, Opsets: m.Opsets, Nodes: len(m.Graph.Nodes),
		Inputs: valueInfos(m.Graph.Inputs), Outputs: valueInfos(m.Graph.Outputs)}
	for _, t := range m.Graph.Initializers {
		switch t.Type {
		case Float32, Float16, BFloat16, Float64:
			info.Parameters += t.Elements()
		}
	}
	count := map[string]int{}
	for _, n := range m.Graph.Nodes {
		name := n.Op
		if n.Domain != "" {
			name = n.Domain + "." + name
		}
		count[name]++
	}
	for name, n := range count {
		info.Operators = append(info.Operators, OperatorCount{name, n})
	}
	slices.SortFunc(info.Operators, func(a, b OperatorCount) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		if a.Operator < b.Operator {
			return -1
		}
		return 1
	})
	return info
}

func valueInfos(values []Value) []ValueInfo {
	out := make([]ValueInfo, 0, len(values))
	for _, v := range values {
		out = append(out, ValueInfo{v.Name, v.Type.String(), v.Shape})
	}
	return out
}
