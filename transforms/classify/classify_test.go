package classify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/models/onnx"
)

// double is a network whose logits are a function of its input.
type double struct {
	spec  Spec
	asked int
	run   func(in, slices []float32) (patient float32)
}

func (n *double) Inputs() []models.Port {
	return []models.Port{{Name: InputName, Shape: []int{1, n.spec.Crops() * Positions, Planes, n.spec.Height, n.spec.Width}}}
}

func (n *double) Outputs() []models.Port {
	out := []models.Port{{Name: SlicesName, Shape: []int{1, n.spec.Crops() * Positions}}}
	if n.spec.Type == Patient {
		out = append(out, models.Port{Name: PatientName, Shape: []int{1, 1}})
	}
	return out
}

func (n *double) Close() error { return nil }

func (n *double) Infer(ctx context.Context, inputs, outputs [][]float32) error {
	if err := models.CheckBuffers(n, inputs, outputs); err != nil {
		return err
	}
	n.asked++
	p := n.run(inputs[0], outputs[0])
	if n.spec.Type == Patient {
		outputs[1][0] = p
	}
	return ctx.Err()
}

var small = Spec{Type: Vertebra, Height: 56, Width: 56}

func TestANetworkIsGivenMeansOfBlocksAsSharesOf255(t *testing.T) {
	for _, side := range []int{224, 112, 56, 28} {
		spec := Spec{Type: Vertebra, Height: side, Width: side}
		by := Size / side
		crop := make([]uint8, cropBytes)
		for i := range crop { // each block has one value, but for its first pixel, which is 2 less: a half of a mean or less is rounded up
			row, column := i/Size, i%Size
			crop[i] = uint8(2 + (row/by*7+column/by*3)%250)
			if row%by == 0 && column%by == 0 && by > 1 {
				crop[i] -= 2
			}
		}
		in := make([]float32, spec.planes())
		if _, err := Input(in, crop, spec, nil); err != nil {
			t.Fatal(err)
		}
		for i, v := range in {
			want := 2 + (i/side*7+i%side*3)%250
			if v != float32(want)/255 {
				t.Fatalf("side %d: value %d is %g, want %d/255", side, i, v, want)
			}
		}
	}
	if _, err := Input(make([]float32, small.planes()), make([]uint8, 7), small, nil); err == nil {
		t.Error("a cut crop was taken")
	}
}

func TestFlipsTakeTheMeanOfTheLogitsOfBothSides(t *testing.T) {
	// Each slice's logit is the first value of its first row: the patient's rightmost column, and mirrored the leftmost.
	n := Planes * 56 * 56
	net := &double{spec: small, run: func(in, slices []float32) float32 {
		for i := range slices {
			slices[i] = in[i*n]
		}
		return 0
	}}
	in := make([]float32, small.planes())
	for i := range Positions {
		in[i*n], in[i*n+55] = float32(i), float32(-2*i)
	}
	before := append([]float32(nil), in...)
	for _, c := range []struct {
		flips bool
		share float32
	}{{false, 1}, {true, -0.5}} {
		got, err := Ask(t.Context(), net, small, in, c.flips)
		if err != nil {
			t.Fatal(err)
		}
		for i, z := range got {
			if z != c.share*float32(i) {
				t.Errorf("flips %t: slice %d has %g, want %g", c.flips, i, z, c.share*float32(i))
			}
		}
		if diff := cmp.Diff(before, in); diff != "" {
			t.Errorf("flips %t: the input was left mirrored", c.flips)
		}
	}
}

func TestANetworkOfType2AnswersForSlicesAndPatient(t *testing.T) {
	spec := Spec{Type: Patient, Height: 28, Width: 28}
	net := &double{spec: spec, run: func(in, slices []float32) float32 {
		for i := range slices {
			slices[i] = float32(i)
		}
		return -3
	}}
	got, err := Ask(t.Context(), net, spec, make([]float32, 7*spec.planes()), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 106 || got[104] != 104 || got[105] != -3 {
		t.Errorf("%d logits, the last %v", len(got), got[len(got)-2:])
	}
}

func TestLogitsThatAreNoNumbersAreRefused(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		net := &double{spec: small, run: func(_, slices []float32) float32 { slices[7] = float32(bad); return 0 }}
		_, err := Ask(t.Context(), net, small, make([]float32, small.planes()), false)
		var refused *refusal.Error
		if !errors.As(err, &refused) || refused.Reason.Code != CodeLogits {
			t.Errorf("%g: %v", bad, err)
		}
	}
}

func TestANetworkThatIsNotWhatItsFileSaidIsRefused(t *testing.T) {
	net := &double{spec: Spec{Type: Vertebra, Height: 112, Width: 112}}
	_, err := Ask(t.Context(), net, small, make([]float32, small.planes()), false)
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Reason.Code != CodePorts {
		t.Error(err)
	}
}

// build returns a classifier's file.
func build(t *testing.T, n nets.Classifier) []byte {
	t.Helper()
	file, err := n.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAFileSaysWhatClassifierItIs(t *testing.T) {
	for _, c := range []Spec{{Type: Vertebra, Height: 112, Width: 112}, {Type: Patient, Height: 56, Width: 56}} {
		file := build(t, nets.Classifier{Type: c.Type, Size: c.Height})
		if got, err := Describe(file); err != nil || got != c {
			t.Errorf("%+v, %v, want %+v", got, err, c)
		}
		file, err := onnx.WithMetadata(file, map[string]string{PriorKey: "[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8]", CalibrationKey: `[{"scale":0.5,"shift":1}]`})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Describe(file)
		if err != nil || !got.PriorKnown || got.Prior[PatientTarget] != 0.8 || got.Calibration[0].Apply(4) != 3 || got.Calibration[1].Apply(4) != 4 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestWhatIsNoClassifierIsRefusedBeforeARun(t *testing.T) {
	good := build(t, nets.Classifier{Size: 56})
	with := func(key, value string) []byte {
		file, err := onnx.WithMetadata(good, map[string]string{key: value})
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	segmenter, err := nets.UNetSmall{Size: 32}.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file []byte
		code string
	}{
		"no ONNX":                       {[]byte("hello"), models.CodeNotONNX},
		"a segmenter":                   {segmenter, models.CodePorts},
		"a prior that is no list":       {with(PriorKey, "0.5"), models.CodePorts},
		"a prior above 1":               {with(PriorKey, "[2,0,0,0,0,0,0,0]"), models.CodePorts},
		"a calibration that turns over": {with(CalibrationKey, `[{"scale":-1}]`), models.CodePorts},
	} {
		var e Ensemble
		_, err := e.Check(c.file)
		var wrong *models.Error
		if !errors.As(err, &wrong) || wrong.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := Ensemble{Engine: "gorgonia"}
	if _, err := e.Check(good); err != nil || e.Engine != "gorgonia" {
		t.Error(err)
	}
	e.Precision = string(models.INT8)
	if _, err := e.Check(good); err == nil || !strings.Contains(err.Error(), models.CodePrecision) {
		t.Errorf("int8: %v", err)
	}
}

func TestTargetsAreNamedAsInASubmission(t *testing.T) {
	got := ""
	for target := range Targets {
		got += TargetName(target) + " "
	}
	if want := "C1 C2 C3 C4 C5 C6 C7 patient_overall "; got != want || PatientTarget != volume.Levels {
		t.Error(fmt.Sprint(got))
	}
}
