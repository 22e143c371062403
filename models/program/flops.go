package program

// FLOPs returns what one run costs in convolutions and matrix products, a multiplication and an addition counted as two, as
// papers and PyTorch's counter do. All other operations are left out.
func (p *Program) FLOPs() int64 {
	sum := int64(0)
	for _, o := range p.Ops {
		sum += p.OpFLOPs(o)
	}
	return sum
}

// OpFLOPs returns an operation's share of FLOPs.
func (p *Program) OpFLOPs(o Op) int64 {
	in := func(i int) *Value { return &p.Values[o.In[i]] }
	size := func(v *Value) int64 { return int64(v.Len()) }
	out := &p.Values[o.Out[0]]
	switch do := o.Do.(type) {
	case *Conv:
		w := in(1)
		return 2 * size(out) * (size(w) / int64(max(1, w.Shape[0])))
	case *ConvTranspose:
		w := in(1)
		return 2 * size(in(0)) * (size(w) / int64(max(1, w.Shape[0])))
	case *MatMul:
		a := in(0).Shape
		inner := a[len(a)-1]
		if do.TransA && len(a) > 1 {
			inner = a[len(a)-2]
		}
		return 2 * size(out) * int64(inner)
	case *LSTM:
		x := in(0)
		return 2 * int64(x.Shape[0]*x.Shape[1]) * (size(in(1)) + size(in(2)))
	}
	return 0
}
