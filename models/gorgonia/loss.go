package gorgonia

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia/kernel"
	"github.com/cspine/cspine/models/program"
)

// targets are what a batch's outputs are compared with, and how much each set counts.
type targets struct {
	sets []targetSet
}

type targetSet struct {
	share   float32
	targets [][]float32 // by term
	weights [][]float32 // nil, or by term; each may be nil
}

// weight returns the element weights of a term, or nil.
func (s *targetSet) weight(term int) []float32 {
	if s.weights == nil {
		return nil
	}
	return s.weights[term]
}

// newTargets checks a batch against the loss's terms, whose targets have the lengths n.
func newTargets(batch *models.Batch, n []int) (*targets, error) {
	check := func(name string, have [][]float32, optional bool) error {
		if len(have) != len(n) {
			return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("expected %d %s, one for each term of the loss, got %d", len(n), name, len(have))}
		}
		for i, v := range have {
			if len(v) != n[i] && !(optional && v == nil) {
				return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("%s: term %d needs %d values, got %d", name, i, n[i], len(v))}
			}
		}
		return nil
	}
	t := &targets{sets: []targetSet{{1, batch.Targets, batch.Weights}}}
	if err := check("targets", batch.Targets, false); err != nil {
		return nil, err
	}
	if batch.Weights != nil {
		if err := check("weights", batch.Weights, true); err != nil {
			return nil, err
		}
	}
	if batch.Mixed == nil {
		return t, nil
	}
	if err := check("mixed targets", batch.Mixed, false); err != nil {
		return nil, err
	}
	if batch.MixedWeights != nil {
		if err := check("mixed weights", batch.MixedWeights, true); err != nil {
			return nil, err
		}
	}
	t.sets[0].share = batch.Lambda
	t.sets = append(t.sets, targetSet{1 - batch.Lambda, batch.Mixed, batch.MixedWeights})
	return t, nil
}

// lossTerm is a term and the input of the loss that it reads.
type lossTerm struct {
	models.LossTerm
	input int
	size  int
	// block elements lie together that belong to one channel, and the channels follow each other; but for DicePerChannel all are one.
	block, channels int
	sums            [2][]termSums // by set of targets, then by channel, of the last run
}

// dice tells whether the term is one of the two kinds.
func (t *lossTerm) dice() bool { return t.Kind == models.Dice || t.Kind == models.DicePerChannel }

// termSums are what a term needs of all elements: for dice Σpt, Σp and Σt, for cross entropy Σw·bce and Σw.
type termSums struct{ a, b, c float64 }

// lossInput is an output of the network, or the logits that a Sigmoid makes it from.
type lossInput struct {
	node *G.Node
	// logits says that probabilities are the Sigmoid of the input.
	logits bool
	// odds says that a probability is needed of each logit.
	odds bool
}

// loss is the sum of all terms. It is one operation, whose gradient needs what its value did.
type loss struct {
	terms  []*lossTerm
	inputs []lossInput
}

// loss adds the loss to the graph.
func (b *builder) loss(l models.Loss) (*G.Node, *loss, error) {
	if len(l.Terms) == 0 {
		return nil, nil, &models.Error{Code: models.CodePorts, Detail: "the loss has no terms"}
	}
	type key struct {
		value int
		logit bool
	}
	seen := map[key]int{}
	all := &loss{}
	for i, t := range l.Terms {
		v := -1
		for _, o := range b.program.Outputs {
			if b.program.Values[o].Name == t.Output {
				v = o
			}
		}
		if v < 0 {
			return nil, nil, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("term %d of the loss compares the output %q, which the model lacks", i, t.Output)}
		}
		term := &lossTerm{LossTerm: t, size: b.program.Values[v].Len()}
		in := key{v, t.Kind == models.BCELogits}
		node := b.nodes[v]
		input := lossInput{node: node, odds: in.logit}
		switch t.Kind {
		case models.Dice, models.DicePerChannel, models.BCE:
			if from := b.sigmoidOf(v); from != nil {
				input = lossInput{node: from, logits: true, odds: true}
			}
		case models.BCELogits:
		default:
			return nil, nil, &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("term %d of the loss: no kind %q", i, t.Kind)}
		}
		term.block, term.channels = max(term.size, 1), 1
		if shape := b.program.Values[v].Shape; t.Kind == models.DicePerChannel {
			if len(shape) < 2 || term.size == 0 {
				return nil, nil, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("term %d of the loss: the output %q %v has no channels", i, t.Output, shape)}
			}
			term.channels = shape[1]
			term.block = term.size / (shape[0] * shape[1])
		}
		if term.PositiveWeight == 0 {
			term.PositiveWeight = 1
		}
		if k, ok := seen[in]; ok {
			term.input = k
		} else {
			term.input = len(all.inputs)
			seen[in] = term.input
			all.inputs = append(all.inputs, input)
		}
		all.terms = append(all.terms, term)
	}
	nodes := make([]*G.Node, len(all.inputs))
	outs := [][]int{{1}}
	for i, in := range all.inputs {
		nodes[i] = in.node
		n := 0
		if in.odds {
			n = size(in.node.Shape())
		}
		outs = append(outs, []int{max(n, 1)})
	}
	f := formula{name: "loss", outs: outs, scalar: true, kernel: all.run, wants: make([]bool, len(nodes))}
	for i := range f.wants {
		f.wants[i] = true
	}
	f.grad = func(in []*G.Node, out, _ *G.Node) []*G.Node {
		var shapes [][]int
		args := append([]*G.Node(nil), in...)
		for i, n := range in {
			shapes = append(shapes, n.Shape())
			args = append(args, b.part(out, 1+i))
		}
		g := b.apply(formula{name: "loss gradient", outs: shapes, kernel: all.grad}, args...)
		grads := []*G.Node{g}
		for i := range in[1:] {
			grads = append(grads, b.part(g, 1+i))
		}
		return grads
	}
	return b.apply(f, nodes...), all, nil
}

// sigmoidOf returns the node whose Sigmoid a value is, or nil.
func (b *builder) sigmoidOf(v int) *G.Node {
	for _, op := range b.program.Ops {
		if u, ok := op.Do.(*program.Unary); ok && u.Func == program.Sigmoid && op.Out[0] == v {
			return b.nodes[op.In[0]]
		}
	}
	return nil
}

// lossGrain is how many elements are summed before the sums of sums: fixed, so that no number of workers changes a bit.
const lossGrain = 1 << 14

// run takes the inputs and gives the loss and the probabilities.
func (l *loss) run(x *exec, out, in [][]float32) error {
	for i, input := range l.inputs {
		if input.odds {
			x.span(len(in[i]), func(from, to int) { kernel.Sigmoid(out[1+i][from:to], in[i][from:to]) })
		}
	}
	total := 0.0
	for k, t := range l.terms {
		z, p := in[t.input], in[t.input]
		if l.inputs[t.input].logits {
			p = out[1+t.input]
		}
		for s := range x.batch.sets {
			set := &x.batch.sets[s]
			t.sums[s] = t.sum(x, z, p, set.targets[k], set.weight(k), l.inputs[t.input].logits)
			share := float64(t.Weight) * float64(set.share) / float64(t.channels)
			for _, sum := range t.sums[s] {
				if t.dice() {
					smooth := float64(t.Smooth)
					total += share * (1 - (2*sum.a+smooth)/(sum.b+sum.c+smooth))
				} else if sum.b > 0 {
					total += share * sum.a / sum.b
				}
			}
		}
	}
	out[0][0] = float32(total)
	return nil
}

// sum returns what the term needs, by channel.
func (t *lossTerm) sum(x *exec, z, p, target, weights []float32, logits bool) []termSums {
	perBlock := (t.block + lossGrain - 1) / lossGrain
	pieces := make([]termSums, t.size/t.block*perBlock)
	x.workers.Do(len(pieces), func(_, i int) {
		from := i/perBlock*t.block + i%perBlock*lossGrain
		to := min(from+lossGrain, (i/perBlock+1)*t.block)
		y := target[from:to]
		var w []float32
		if weights != nil {
			w = weights[from:to]
		}
		switch {
		case t.dice():
			pieces[i] = termSums{kernel.Dot(p[from:to], y), kernel.Sum(p[from:to]), kernel.Sum(y)}
		case t.Kind == models.BCE && !logits:
			pieces[i] = t.entropy(p[from:to], y, w)
		default:
			pieces[i] = t.logitEntropy(z[from:to], y, w)
		}
	})
	sums := make([]termSums, t.channels)
	for i, q := range pieces {
		sum := &sums[i/perBlock%t.channels]
		sum.a, sum.b, sum.c = sum.a+q.a, sum.b+q.b, sum.c+q.c
	}
	return sums
}

// weightOf returns an element's weight in a cross entropy.
func (t *lossTerm) weightOf(i int, y float32, w []float32) float64 {
	v := 1 + (float64(t.PositiveWeight)-1)*float64(y)
	if w != nil {
		v *= float64(w[i])
	}
	return v
}

// entropy is of probabilities. The logarithms are bounded as PyTorch's are.
func (t *lossTerm) entropy(p, y, w []float32) (s termSums) {
	for i, v := range p {
		weight := t.weightOf(i, y[i], w)
		a, b := max(math.Log(float64(v)), -100), max(math.Log1p(-float64(v)), -100)
		s.a -= weight * (float64(y[i])*a + (1-float64(y[i]))*b)
		s.b += weight
	}
	return s
}

// logitEntropy is max(z, 0) − z·y + log(1 + exp(−|z|)), summed.
func (t *lossTerm) logitEntropy(z, y, w []float32) (s termSums) {
	var e [1024]float32
	for lo := 0; lo < len(z); lo += len(e) {
		hi := min(len(z), lo+len(e))
		for i, v := range z[lo:hi] {
			e[i] = -float32(math.Abs(float64(v)))
		}
		kernel.Exp(e[:hi-lo], e[:hi-lo])
		for i, v := range z[lo:hi] {
			weight := t.weightOf(lo+i, y[lo+i], w)
			s.a += weight * (float64(max(v, 0)) - float64(v)*float64(y[lo+i]) + math.Log1p(float64(e[i])))
			s.b += weight
		}
	}
	return s
}

// grad takes the inputs and the probabilities, and gives the gradients by the inputs.
func (l *loss) grad(x *exec, out, in [][]float32) error {
	for i, input := range l.inputs {
		n := len(in[i])
		x.span(n, func(from, to int) {
			d := out[i][from:to]
			clear(d)
			z := in[i][from:to]
			p := z
			if input.odds {
				p = in[len(l.inputs)+i][from:to]
			}
			for k, t := range l.terms {
				if t.input != i {
					continue
				}
				for s := range x.batch.sets {
					set := &x.batch.sets[s]
					var w []float32
					if all := set.weight(k); all != nil {
						w = all[from:to]
					}
					t.addGrads(d, z, p, set.targets[k][from:to], w, input.logits, float64(t.Weight)*float64(set.share), s, from)
				}
			}
		})
	}
	return nil
}

// addGrads adds the gradient of the elements that begin at from, channel by channel.
func (t *lossTerm) addGrads(d, z, p, y, w []float32, logits bool, share float64, set, from int) {
	for lo := 0; lo < len(d); {
		block := (from + lo) / t.block
		hi := min(len(d), (block+1)*t.block-from)
		var part []float32
		if w != nil {
			part = w[lo:hi]
		}
		t.addGrad(d[lo:hi], z[lo:hi], p[lo:hi], y[lo:hi], part, logits, share/float64(t.channels), t.sums[set][block%t.channels])
		lo = hi
	}
}

func (t *lossTerm) addGrad(d, z, p, y, w []float32, logits bool, share float64, sum termSums) {
	switch {
	case t.dice():
		smooth := float64(t.Smooth)
		whole := sum.b + sum.c + smooth
		constant, slope := float32(share*(2*sum.a+smooth)/(whole*whole)), float32(-2*share/whole)
		q := p
		if !logits {
			q = z
		}
		for i, v := range y {
			g := constant + slope*v
			if logits {
				g *= q[i] * (1 - q[i])
			}
			d[i] += g
		}
	case sum.b == 0: // nothing counts
	case t.Kind == models.BCE && !logits:
		for i, v := range z {
			g := (float64(v) - float64(y[i])) / max(float64(v)*(1-float64(v)), 1e-12)
			d[i] += float32(share / sum.b * t.weightOf(i, y[i], w) * g)
		}
	case w == nil:
		scale, more := float32(share/sum.b), t.PositiveWeight-1
		for i, v := range y {
			d[i] += scale * (1 + more*v) * (p[i] - v)
		}
	default:
		for i, v := range y {
			d[i] += float32(share / sum.b * t.weightOf(i, v, w) * float64(p[i]-v))
		}
	}
}
