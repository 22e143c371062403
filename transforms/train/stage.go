package train

import (
	"context"
	"iter"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
)

// Stage says what one of the method's stages has of its own, in a form that the loop asks for: which ports a model must have, what a
// batch is, what is made small, and how good the answers for held-out studies are. S is a sample of it. A stage serves one run, whose
// goroutine alone calls it.
type Stage[S any] interface {
	// Ports finds the stage's ports in a model that is trained on n samples at a time. A model of other ports is a *models.Error
	// with CodePorts. It is called once, before all else.
	Ports(info onnx.Info, n int) (Ports, error)
	// Fill makes a batch of n samples in memory that the next call uses again. It may put what it made of a sample in its
	// place. Samples that do not fit the model are a *models.Error with CodeSamples.
	Fill(samples []S, m Mixing) (models.Batch, error)
	// Meter begins to measure answers. Seed decides what is random in it.
	Meter(seed uint64) Meter[S]
}

// Ports is how a model is trained: the shapes of its input and of its outputs, batch included, and the loss.
type Ports struct {
	Input   []int
	Outputs [][]int
	Loss    models.Loss
}

// Meter collects what a network answers for held-out samples.
type Meter[S any] interface {
	// Add takes the samples of a batch, as Fill left them, and the values of each output for them, which may go on with those of
	// samples that do not count.
	Add(samples []S, outputs [][]float32) error
	// Validation says how good the answers were.
	Validation() (*Validation, error)
}

// Samples is a set of samples in an order that each epoch has of its own.
type Samples[S any] interface {
	// Len is the number of samples of an epoch.
	Len() int
	// Epoch yields an epoch's samples from the skip-th on. Equal arguments must give equal samples, augmentation included.
	// The first error ends it.
	Epoch(ctx context.Context, epoch, skip int) iter.Seq2[S, error]
}

// Mixing says how a batch is mixed with itself (Zhang et al., arXiv 1710.09412): sample i by Lambda, sample Order[i] by the rest. A nil
// Order means not at all.
type Mixing struct {
	Lambda float32
	Order  []int
}
