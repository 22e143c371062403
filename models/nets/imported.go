package nets

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

// imported is an encoder that was exported from elsewhere.
type imported struct {
	original *onnx.Model // as it came
	adapted  *onnx.Model // for any batch, and the channels of a slice
	channels int         // of the original's images
	size     int         // of its images; 0 where it is free
	digest   string      // of the file
}

// Imported returns an encoder that was exported from elsewhere, such as a network of timm with its ImageNet weights: an ONNX file
// with the input [N, C, H, W], N free or 1, and the output [N, F], features, or [N, F, h, w], whose mean is taken. Where C is not a
// slice's six, the first convolution's weights are repeated and scaled as timm does. Constants that hold a batch of one are freed. A file
// with another H and W than the classifier's is refused: they may have gone anywhere in it.
//
// Weights keep their names after "encoder.". The error is a *models.Error.
func Imported(file []byte) (Encoder, error) {
	if _, err := models.Info(file); err != nil {
		return Encoder{}, err
	}
	i := &imported{digest: fmt.Sprintf("%x", sha256.Sum256(file))}
	for _, to := range []**onnx.Model{&i.original, &i.adapted} {
		m, err := onnx.Parse(file)
		if err != nil {
			return Encoder{}, unsupported(err)
		}
		*to = m
	}
	g := &i.original.Graph
	if len(g.Inputs) != 1 || len(g.Inputs[0].Shape) != 4 || g.Inputs[0].Type != onnx.Float32 || len(g.Outputs) != 1 {
		info := i.original.Info()
		return Encoder{}, noEncoder("this has inputs %v and outputs %v", info.Inputs, info.Outputs)
	}
	shape := g.Inputs[0].Shape
	if shape[2] != shape[3] {
		return Encoder{}, noEncoder("its images are %d by %d", shape[2], shape[3])
	}
	i.channels, i.size = int(shape[1]), int(max(0, shape[2]))
	i.adapted.Untie()
	if err := i.adapted.OpenBatch(); err != nil {
		return Encoder{}, unsupported(err)
	}
	if err := i.adapted.RepeatInputChannels(planes); err != nil {
		return Encoder{}, unsupported(err)
	}
	return Encoder{name: "imported", size: i.size, imported: i}, nil
}

func noEncoder(format string, args ...any) *models.Error {
	return &models.Error{Code: models.CodePorts, Detail: "an encoder has one input [N, C, H, W] of float32, H and W alike, and one output [N, F] or [N, F, h, w]; " + fmt.Sprintf(format, args...),
		Remedy: "export the network without its classes (timm: num_classes=0)"}
}

// freeBatch is what to do where a batch is fixed inside a file.
const freeBatch = "export the network with a free batch (torch.onnx.export: dynamic_axes={'input': {0: 'batch'}})"

func unsupported(err error) *models.Error {
	out := &models.Error{Code: models.CodeUnsupported, Detail: err.Error(), Err: err}
	var detail *onnx.Error
	if errors.As(err, &detail) {
		out.Detail = detail.Detail
	}
	return out
}

// features is what an imported encoder gives: how many, and whether they are images still.
type features struct {
	width  int
	images bool
}

// maxFeatures bounds what a memory is asked to read.
const maxFeatures = 1 << 14

// features finds what the encoder makes of images of a size, and that it does so for batches of any size.
func (i *imported) features(size int) (f features, err error) {
	if i.size > 0 && size != i.size {
		return f, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the encoder takes images of %d by %d, the classifier %d by %d", i.size, i.size, size, size),
			Remedy: "build the classifier for the encoder's size, or export the encoder with the classifier's, or with free rows and columns"}
	}
	for _, batch := range []int{2, 3} {
		file, err := alone(func(l *layers, x tensor) vector { return l.graft(i.adapted, x, features{width: 1}) }, batch, planes, size)
		if err != nil {
			return f, unsupported(err)
		}
		m, err := onnx.Parse(file)
		if err != nil {
			return f, unsupported(err)
		}
		p, err := program.Compile(m, nil)
		if err != nil {
			return f, &models.Error{Code: models.CodeUnsupported, Detail: fmt.Sprintf("the encoder with %d images of %d by %d: %v", batch, size, size, err), Err: err, Remedy: freeBatch}
		}
		shape := p.Values[p.Outputs[0]].Shape
		if len(shape) != 2 && len(shape) != 4 || shape[1] > maxFeatures {
			return f, noEncoder("this gives %v for %d images", shape, batch)
		}
		if shape[0] != batch {
			refuse := noEncoder("this gives %v for %d images: the batch is fixed inside", shape, batch)
			refuse.Remedy = freeBatch
			return f, refuse
		}
		f = features{shape[1], len(shape) == 4}
	}
	return f, nil
}

// at returns the encoder for images of a size.
func (e Encoder) at(size int) (Encoder, error) {
	if e.imported == nil {
		return e, nil
	}
	f, err := e.imported.features(size)
	e.vector = func(l *layers, x tensor) vector { return l.graft(e.imported.adapted, x, f) }
	return e, err
}

// graft adds an encoder's nodes.
func (l *layers) graft(m *onnx.Model, x tensor, f features) vector {
	outputs := l.Graft(m, "encoder.", x.name)
	switch {
	case len(outputs) != 1:
		return vector{} // Bytes says why
	case f.images:
		return l.average(tensor{outputs[0], f.width, 0})
	}
	return vector{outputs[0], f.width}
}

// alone builds an encoder as a network of its own: images [batch, channels, size, size] to features [batch, F].
func alone(vectors func(*layers, tensor) vector, batch, channels, size int) ([]byte, error) {
	l := newLayers("encoder", 2, 1)
	y := vectors(l, tensor{l.Input("images", onnx.Fixed(batch, channels, size, size)), channels, size})
	l.Output(y.name, onnx.Fixed(batch, y.width))
	return l.Bytes()
}

// Verify runs an imported encoder beside the file that it came from: there one image at a time, here a batch with every image repeated
// over its channels. The features must be equal but for rounding, of which as much is allowed as the file itself makes of images that differ in their
// last digits. Other encoders have nothing to be compared with.
func (e Encoder) Verify(ctx context.Context, engine models.Engine, size int) error {
	if e.imported == nil {
		return nil
	}
	f, err := e.imported.features(size)
	if err != nil {
		return err
	}
	const batch = 2
	channels, plane := e.imported.channels, size*size
	images, nearly, slices := make([]float32, batch*channels*plane), make([]float32, batch*channels*plane), make([]float32, batch*planes*plane)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range images {
		images[i] = r.Float32()
		nearly[i] = images[i] * (1 + 1e-6)
	}
	for i := range batch * planes {
		b, c := i/planes, i%planes
		copy(slices[i*plane:][:plane], images[(b*channels+c%channels)*plane:])
	}
	original := func(l *layers, x tensor) vector { return l.graft(e.imported.original, x, f) }
	adapted := func(l *layers, x tensor) vector { return l.graft(e.imported.adapted, x, f) }
	want, rounded, got := make([]float32, batch*f.width), make([]float32, batch*f.width), make([]float32, batch*f.width)
	if err := run(ctx, engine, original, []int{1, channels, size}, [][]float32{images, nearly}, [][]float32{want, rounded}); err != nil {
		return err
	}
	if err := run(ctx, engine, adapted, []int{batch, planes, size}, [][]float32{slices}, [][]float32{got}); err != nil {
		return err
	}
	largest, rounding, difference := 0.0, 0.0, 0.0
	for i, w := range want {
		largest = max(largest, math.Abs(float64(w)))
		rounding = max(rounding, math.Abs(float64(rounded[i]-w)))
		difference = max(difference, math.Abs(float64(got[i]-w)))
	}
	if !(difference <= 1e-3*largest+10*rounding) {
		return &models.Error{Code: models.CodeUnsupported, Remedy: freeBatch,
			Detail: fmt.Sprintf("in a batch the encoder's features differ by up to %g from those of an image alone, which are up to %g", difference, largest)}
	}
	return nil
}

// run gives an encoder's features of lists of images, as many at a time as shape says: batch, channels, size.
func run(ctx context.Context, engine models.Engine, vectors func(*layers, tensor) vector, shape []int, images, features [][]float32) error {
	file, err := alone(vectors, shape[0], shape[1], shape[2])
	if err != nil {
		return unsupported(err)
	}
	net, err := engine.Compile(ctx, file, nil)
	if err != nil {
		return err
	}
	defer net.Close()
	in, out := net.Inputs()[0].Len(), net.Outputs()[0].Len()
	for k := range images {
		for i := range len(images[k]) / in {
			if err := net.Infer(ctx, [][]float32{images[k][i*in:][:in]}, [][]float32{features[k][i*out:][:out]}); err != nil {
				return err
			}
		}
	}
	return nil
}
