package models

import "context"

// TrainingEngine is an Engine that also trains. It must pass modelstest.RunTraining.
type TrainingEngine interface {
	Engine
	// CompileTraining makes a model ready to be trained. Each of the model's floating-point initializers that
	// a weight of an operator comes from is trained; running means and variances of BatchNormalization are
	// updated as PyTorch does; all else is constant. model must not be changed afterwards. The error is
	// an *Error where the model or the options are at fault.
	CompileTraining(ctx context.Context, model []byte, opts TrainingOptions) (Trainer, error)
}

// TrainingOptions of CompileTraining. All but Threads change the result's floating point.
type TrainingOptions struct {
	// InputShapes has the shape of every input of the model, batch included, in the model's order: it takes
	// the place of what the file declares. Nil takes the file's, which must then be concrete.
	InputShapes [][]int
	Loss        Loss
	AdamW       AdamW
	// Precision of convolutions and matrix products; weights, moments, statistics and the loss are float32
	// in all. Empty means F32.
	Precision Precision
	// Threads is how many processor threads may be used; 0 means all.
	Threads int
	// Seed decides what Dropout drops, together with the number of the step.
	Seed uint64
}

// AdamW are the settings of decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101), as
// torch.optim.AdamW has them; the learning rate comes with each step. The zero value means PyTorch's defaults but
// for WeightDecay, whose zero is zero.
type AdamW struct {
	Beta1, Beta2, Epsilon float64 // zero: 0.9, 0.999, 1e-8
	WeightDecay           float64
	// ClipNorm bounds the global norm of all gradients together, as torch.nn.utils.clip_grad_norm_ does. 0: no bound.
	ClipNorm float64
}

// WithDefaults returns the settings with zeros replaced.
func (a AdamW) WithDefaults() AdamW {
	if a.Beta1 == 0 {
		a.Beta1 = 0.9
	}
	if a.Beta2 == 0 {
		a.Beta2 = 0.999
	}
	if a.Epsilon == 0 {
		a.Epsilon = 1e-8
	}
	return a
}

// Loss is a weighted sum of terms, each of one output.
type Loss struct{ Terms []LossTerm }

// LossTerm compares one output of the model with a target of the same shape.
type LossTerm struct {
	// Output names the model's output.
	Output string
	Kind   LossKind
	// Weight is the term's share of the loss. It is taken as it stands, zero too.
	Weight float32
	// Smooth is dice's: 1 in the method.
	Smooth float32
	// PositiveWeight is BCE's weight of a target t: 1 + (PositiveWeight − 1)·t. 0 means 1. The method has 2.
	PositiveWeight float32
}

// LossKind says what a term computes.
type LossKind string

// The kinds of loss. p are the output's values, t the target's, w the element weights of the batch (1 where nil).
const (
	// Dice is 1 − (2·Σpt + s)/(Σp + Σt + s) over the whole flattened batch, p being probabilities.
	Dice LossKind = "dice"
	// DicePerChannel is the mean over the output's channels (axis 1) of each one's dice over its part of the batch. Dice drives a
	// channel that is still unsure towards nothing as soon as others are found; this does not.
	DicePerChannel LossKind = "dice_per_channel"
	// BCE is Σ v·bce(p, t) / Σ v, p being probabilities, v = w·(1 + (PositiveWeight − 1)·t); logarithms are bounded at −100, as PyTorch does. An engine should
	// compute it from the logits where the output is a Sigmoid's. Where all v are 0 the term is 0, and so is its gradient.
	BCE LossKind = "bce"
	// BCELogits is the same, p being logits.
	BCELogits LossKind = "bce_logits"
)

// Batch is what one step learns from. Its slices belong to the caller, who must not change them during the step.
type Batch struct {
	// Inputs has the values of every input of the model.
	Inputs [][]float32
	// Targets has a target for every term of the loss.
	Targets [][]float32
	// Weights has element weights for every term, each nil or of the target's length. Nil means none. Dice ignores them.
	Weights [][]float32
	// Mixed and MixedWeights, where not nil, are second targets: the loss is
	// Lambda·L(Targets, Weights) + (1 − Lambda)·L(Mixed, MixedWeights), which is what mixup needs.
	Mixed, MixedWeights [][]float32
	Lambda              float32
}

// Trainer trains one model. It must be used by one goroutine at a time. Equal calls on equal machines with equal options give
// equal bits, whatever else the machine does.
type Trainer interface {
	// Inputs and Outputs return the ports, with the shapes of TrainingOptions.InputShapes.
	Inputs() []Port
	Outputs() []Port
	// Gradients runs the model forward and backward in training mode and adds to the gradients that the next Update
	// uses (gradient accumulation adds several batches'). It returns the batch's loss. Running statistics move with each call.
	Gradients(ctx context.Context, b Batch) (loss float32, err error)
	// Update takes one AdamW step with the mean of the gradients since the last one, and forgets them. norm is
	// the gradients' global norm before clipping, or 0 where nothing asks for it.
	Update(ctx context.Context, rate float64) (norm float64, err error)
	// Infer runs the model with its present weights as inference does (running statistics, no dropout). Slices are as in
	// Network.Infer.
	Infer(ctx context.Context, inputs, outputs [][]float32) error
	// GradientOf returns a copy of the present mean gradient of a parameter, by the initializer's name.
	GradientOf(name string) ([]float32, error)
	// State returns a copy of all that decides how training goes on.
	State() (State, error)
	// SetState puts training where State was taken. The state's tensors must be those of this model.
	SetState(s State) error
	Close() error
}

// State is a training's weights and optimiser. Gradients that wait for an Update are not part of it.
type State struct {
	// Steps is the number of updates so far.
	Steps int64
	// Draws is the number of calls of Gradients so far: what Dropout's randomness counts by.
	Draws int64
	// Weights has every parameter and running statistic by its initializer's name; First and Second have AdamW's moments by
	// parameter.
	Weights, First, Second map[string][]float32
}
