package xla

import (
	"fmt"

	. "github.com/gomlx/gomlx/pkg/core/graph" //nolint:staticcheck // a graph's operations read as formulas

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/program"
)

// goal is what a term of the loss compares with: target and element weights, which may be nil.
type goal struct{ target, weights *Node }

// subject is the value that a term looks at: the output's index, or the index of its logits and logits set.
func subject(p *program.Program, term models.LossTerm) (index int, logits bool, err error) {
	index = -1
	for _, o := range p.Outputs {
		if p.Values[o].Name == term.Output {
			index = o
		}
	}
	if index < 0 {
		return 0, false, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the loss names output %q, which the model lacks", term.Output)}
	}
	switch term.Kind {
	case models.Dice:
	case models.DicePerChannel:
		if len(p.Values[index].Shape) < 2 {
			return 0, false, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("output %q %v has no channels for the loss", term.Output, p.Values[index].Shape)}
		}
	case models.BCELogits:
		logits = true
	case models.BCE: // from the logits where they are there: no digits are lost near 0 and 1
		for _, op := range p.Ops {
			if u, ok := op.Do.(*program.Unary); ok && op.Out[0] == index && u.Func == program.Sigmoid {
				return op.In[0], true, nil
			}
		}
	default:
		return 0, false, &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("loss %q is not known", term.Kind)}
	}
	return index, logits, nil
}

// term returns a term's value and its gradient by the subject x, both float32, in the subject's ONNX order.
func (b *build) term(t models.LossTerm, x *Node, logits bool, g goal) (value, gradient *Node) {
	if t.Kind == models.Dice || t.Kind == models.DicePerChannel {
		return b.dice(t, x, g.target)
	}
	return b.crossEntropy(t, x, logits, g)
}

func (b *build) dice(t models.LossTerm, p, target *Node) (value, gradient *Node) {
	total, channels := b.total, 1.0
	if t.Kind == models.DicePerChannel {
		axes := []int{0}
		for axis := 2; axis < p.Rank(); axis++ {
			axes = append(axes, axis)
		}
		total = func(n *Node) *Node { return ReduceAndKeep(n, ReduceSum, axes...) }
		channels = float64(p.Shape().Dimensions[1])
	}
	top := AddScalar(MulScalar(total(Mul(p, target)), 2), float64(t.Smooth))
	bottom := AddScalar(Add(total(p), total(target)), float64(t.Smooth))
	ratio := Div(top, bottom)
	// d(1 − top/bottom)/dp is (top/bottom − 2t)/bottom.
	return DivScalar(b.total(OneMinus(ratio)), channels), DivScalar(Div(Sub(ratio, MulScalar(target, 2)), bottom), channels)
}

func (b *build) crossEntropy(t models.LossTerm, x *Node, logits bool, g goal) (value, gradient *Node) {
	var each, slope *Node
	if logits {
		each = Add(Sub(Max(x, ZerosLike(x)), Mul(x, g.target)), Log1p(Exp(Neg(Abs(x)))))
		slope = Sub(Sigmoid(x), g.target)
	} else { // PyTorch bounds the logarithms, and the gradient's denominator
		bound := func(n *Node) *Node { return Max(n, b.scalar(-100)) }
		each = Neg(Add(Mul(g.target, bound(Log(x))), Mul(OneMinus(g.target), bound(Log1p(Neg(x))))))
		slope = Div(Sub(x, g.target), Max(Mul(x, OneMinus(x)), b.scalar(1e-12)))
	}
	weights := g.weights
	if pw := float64(t.PositiveWeight); pw != 0 && pw != 1 {
		positive := AddScalar(MulScalar(g.target, pw-1), 1)
		if weights == nil {
			weights = positive
		} else {
			weights = Mul(weights, positive)
		}
	}
	if weights == nil {
		n := float64(x.Shape().Size())
		return DivScalar(b.total(each), n), DivScalar(slope, n)
	}
	whole := Max(b.total(weights), b.scalar(1e-30)) // where nothing counts the term is 0
	return Div(b.total(Mul(weights, each)), whole), Div(Mul(weights, slope), whole)
}

// loss returns the whole loss and the gradients by the program's values that it starts from. goals has one for each term; mixed too,
// where lambda is not nil.
func (b *build) loss(l models.Loss, goals, mixed []goal, lambda *Node) (*Node, map[int]tensor, error) {
	whole := b.scalar(0)
	gradients := map[int]tensor{}
	for k, t := range l.Terms {
		index, logits, err := subject(b.p, t)
		if err != nil {
			return nil, nil, err
		}
		x := f32(b.order(b.values[index]))
		value, gradient := b.term(t, x, logits, goals[k])
		if lambda != nil {
			v, g := b.term(t, x, logits, mixed[k])
			rest := OneMinus(lambda)
			value, gradient = Add(Mul(lambda, value), Mul(rest, v)), Add(Mul(lambda, gradient), Mul(rest, g))
		}
		whole = Add(whole, MulScalar(value, float64(t.Weight)))
		gradient = ConvertDType(MulScalar(gradient, float64(t.Weight)), b.values[index].n.DType())
		gradients[index] = b.add(gradients[index], tensor{n: gradient})
	}
	return whole, gradients, nil
}
