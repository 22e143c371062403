package nets_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

// classifierCase is a classifier of crops of 32x32 that testdata has PyTorch's answers for, with PyTorch's count of parameters, and of
// the encoder's operations for one image.
type classifierCase struct {
	name       string
	classifier nets.Classifier
	parameters int64
	flops      int64
}

var classifierCases = []classifierCase{
	{"small-1", nets.Classifier{Size: 32}, 1014914, 7626752},
	{"small-2", nets.Classifier{Type: 2, Size: 32}, 1806660, 7626752},
	{"resnet18d-1", nets.Classifier{Encoder: nets.ResNet18d, Size: 32}, 14482625, 84246528},
	{"efficientnetv2s-1", nets.Classifier{Encoder: nets.EfficientNetV2S, Size: 32}, 25037017, 123782016},
	{"convnext-nano-1", nets.Classifier{Encoder: nets.ConvNeXtNano, Size: 32}, 18504561, 100282880},
}

// seasonedClassifier gives normalisations other values than 0 and 1, and what follows the encoder larger weights, as
// make_classifiers.py's season does.
func seasonedClassifier(t *testing.T, file []byte) []byte {
	t.Helper()
	m, err := onnx.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	values, all := map[string][]float32{}, m.Weights()
	set := func(name string, value func(i int) float32) {
		v := make([]float32, len(all[name].Values))
		for i := range v {
			v[i] = value(i)
		}
		values[name] = v
	}
	for name, w := range all {
		norm, isWeight := strings.CutSuffix(name, ".weight")
		switch {
		case isWeight && len(w.Dims) == 1:
			set(name, func(i int) float32 { return .75 + float32(i*29%16)/32 })
			set(norm+".bias", func(i int) float32 { return float32(i*41%17-8) / 32 })
		case strings.HasSuffix(name, ".gamma"):
			set(name, func(i int) float32 { return .25 + float32(i*29%16)/64 })
		case strings.HasSuffix(name, ".running_mean"):
			set(name, func(i int) float32 { return float32(i*37%17-8) / 64 })
		case strings.HasSuffix(name, ".running_var"):
			set(name, func(i int) float32 { return .75 + float32(i*53%16)/32 })
		case !strings.HasPrefix(name, "encoder.") && (isWeight || strings.HasSuffix(name, ".recurrent")):
			set(name, func(i int) float32 { return 4 * w.Values[i] })
		}
	}
	file, err = onnx.WithWeights(file, values)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// grey returns n pixels as make_classifiers.py's grey does.
func grey(n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i*7919%257) / 256
	}
	return values
}

// crops returns samples of slices of different brightness.
func crops(n, count int) []float32 {
	values := grey(n * count * 6 * 32 * 32)
	for s := range n * count {
		for i := range values[s*6*32*32:][:6*32*32] {
			values[s*6*32*32+i] *= float32(s*7%15+1) / 15
		}
	}
	return values
}

func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, PyTorch has %d", what, len(got), len(want))
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tolerance*(1+math.Abs(float64(want[i])))) {
			t.Fatalf("%s: value %d is %g, PyTorch's %g", what, i, got[i], want[i])
		}
	}
}

func TestClassifiersAreWhatPyTorchsAre(t *testing.T) {
	for _, c := range classifierCases {
		file, err := c.classifier.Build(1)
		if err != nil {
			t.Fatal(err)
		}
		count := 15
		if c.classifier.Type == 2 {
			count = 105
		}
		t.Run(c.name+" has its ports", func(t *testing.T) {
			info, err := models.Info(file)
			if err != nil {
				t.Fatal(err)
			}
			in, out := info.Inputs[0], info.Outputs[0]
			if in.Name != "crops" || !slices.Equal(in.Shape, []int64{1, int64(count), 6, 32, 32}) || out.Name != "slices" || !slices.Equal(out.Shape, []int64{1, int64(count)}) {
				t.Errorf("%v to %v", info.Inputs, info.Outputs)
			}
			if want := c.classifier.Type == 2; len(info.Outputs) > 1 != want || want && (info.Outputs[1].Name != "patient" || !slices.Equal(info.Outputs[1].Shape, []int64{1, 1})) {
				t.Errorf("outputs %v", info.Outputs)
			}
		})
		t.Run(c.name+" has PyTorch's parameters", func(t *testing.T) {
			if s := summary(t, file); s.Parameters != c.parameters {
				t.Errorf("%d parameters, PyTorch has %d", s.Parameters, c.parameters)
			}
		})
		if c.classifier.Encoder.Name() != "" {
			continue // what follows an encoder is the same for all; TestEncodersMakeTimmsFeatures has the rest
		}
		file = seasonedClassifier(t, file)
		t.Run(c.name+" makes PyTorch's logits of one sample, and of any number", func(t *testing.T) {
			net, err := gorgonia.New().Compile(t.Context(), file, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer net.Close()
			loss := models.Loss{Terms: []models.LossTerm{{Output: "slices", Kind: models.BCELogits, Weight: 1}}}
			two, err := gorgonia.New().CompileTraining(t.Context(), file, models.TrainingOptions{Loss: loss, InputShapes: [][]int{{2, count, 6, 32, 32}}})
			if err != nil {
				t.Fatal(err)
			}
			defer two.Close()
			in := crops(2, count)
			for samples, run := range map[int]func([][]float32, [][]float32) error{
				1: func(in, out [][]float32) error { return net.Infer(t.Context(), in, out) },
				2: func(in, out [][]float32) error { return two.Infer(t.Context(), in, out) },
			} {
				out := [][]float32{make([]float32, samples*count), make([]float32, samples)}[:len(net.Outputs())]
				if err := run([][]float32{in[:len(in)*samples/2]}, out); err != nil {
					t.Fatal(err)
				}
				near(t, "slices", out[0], expected(t, c.name+".slices")[:samples*count], 2e-5)
				if len(out) > 1 {
					near(t, "patient", out[1], expected(t, c.name+".patient")[:samples], 2e-5)
				}
			}
		})
	}
}

func TestEncodersMakeTimmsFeatures(t *testing.T) {
	for _, c := range classifierCases {
		if c.classifier.Type == 2 {
			continue
		}
		encoder := c.classifier.Encoder
		if encoder.Name() == "" {
			encoder = nets.Small
		}
		t.Run(encoder.Name(), func(t *testing.T) {
			file, err := nets.EncoderAlone(encoder, 32)
			if err != nil {
				t.Fatal(err)
			}
			if s := summary(t, file); s.FLOPs != c.flops {
				t.Errorf("%d FLOP, PyTorch has %d", s.FLOPs, c.flops)
			}
			near(t, "features", infer(t, seasonedClassifier(t, file), grey(6*32*32))[0], expected(t, c.name+".features"), 1e-4)
		})
	}
}

func summary(t *testing.T, file []byte) program.Summary {
	t.Helper()
	m, err := onnx.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Compile(m, &program.Options{Training: true})
	if err != nil {
		t.Fatal(err)
	}
	return p.Summary()
}

func TestClassifiersOfOneSeedAreTheSameBytes(t *testing.T) {
	var files [3][]byte
	for i, seed := range []uint64{7, 7, 8} {
		var err error
		if files[i], err = (nets.Classifier{Type: 2}).Build(seed); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) || bytes.Equal(files[0], files[2]) {
		t.Error("bytes don't follow the seed")
	}
	if about, err := onnx.Metadata(files[0]); err != nil || about["cspine.network"] != "classifier-small-patient" || about["cspine.seed"] != "7" {
		t.Errorf("metadata %v, error %v", about, err)
	}
}

func TestSmallClassifiersFitTheirBounds(t *testing.T) {
	for kind := 1; kind <= 2; kind++ {
		file, err := nets.Classifier{Type: kind}.Build(1)
		if err != nil {
			t.Fatal(err)
		}
		if len(file) > 8e6 {
			t.Errorf("type %d: %d bytes", kind, len(file))
		}
		if a := summary(t, file).FLOPs / 2 / int64([]int{0, 15, 105}[kind]); a > 50e6 {
			t.Errorf("type %d: %d multiplications for a slice", kind, a)
		}
	}
}

// TestMemoriesAndHeadsStartAsPyTorchs: uniform to 1/√width, where PyTorch's nn.LSTM takes the width of the state, and nn.Linear that of its input.
func TestMemoriesAndHeadsStartAsPyTorchs(t *testing.T) {
	file, err := nets.Classifier{Hidden: 64}.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, width := range map[string]float64{"lstm.0.weight": 64, "lstm.0.recurrent": 64, "lstm.1.bias": 64, "head.0.weight": 128, "head.0.bias": 128, "head.4.weight": 256} {
		v := m.Weights()[name].Values
		squares, largest := 0.0, 0.0
		for _, x := range v {
			squares, largest = squares+float64(x)*float64(x), max(largest, math.Abs(float64(x)))
		}
		bound := 1 / math.Sqrt(width)
		deviation, n := math.Sqrt(squares/float64(len(v))), float64(len(v))
		if want := bound / math.Sqrt(3); largest > bound || largest < bound*(1-10/n) || math.Abs(deviation-want) > 2*want/math.Sqrt(n) {
			t.Errorf("%s: up to %g, deviation %g; want %g and %g", name, largest, deviation, bound, want)
		}
	}
}

func TestClassifierRefusesWhatItCanNotBe(t *testing.T) {
	for want, c := range map[string]nets.Classifier{
		"not 3":                    {Type: 3},
		"size 100 is not 224":      {Size: 100},
		"size 448":                 {Size: 448},
		"size 28":                  {Size: 28},
		"size -112":                {Size: -112},
		"a memory of -1":           {Hidden: -1},
		"a memory of 100000 is no": {Hidden: 100000},
	} {
		if _, err := c.Build(1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v", want, err)
		}
	}
	if _, err := nets.FindEncoder("large"); err == nil || !strings.Contains(err.Error(), "small, resnet18d") {
		t.Errorf("error is %v", err)
	}
	if _, err := (nets.UNet{Encoder: nets.ConvNeXtNano}).Build(1); err == nil || !strings.Contains(err.Error(), "no levels") {
		t.Errorf("error is %v", err)
	}
}
