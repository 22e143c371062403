package gorgonia

import (
	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// lstm is a layer of a long short-term memory (Hochreiter and Schmidhuber, 1997) as ONNX has it: the gates input, output, forget and cell, by
// the sizes T (time), B (batch), I (input) and H (hidden). One matrix product serves the inputs of all times; directions run
// side by side.
type lstm struct {
	t, b, i, h, d int
	reverse       bool
	alone         []*kernel.Workers // one for a direction: the products inside a direction are too small to share
}

func (b *builder) lstm(do *program.LSTM) {
	x := b.shape(0)
	l := &lstm{t: x[0], b: x[1], i: x[2], h: do.Hidden, d: 1, reverse: do.Reverse}
	if do.Bidirectional {
		l.d = 2
	}
	for range l.d {
		l.alone = append(l.alone, kernel.NewWorkers(1))
	}
	in := []*G.Node{b.in(0), b.in(1), b.in(2)}
	if bias := b.in(3); bias != nil {
		in = append(in, bias)
	}
	rows := l.d * l.t * l.b
	gates, cells := []int{rows * 4 * l.h}, []int{rows * l.h}
	name := b.name("LSTM")
	b.set(formula{name: "LSTM", outs: [][]int{b.outShape(), gates, cells}, wants: all(len(in)), kernel: l.run,
		grad: func(in []*G.Node, y, dy *G.Node) []*G.Node {
			outs := [][]int{in[0].Shape(), in[1].Shape(), in[2].Shape(), {8 * l.h * l.d}, gates, cells}
			if len(in) > 3 {
				outs[3] = in[3].Shape()
			}
			dx := b.apply(formula{name: name + " gradient", outs: outs, kernel: l.grad}, in[0], in[1], in[2], y, b.part(y, 1), b.part(y, 2), dy)
			grads := []*G.Node{dx}
			for k := range in[1:] {
				grads = append(grads, b.part(dx, 1+k))
			}
			return grads
		},
	}, in...)
}

// at returns the time of the s-th step of a direction.
func (l *lstm) at(d, s int) int {
	if d == 1 || l.reverse {
		return l.t - 1 - s
	}
	return s
}

// block returns a time's rows of a direction in a tensor [D,T,B,n].
func (l *lstm) block(a []float32, d, t, n int) []float32 { return a[(d*l.t+t)*l.b*n:][:l.b*n] }

// hidden returns a time's rows of a direction in the result [T,D,B,H].
func (l *lstm) hidden(y []float32, d, t int) []float32 { return y[(t*l.d+d)*l.b*l.h:][:l.b*l.h] }

// run takes x, w, r and an optional bias, and gives the result, the gates after their activations, and the cells.
func (l *lstm) run(x *exec, out, in [][]float32) error {
	y, gates, cells := out[0], out[1], out[2]
	h, g4 := l.h, 4*l.h
	for d := range l.d {
		g := gates[d*l.t*l.b*g4:][:l.t*l.b*g4]
		var beta float32
		if len(in) > 3 {
			bias := in[3][d*8*h:][:8*h]
			for r := range l.t * l.b {
				kernel.Add(g[r*g4:][:g4], bias[:g4], bias[g4:])
			}
			beta = 1
		}
		kernel.Gemm(x.workers, false, true, l.t*l.b, g4, l.i, 1, in[0], l.i, in[1][d*g4*l.i:], l.i, beta, g, g4)
	}
	x.workers.Do(l.d, func(_, d int) {
		r := in[2][d*g4*h:][:g4*h]
		tmp := make([]float32, h)
		for s := range l.t {
			t := l.at(d, s)
			g, c, o := l.block(gates, d, t, g4), l.block(cells, d, t, h), l.hidden(y, d, t)
			var before []float32
			if s > 0 {
				before = l.block(cells, d, l.at(d, s-1), h)
				kernel.Gemm(l.alone[d], false, true, l.b, g4, h, 1, l.hidden(y, d, l.at(d, s-1)), h, r, h, 1, g, g4)
			}
			for b := range l.b {
				q, c, o := g[b*g4:][:g4], c[b*h:][:h], o[b*h:][:h]
				kernel.Sigmoid(q[:3*h], q[:3*h])
				kernel.Tanh(q[3*h:], q[3*h:])
				kernel.Mul(c, q[:h], q[3*h:])
				if before != nil {
					kernel.Mul(tmp, q[2*h:3*h], before[b*h:][:h])
					kernel.Add(c, c, tmp)
				}
				kernel.Tanh(o, c)
				kernel.Mul(o, o, q[h:2*h])
			}
		}
	})
	return nil
}

// grad takes x, w, r, the result, the gates, the cells and dy. It gives the gradients by x, w, r and bias; its other results are
// scratch: the gradients before the gates' activations, and the hidden states before each step.
func (l *lstm) grad(x *exec, out, in [][]float32) error {
	y, gates, cells, dy := in[3], in[4], in[5], in[6]
	dgates, hidden := out[4], out[5]
	h, g4 := l.h, 4*l.h
	x.workers.Do(l.d, func(_, d int) {
		r := in[2][d*g4*h:][:g4*h]
		dh, dc, tc := make([]float32, l.b*h), make([]float32, l.b*h), make([]float32, h)
		none := make([]float32, l.b*h)
		for s := l.t - 1; s >= 0; s-- {
			t := l.at(d, s)
			before, hid := none, none
			if s > 0 {
				before, hid = l.block(cells, d, l.at(d, s-1), h), l.hidden(y, d, l.at(d, s-1))
			}
			copy(l.block(hidden, d, t, h), hid)
			kernel.Add(dh, dh, l.hidden(dy, d, t))
			g, c, dg := l.block(gates, d, t, g4), l.block(cells, d, t, h), l.block(dgates, d, t, g4)
			for b := range l.b {
				kernel.Tanh(tc, c[b*h:][:h])
				lstmCell(g[b*g4:][:g4], before[b*h:][:h], tc, dh[b*h:][:h], dc[b*h:][:h], dg[b*g4:][:g4])
			}
			if s > 0 {
				kernel.Gemm(l.alone[d], false, false, l.b, h, g4, 1, dg, g4, r, h, 0, dh, h)
			}
		}
	})
	rows := l.t * l.b
	for d := range l.d {
		dg := dgates[d*rows*g4:][:rows*g4]
		kernel.Gemm(x.workers, false, false, rows, l.i, g4, 1, dg, g4, in[1][d*g4*l.i:], l.i, min(float32(d), 1), out[0], l.i)
		kernel.Gemm(x.workers, true, false, g4, l.i, rows, 1, dg, g4, in[0], l.i, 0, out[1][d*g4*l.i:], l.i)
		kernel.Gemm(x.workers, true, false, g4, h, rows, 1, dg, g4, hidden[d*rows*h:], h, 0, out[2][d*g4*h:], h)
		bias := out[3][d*8*h:][:8*h]
		clear(bias[:g4])
		for r := range rows {
			kernel.Add(bias[:g4], bias[:g4], dg[r*g4:][:g4])
		}
		copy(bias[g4:], bias[:g4])
	}
	return nil
}

// lstmCell goes back through one step of one row. q has the gates, before the cells before it, tc the tanh of those after it. dc is moved to the step before.
func lstmCell(q, before, tc, dh, dc, dg []float32) {
	h := len(tc)
	di, do, df, du := dg[:h], dg[h:2*h], dg[2*h:3*h], dg[3*h:4*h]
	qi, qo, qf, qu := q[:h], q[h:2*h], q[2*h:3*h], q[3*h:4*h]
	before, dh, dc = before[:h], dh[:h], dc[:h]
	for j, t := range tc {
		i, o, f, u := qi[j], qo[j], qf[j], qu[j]
		c := dc[j] + dh[j]*o*(1-t*t)
		do[j] = dh[j] * t * o * (1 - o)
		di[j] = c * u * i * (1 - i)
		df[j] = c * before[j] * f * (1 - f)
		du[j] = c * i * (1 - u*u)
		dc[j] = c * f
	}
}
