package program

// Summary says what a program is made of.
type Summary struct {
	Parameters int64       `json:"parameters"` // elements of what training changes
	Statistics int64       `json:"statistics"` // elements of running means and variances; 0 unless compiled for training
	FLOPs      int64       `json:"flops"`
	Ops        []OpSummary `json:"ops,omitempty"`
}

// OpSummary is one operation's share. A parameter that several operations read counts at the first.
type OpSummary struct {
	Node       string `json:"node"`
	Op         string `json:"op"`
	Shape      []int  `json:"shape"` // of its first output
	Parameters int64  `json:"parameters"`
	FLOPs      int64  `json:"flops"`
}

// Summary counts.
func (p *Program) Summary() Summary {
	var s Summary
	counted := make([]bool, len(p.Values))
	for _, o := range p.Ops {
		line := OpSummary{Node: o.Node, Op: name(o.Do), Shape: p.Values[o.Out[0]].Shape, FLOPs: p.OpFLOPs(o)}
		for _, i := range o.In {
			if i < 0 || counted[i] {
				continue
			}
			counted[i] = true
			switch v := &p.Values[i]; v.Role {
			case Parameter:
				line.Parameters += int64(v.Len())
			case Statistic:
				s.Statistics += int64(v.Len())
			}
		}
		s.Parameters += line.Parameters
		s.FLOPs += line.FLOPs
		s.Ops = append(s.Ops, line)
	}
	return s
}
