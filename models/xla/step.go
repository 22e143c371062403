package xla

import (
	"fmt"

	"github.com/gomlx/gomlx/pkg/core/dtypes"
	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/xla/backend"
)

// compileGradients compiles forward and backward for one kind of batch. Arguments: what begin names, for each side the targets
// and their weights, lambda, the generator's state, the sums of gradients. Results: loss, statistics, sums.
func (t *trainer) compileGradients(k kind) (p *backend.Program, err error) {
	var b *build
	defer func() { err = b.refuse(recover(), err) }()
	b, values, back := t.begin("gradients", true)
	side := func(name string, weights uint64) []goal {
		goals := make([]goal, len(t.targets))
		for i, port := range t.targets {
			goals[i].target = parameter(b.g, fmt.Sprint(batch, name, i), dtypes.Float32, port.Shape...)
			if weights>>i&1 == 1 {
				goals[i].weights = parameter(b.g, fmt.Sprint(batch, name, "w", i), dtypes.Float32, port.Shape...)
			}
		}
		return goals
	}
	goals := side("t", k.weights)
	var mixed []goal
	var lambda *Node
	if k.mixed {
		mixed = side("m", k.mixedWeights)
		lambda = parameter(b.g, setting+"lambda", dtypes.Float32)
	}
	if t.random() {
		b.random = parameter(b.g, setting+"random", dtypes.Uint64, 3)
	}
	var sums []*Node
	for _, i := range t.parameters {
		sums = append(sums, parameter(b.g, fmt.Sprint(consumed, "g", i), dtypes.Float32, t.p.Values[i].Shape...))
	}
	b.forward(values)
	loss, starts, err := b.loss(t.opts.Loss, goals, mixed, lambda)
	if err != nil {
		return nil, err
	}
	gradients := b.reverse(starts)
	results := []*Node{Identity(loss)}
	for _, i := range t.statistics {
		now := b.stats[i]
		if now == nil {
			now = Identity(values[i])
		}
		results = append(results, now)
	}
	for j, i := range t.parameters {
		if g := gradients[i]; g != nil {
			results = append(results, Add(sums[j], f32(g)))
		} else {
			results = append(results, Identity(sums[j]))
		}
	}
	b.g.Compile(results...)
	return back.Program(), nil
}

// Where the update's settings lie.
const (
	settingShare = iota // 1 over the number of gradients in a sum
	settingKeep         // 1 − rate·decay
	settingStep         // rate over the first moment's bias
	settingRoot         // root of the second moment's bias
)

// compileUpdate compiles one step of AdamW (Loshchilov & Hutter, arXiv 1711.05101), in PyTorch's order of operations. Arguments:
// settings, weights, first and second moments, sums. Results: norm, and new ones of the four.
func (t *trainer) compileUpdate() (p *backend.Program, err error) {
	var b *build
	defer func() { err = b.refuse(recover(), err) }()
	back := backend.New(t.engine.client, t.graphOptions())
	b = &build{g: NewGraph(back, "update"), p: t.p, host: t.engine.host()}
	settings := parameter(b.g, setting, dtypes.Float32, 4)
	set := func(k int) *Node { return Reshape(Slice(settings, AxisElem(k))) }
	lists := make([][]*Node, 4)
	for k, name := range []string{"w", "m", "v", "g"} {
		for _, i := range t.parameters {
			lists[k] = append(lists[k], parameter(b.g, fmt.Sprint(consumed, name, i), dtypes.Float32, t.p.Values[i].Shape...))
		}
	}
	a := t.opts.AdamW
	norm, clip := b.scalar(0), (*Node)(nil)
	if a.ClipNorm > 0 {
		for _, g := range lists[3] {
			norm = Add(norm, b.total(Square(Mul(g, set(settingShare)))))
		}
		norm = Sqrt(norm)
		clip = Min(Div(b.scalar(a.ClipNorm), AddScalar(norm, 1e-6)), b.scalar(1))
	}
	results := make([][]*Node, 4)
	for i, w := range lists[0] {
		g := Mul(lists[3][i], set(settingShare))
		if clip != nil {
			g = Mul(g, clip)
		}
		m, v := lists[1][i], lists[2][i]
		m = Add(m, MulScalar(Sub(g, m), 1-a.Beta1))
		v = Add(MulScalar(v, a.Beta2), MulScalar(Square(g), 1-a.Beta2))
		w = Mul(w, set(settingKeep))
		w = Sub(w, Mul(set(settingStep), Div(m, AddScalar(Div(Sqrt(v), set(settingRoot)), a.Epsilon))))
		for k, n := range []*Node{w, m, v, ZerosLike(g)} {
			results[k] = append(results[k], n)
		}
	}
	all := []*Node{Identity(norm)}
	for _, r := range results {
		all = append(all, r...)
	}
	b.g.Compile(all...)
	return back.Program(), nil
}

var _ models.Trainer = (*trainer)(nil)
