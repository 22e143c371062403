package nets_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

// testCase is a network that testdata has PyTorch's answers for, with PyTorch's counts of parameters and of
// operations (FlopCounterMode).
type testCase struct {
	name              string
	network           interface{ Build(uint64) ([]byte, error) }
	channels          int
	parameters, flops int64
}

var cases = []testCase{
	{"unet-small", nets.UNetSmall{Size: 32}, 1, 1714967, 291119104},
	{"unet-resnet18d-4", nets.UNet{Encoder: nets.ResNet18d, Size: 32}, 3, 14820167, 13060276224},
	{"unet-resnet18d-5", nets.UNet{Encoder: nets.ResNet18d, Size: 32, Blocks: 5}, 3, 42677431, 4984668160},
	{"unet-efficientnetv2s-4", nets.UNet{Encoder: nets.EfficientNetV2S, Size: 32}, 3, 12374879, 12247285760},
	{"unet-efficientnetv2s-5", nets.UNet{Encoder: nets.EfficientNetV2S, Size: 32, Blocks: 5}, 3, 28803447, 4539456128},
}

// seasoned gives batch normalisation statistics that are not 0 and 1 and the head larger weights, as
// make_expected.py's season does.
func seasoned(t *testing.T, file []byte) []byte {
	t.Helper()
	m, err := onnx.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	values, all := map[string][]float32{}, m.Weights()
	set := func(norm, role string, value func(i int) float32) {
		v := make([]float32, len(all[norm+role].Values))
		for i := range v {
			v[i] = value(i)
		}
		values[norm+role] = v
	}
	for name := range all {
		norm, ok := strings.CutSuffix(name, ".running_mean")
		if !ok {
			continue
		}
		set(norm, ".running_mean", func(i int) float32 { return float32(i*37%17-8) / 64 })
		set(norm, ".running_var", func(i int) float32 { return .75 + float32(i*53%16)/32 })
		set(norm, ".weight", func(i int) float32 { return .75 + float32(i*29%16)/32 })
		set(norm, ".bias", func(i int) float32 { return float32(i*41%17-8) / 32 })
	}
	head := all["head.weight"].Values
	for i := range head {
		head[i] *= 4
	}
	values["head.weight"] = head
	file, err = onnx.WithWeights(file, values)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestNetworksAreWhatPyTorchsAre builds each network once: the largest has 170 MB.
func TestNetworksAreWhatPyTorchsAre(t *testing.T) {
	for _, c := range cases {
		file, err := c.network.Build(1)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(c.name+" has its ports", func(t *testing.T) {
			info, err := models.Info(file)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(info.Inputs[0].Shape, []int64{1, int64(c.channels), 32, 32, 32}) || !slices.Equal(info.Outputs[0].Shape, []int64{1, 7, 32, 32, 32}) {
				t.Errorf("%v to %v", info.Inputs, info.Outputs)
			}
		})
		t.Run(c.name+" has PyTorch's parameters and cost", func(t *testing.T) {
			m, err := onnx.Parse(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := program.Compile(m, &program.Options{Training: true})
			if err != nil {
				t.Fatal(err)
			}
			if s := p.Summary(); s.Parameters != c.parameters || s.FLOPs != c.flops {
				t.Errorf("%d parameters, %d FLOP, PyTorch has %d and %d", s.Parameters, s.FLOPs, c.parameters, c.flops)
			}
		})
		t.Run(c.name+" computes what PyTorch does", func(t *testing.T) { c.compare(t, file) })
	}
}

// compare runs a network on what make_expected.py ran PyTorch's on.
func (c testCase) compare(t *testing.T, file []byte) {
	net, err := gorgonia.New().Compile(t.Context(), seasoned(t, file), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	in, out := make([]float32, net.Inputs()[0].Len()), make([]float32, net.Outputs()[0].Len())
	for i := range in {
		in[i] = float32(i*7919%257) / 256
	}
	if err := net.Infer(t.Context(), [][]float32{in}, [][]float32{out}); err != nil {
		t.Fatal(err)
	}
	for i, w := range expected(t, c.name) { // [7,8,8,8], every fourth voxel
		got := out[i/512*32768+i/64%8*4*1024+i/8%8*4*32+i%8*4]
		if d := math.Abs(float64(got - w)); !(d <= 5e-5) {
			t.Fatalf("value %d is %g, PyTorch's %g", i, got, w)
		}
	}
}

// expected reads an array of testdata.
func expected(t *testing.T, name string) []float32 {
	t.Helper()
	file, err := os.ReadFile("testdata/" + name + ".npy")
	if err != nil {
		t.Fatal(err)
	}
	a, err := npy.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, len(a.Data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*i:]))
	}
	return values
}

func TestSameSeedSameBytes(t *testing.T) {
	for _, n := range nets.Networks {
		var files [3][]byte
		for i, seed := range []uint64{7, 7, 8} {
			var err error
			if files[i], err = n.Build(nets.Options{Size: 32}, seed); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("%s: one seed, two files", n.Name)
		}
		if bytes.Equal(files[0], files[2]) {
			t.Errorf("%s: two seeds, one file", n.Name)
		}
		if about, err := onnx.Metadata(files[0]); err != nil || about["cspine.network"] != n.Name || about["cspine.seed"] != "7" {
			t.Errorf("%s: metadata %v, error %v", n.Name, about, err)
		}
	}
}

func TestWeightsStartAsKaimingSays(t *testing.T) {
	file, err := nets.UNet{Encoder: nets.ResNet18d, Size: 32}.Build(3)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	w := m.Weights()["encoder.layer3.0.conv1.weight"] // [256,128,3,3,3]
	sum, squares := 0.0, 0.0
	for _, v := range w.Values {
		sum, squares = sum+float64(v), squares+float64(v)*float64(v)
	}
	n := float64(len(w.Values))
	mean, deviation := sum/n, math.Sqrt(squares/n)
	if want := math.Sqrt(2.0 / (256 * 27)); math.Abs(deviation-want) > .005*want || math.Abs(mean) > .005*want {
		t.Errorf("mean %g, deviation %g, want 0, %g", mean, deviation, want)
	}
}

func TestFirstProbabilitiesAreNearThePrior(t *testing.T) {
	file, err := nets.UNetSmall{Size: 32}.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	net, err := gorgonia.New().Compile(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	in, out := make([]float32, net.Inputs()[0].Len()), make([]float32, net.Outputs()[0].Len())
	for i := range in {
		in[i] = float32(i*7919%257) / 256
	}
	if err := net.Infer(t.Context(), [][]float32{in}, [][]float32{out}); err != nil {
		t.Fatal(err)
	}
	mean := 0.0
	for _, p := range out {
		mean += float64(p) / float64(len(out))
	}
	if mean < .01 || mean > .05 {
		t.Errorf("mean probability %g", mean)
	}
}

func TestBuildRefusesWhatItCanNot(t *testing.T) {
	for name, o := range map[string]nets.Options{
		"size 100 is not a multiple of 16": {Size: 100}, "size 1000000": {Size: 1000000}, "size -32": {Size: -32}, "3 blocks": {Blocks: 3},
		"-1 input channels": {Channels: -1}, "5000 classes": {Classes: 5000},
	} {
		_, err := nets.Networks[1].Build(o, 1)
		if err == nil || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
