// Package classify says which vertebrae a network takes for fractured: crops in, a logit for each slice out.
//
// A classifier is an ONNX file (Describe). Type 1 looks at one vertebra, type 2 at all seven of a patient together.
//
// Invariants:
//   - Crops are what package crop makes: uint8 [15, 6, 224, 224]. A network is given them divided by 255, in its own size.
//   - A vertebra that was not found must not be made up: a network of type 1 is not asked about it; one of type 2 is given zeros in
//     its place, and what it says of them is dropped.
//   - Logits are the network's own: what is made of them, calibration (Spec.Calibration) too, is package predict's.
package classify

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms/crop"
)

// The shape of a crop, [Positions, Planes, Size, Size].
const (
	Positions = crop.Places
	Planes    = crop.Channels
	Size      = crop.Size
)

// The types of classifiers.
const (
	Vertebra = 1 // input [N, 15, 6, H, W], output [N, 15]: logits by slice
	Patient  = 2 // input [N, 105, 6, H, W], outputs [N, 105] as C1's to C7's, and [N, 1]: the patient's logit
)

// Targets is the number of things that are predicted of a study: C1 to C7, and whether any bone is fractured.
const Targets = volume.Levels + 1

// PatientTarget is the index of the last target.
const PatientTarget = volume.Levels

// TargetName returns "C1" … "C7", "patient_overall".
func TargetName(target int) string {
	if target == PatientTarget {
		return "patient_overall"
	}
	return volume.LevelName(target)
}

// The names of a classifier's ports, and its properties (ONNX metadata).
const (
	InputName   = "crops"
	SlicesName  = "slices"  // logits by slice
	PatientName = "patient" // type 2's second output

	// PriorKey has the share of fractured in the data that the classifier learned from, by target, as a JSON list of
	// Targets numbers.
	PriorKey = "cspine.prior"
	// CalibrationKey has a Calibration for each target, as a JSON list.
	CalibrationKey = "cspine.calibration"
)

// Calibration makes a logit z a·z + b (Platt 1999; temperature scaling has b = 0). The zero value changes nothing.
type Calibration struct {
	Scale float64 `json:"scale"` // a; 0 stands for 1
	Shift float64 `json:"shift"` // b
}

// Apply returns the calibrated logit.
func (c Calibration) Apply(logit float64) float64 {
	if c.Scale == 0 {
		return logit + c.Shift
	}
	return c.Scale*logit + c.Shift
}

// Spec is what a file says of its classifier.
type Spec struct {
	Type int // Vertebra or Patient
	// Height and Width of the crops it takes: both Size, divided by one whole number.
	Height, Width int
	// Prior is the share of fractured that it learned from; Known tells whether the file says.
	Prior      [Targets]float64
	PriorKnown bool
	// Calibration is applied to the logit of each target's probability (package predict).
	Calibration [Targets]Calibration
}

// Crops is the number of vertebrae that the network takes at once.
func (s Spec) Crops() int {
	if s.Type == Patient {
		return volume.Levels
	}
	return 1
}

// Describe reads what an ONNX file is as a classifier. One that is none is a *models.Error with CodePorts.
func Describe(file []byte) (Spec, error) {
	info, err := models.Info(file)
	if err != nil {
		return Spec{}, err
	}
	return describe(file, info)
}

// describe is Describe of a file whose info is known.
func describe(file []byte, info onnx.Info) (s Spec, err error) {
	if s.Type, s.Height, s.Width, err = shape(info); err != nil {
		return s, err
	}
	properties, err := onnx.Metadata(file)
	if err != nil {
		return s, err
	}
	for key, to := range map[string]any{PriorKey: &s.Prior, CalibrationKey: &s.Calibration} {
		if text := properties[key]; text != "" {
			if err := json.Unmarshal([]byte(text), to); err != nil {
				return s, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the property %s is no list of %d: %v", key, Targets, err)}
			}
			s.PriorKnown = s.PriorKnown || key == PriorKey
		}
	}
	return s, s.check()
}

func (s Spec) check() error {
	for t := range Targets {
		c := s.Calibration[t]
		if !(s.Prior[t] >= 0 && s.Prior[t] <= 1) || math.IsNaN(c.Scale+c.Shift) || math.IsInf(c.Scale+c.Shift, 0) || c.Scale < 0 {
			return &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("the prior %g or the calibration %+v of %s makes no sense", s.Prior[t], c, TargetName(t))}
		}
	}
	return nil
}

// shape finds the type and the size of the crops in a model's ports. An open batch, height or width is fine; open sizes mean Size.
func shape(info onnx.Info) (kind, height, width int, err error) {
	refuse := &models.Error{Code: models.CodePorts,
		Detail: fmt.Sprintf("a classifier has the input [N, 15, 6, H, W] and the output [N, 15], or [N, 105, 6, H, W] and [N, 105] and [N, 1]; this has inputs %v and outputs %v",
			info.Inputs, info.Outputs),
		Remedy: "give another model; 'cspine model build' makes one"}
	if len(info.Inputs) != 1 || len(info.Inputs[0].Shape) != 5 || len(info.Outputs) == 0 {
		return 0, 0, 0, refuse
	}
	in := info.Inputs[0].Shape
	for i, o := range info.Outputs {
		want := in[1]
		if i == 1 {
			want = 1
		}
		if i > 1 || len(o.Shape) != 2 || o.Shape[1] != want {
			return 0, 0, 0, refuse
		}
	}
	switch {
	case in[1] == Positions && len(info.Outputs) == 1:
		kind = Vertebra
	case in[1] == Positions*volume.Levels && len(info.Outputs) == 2:
		kind = Patient
	default:
		return 0, 0, 0, refuse
	}
	sides := [2]int{int(in[3]), int(in[4])}
	for i, side := range sides {
		if side <= 0 {
			sides[i] = Size
		}
		if side > 0 && (side > Size || Size%side != 0) {
			return 0, 0, 0, refuse
		}
	}
	if in[2] != Planes || sides[0] != sides[1] {
		return 0, 0, 0, refuse
	}
	return kind, sides[0], sides[1], nil
}
