package nets_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/models/onnx"
)

func exported(t *testing.T, name string) []byte {
	t.Helper()
	file, err := os.ReadFile("testdata/encoders/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestExportedEncodersMakeTimmsFeatures: of six channels, by timm's own adaptation of the first convolution, and in batches what they
// make of an image alone.
func TestExportedEncodersMakeTimmsFeatures(t *testing.T) {
	for _, name := range []string{"efficientnet", "resnet_maps", "convnext", "vit", "flat"} {
		t.Run(name, func(t *testing.T) {
			encoder, err := nets.Imported(exported(t, name))
			if err != nil {
				t.Fatal(err)
			}
			file, err := nets.EncoderAlone(encoder, 32)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "features", infer(t, file, grey(6*32*32))[0], expected(t, "encoders/"+name), 1e-5)
			if err := encoder.Verify(t.Context(), gorgonia.New(), 32); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClassifierTrainsAnExportedEncoder(t *testing.T) {
	encoder, err := nets.Imported(exported(t, "efficientnet"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := nets.Classifier{Type: 2, Encoder: encoder, Size: 32, Hidden: 8}.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	loss := models.Loss{Terms: []models.LossTerm{{Output: "slices", Kind: models.BCELogits, Weight: 1}, {Output: "patient", Kind: models.BCELogits, Weight: 1}}}
	trainer, err := gorgonia.New().CompileTraining(t.Context(), file, models.TrainingOptions{Loss: loss, InputShapes: [][]int{{2, 105, 6, 32, 32}}})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	if _, err := trainer.Gradients(t.Context(), models.Batch{Inputs: [][]float32{crops(2, 105)}, Targets: [][]float32{make([]float32, 210), {0, 1}}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"encoder.conv_stem.weight", "encoder.bn1.weight", "lstm2.1.recurrent", "head2.4.weight"} {
		g, err := trainer.GradientOf(name)
		if err != nil {
			t.Fatal(err)
		}
		sum := float32(0)
		for _, v := range g {
			sum += v * v
		}
		if !(sum > 0) {
			t.Errorf("%s has no gradient", name)
		}
	}
	state, err := trainer.State()
	if err != nil {
		t.Fatal(err)
	}
	if state.Weights["encoder.bn1.running_mean"] == nil {
		t.Error("the encoder's running statistics are not the training's")
	}
}

func TestClassifierNamesItsExportedEncoder(t *testing.T) {
	encoder, err := nets.Imported(exported(t, "resnet_maps"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := nets.Classifier{Encoder: encoder, Hidden: 4}.Build(1) // of the export's size
	if err != nil {
		t.Fatal(err)
	}
	info, err := models.Info(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Inputs[0].Shape[4] != 32 || info.Outputs[0].Name != "slices" {
		t.Errorf("%v to %v", info.Inputs, info.Outputs)
	}
	if about, err := onnx.Metadata(file); err != nil || about["cspine.network"] != "classifier-imported" || len(about["cspine.encoder"]) != 64 {
		t.Errorf("metadata %v, error %v", about, err)
	}
}

func TestWhatIsNoEncoderIsRefused(t *testing.T) {
	builder := func(build func(b *onnx.Builder)) []byte {
		b := onnx.NewBuilder("wrong")
		build(b)
		file, err := b.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, c := range []struct {
		name, code, says string
		file             []byte
		size             int
	}{
		{"bytes that are no model", models.CodeNotONNX, "not an ONNX file", []byte("<html>"), 32},
		{"a class token of one image", models.CodeUnsupported, "/Concat", exported(t, "vit_of_one"), 32},
		{"an image that is changed before it is convolved", models.CodeUnsupported, "/Sub (Sub) reads the image before", exported(t, "normalising"), 32},
		{"another size", models.CodePorts, "takes images of 32 by 32, the classifier 56 by 56", exported(t, "resnet_maps"), 56},
		{"a network of volumes", models.CodePorts, "an encoder has one input", builder(func(b *onnx.Builder) {
			b.Output(b.Node("Relu", "y", []string{b.Input("x", onnx.Fixed(1, 1, 8, 8, 8))}), onnx.Fixed(1, 1, 8, 8, 8))
		}), 32},
		{"two outputs", models.CodePorts, "an encoder has one input", builder(func(b *onnx.Builder) {
			x := b.Input("x", onnx.Fixed(1, 6, 32, 32))
			b.Output(b.Node("Relu", "y", []string{x}), onnx.Fixed(1, 6, 32, 32))
			b.Output(b.Node("Relu", "z", []string{x}), onnx.Fixed(1, 6, 32, 32))
		}), 32},
		{"images that are not square", models.CodePorts, "32 by 16", builder(func(b *onnx.Builder) {
			b.Output(b.Node("Relu", "y", []string{b.Input("x", onnx.Fixed(1, 6, 32, 16))}), onnx.Fixed(1, 6, 32, 16))
		}), 32},
		{"a batch of eight", models.CodeUnsupported, "a batch of 8", builder(func(b *onnx.Builder) {
			b.Output(b.Node("Relu", "y", []string{b.Input("x", onnx.Fixed(8, 6, 32, 32))}), onnx.Fixed(8, 6, 32, 32))
		}), 32},
		{"more channels than a slice has", models.CodeUnsupported, "has 9 channels", builder(func(b *onnx.Builder) {
			b.Output(b.Node("Relu", "y", []string{b.Input("x", onnx.Fixed(1, 9, 32, 32))}), onnx.Fixed(1, 9, 32, 32))
		}), 32},
		{"a sum over the batch", models.CodePorts, "the batch is fixed inside", builder(func(b *onnx.Builder) {
			x := b.Input("x", []onnx.Dim{{Name: "batch"}, {Size: 6}, {Size: 32}, {Size: 32}})
			b.Output(b.Node("ReduceMean", "y", []string{x}, onnx.IntsAttribute("axes", 0)), onnx.Fixed(1, 6, 32, 32))
		}), 32},
		{"features that have no width", models.CodePorts, "this gives [2 6 32]", builder(func(b *onnx.Builder) {
			x := b.Input("x", []onnx.Dim{{Name: "batch"}, {Size: 6}, {Size: 32}, {Size: 32}})
			b.Output(b.Node("ReduceMean", "y", []string{x}, onnx.IntsAttribute("axes", 3), onnx.IntAttribute("keepdims", 0)), onnx.Fixed(1, 6, 32))
		}), 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			encoder, err := nets.Imported(c.file)
			if err == nil {
				_, err = nets.Classifier{Encoder: encoder, Size: c.size}.Build(1)
			}
			var refusal *models.Error
			if !errors.As(err, &refusal) || refusal.Code != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestVerifyFindsImagesThatMeet: an encoder whose features of an image depend on the others of its batch.
func TestVerifyFindsImagesThatMeet(t *testing.T) {
	b := onnx.NewBuilder("meeting")
	x := b.Input("x", []onnx.Dim{{Name: "batch"}, {Size: 3}, {Size: 32}, {Size: 32}})
	y := b.Node("Conv", "conv", []string{x, b.Floats("conv.weight", random(12, 1), 4, 3, 1, 1)})
	mean := b.Node("ReduceMean", "mean", []string{y}, onnx.IntsAttribute("axes", 0))
	b.Output(b.Node("GlobalAveragePool", "features", []string{b.Node("Mul", "product", []string{y, mean})}), onnx.Fixed(1, 4, 1, 1))
	file, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := nets.Imported(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := encoder.Verify(t.Context(), gorgonia.New(), 32); err == nil || !strings.Contains(err.Error(), "in a batch the encoder's features differ") {
		t.Errorf("error is %v", err)
	}
}
