package nets

import (
	"fmt"

	"github.com/cspine/cspine/models/onnx"
)

// What a classifier takes and gives, as package classify says it.
const (
	positions = 15 // slices of a vertebra
	levels    = 7  // vertebrae of a patient
	planes    = 6  // channels of a slice
	cropSize  = 224
)

// Classifier is the reference's stage-2 network: an encoder that looks at each slice alone, bidirectional long short-term memories
// (Hochreiter & Schmidhuber, 1997) that read the slices' features in order, and a logit for each slice. Small adds a shortcut: the largest of
// each feature among a vertebra's slices, normalised, and a linear map to one logit, which all its slices get; likewise the patient among
// its vertebrae.
//
// Type 1 has the input crops [N, 15, 6, Size, Size], 0 to 1, and the output slices [N, 15]. Type 2 looks at the seven vertebrae of a
// patient together, crops [N, 105, 6, Size, Size] and slices [N, 105], and has a second memory, at whose first step it gives
// patient [N, 1]. The file declares N = 1, and is right for any other.
type Classifier struct {
	Type    int     // 1 or 2; 0 means 1
	Encoder Encoder // one of Encoders, or Imported; the zero value means Small
	Size    int     // of crops in pixels: 224 or a whole fraction; 0 means 224, 112 for Small, and an import's own where it has one
	Hidden  int     // width of the memories in each direction; 0 means 256, and 128 for Small
}

// Build returns the network with weights drawn from the seed.
func (n Classifier) Build(seed uint64) ([]byte, error) {
	if n.Encoder.name == "" {
		n.Encoder = Small
	}
	n.Type, n.Size, n.Hidden = or(n.Type, 1), or(n.Size, or(n.Encoder.size, cropSize)), or(n.Hidden, or(n.Encoder.hidden, 256))
	slices, name := positions, "classifier-"+n.Encoder.name
	if n.Type == 2 {
		slices, name = levels*positions, name+"-patient"
	}
	switch {
	case n.Type != 1 && n.Type != 2:
		return nil, fmt.Errorf("nets: a classifier is of type 1 (a vertebra) or 2 (a patient), not %d", n.Type)
	case n.Size < smallestCrop || cropSize%n.Size != 0:
		return nil, fmt.Errorf("nets: %s: size %d is not %d divided by a whole number, or less than %d", name, n.Size, cropSize, smallestCrop)
	case n.Hidden < 1 || n.Hidden > maxChannels:
		return nil, fmt.Errorf("nets: %s: a memory of %d is not between 1 and %d", name, n.Hidden, maxChannels)
	}
	encoder, err := n.Encoder.at(n.Size)
	if err != nil {
		return nil, err
	}
	l := newLayers(name, 2, seed)
	if i := encoder.imported; i != nil {
		l.Metadata("cspine.encoder", i.digest)
	}
	crops := l.Input("crops", onnx.Fixed(1, slices, planes, n.Size, n.Size))
	images := l.reshape("images", crops, -1, planes, int64(n.Size), int64(n.Size))
	features := encoder.vector(l, tensor{images, planes, n.Size})

	sequence := l.reshape("features", features.name, -1, int64(slices), int64(features.width))
	steps := vector{l.transpose("steps", sequence, 1, 0, 2), features.width}
	y := l.lstm("lstm", steps, n.Hidden, 2)
	rows := vector{l.reshape("rows", l.transpose("crops.order", y.name, 1, 0, 2), -1, int64(y.width)), y.width}
	logits := l.logit("head", rows).name
	var most vector // of each vertebra's slices, [vertebrae, width]
	if encoder.shortcut {
		each := l.reshape("vertebrae", features.name, -1, positions, int64(features.width))
		most = vector{l.Node("ReduceMax", "most", []string{each}, onnx.IntsAttribute("axes", 1), onnx.IntAttribute("keepdims", 0)), features.width}
		most = vector{l.norm("most.bn", tensor{most.name, most.width, 1}).name, most.width}
		logits = l.Node("Add", "logits", []string{l.reshape("logits.vertebrae", logits, -1, positions), l.linear("most.logit", most, 1).name})
	}
	l.Output(l.reshape("slices", logits, -1, int64(slices)), onnx.Fixed(1, slices))
	if n.Type == 2 {
		y = l.lstm("lstm2", steps, n.Hidden, 2)
		y.name = l.Node("Gather", "lstm2.first", []string{y.name, l.Ints("lstm2.first.step", 0)}, onnx.IntAttribute("axis", 0)) // [1, N, width]
		rows = vector{l.reshape("lstm2.rows", y.name, -1, int64(y.width)), y.width}
		logit := l.logit("head2", rows).name
		if encoder.shortcut {
			each := l.reshape("most.vertebrae", most.name, -1, levels, int64(most.width))
			all := l.Node("ReduceMax", "most2", []string{each}, onnx.IntsAttribute("axes", 1), onnx.IntAttribute("keepdims", 0))
			logit = l.Node("Add", "logit2", []string{logit, l.linear("most2.logit", vector{all, most.width}, 1).name})
		}
		l.Output(l.reshape("patient", logit, -1, 1), onnx.Fixed(1, 1))
	}
	return l.Bytes()
}

// smallestCrop leaves every encoder at least two pixels a side at 1/16 of the size.
const smallestCrop = 32

// logit adds the reference's head for [rows, width]: Linear, BatchNorm, Dropout, LeakyReLU, Linear.
func (l *layers) logit(name string, x vector) vector {
	y := l.linear(name+".0", x, 256)
	y.name = l.norm(name+".1", tensor{y.name, y.width, 1}).name
	y.name = l.Node("Dropout", name+".2", []string{y.name, l.Floats(name+".2.ratio", []float32{.3})})
	y.name = l.Node("LeakyRelu", name+".3", []string{y.name}, onnx.FloatAttribute("alpha", .1))
	return l.linear(name+".4", y, 1)
}
