package program_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

var update = flag.Bool("update", false, "write the golden texts anew")

// operations are the names of a program's operations, as String prints them.
func operations(p *program.Program) string {
	var names []string
	for _, line := range strings.Split(p.String(), "\n") {
		if _, call, ok := strings.Cut(line, " = "); ok {
			name, _, _ := strings.Cut(call, "(")
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func TestSpellingsOfOneThingBecomeOneOperation(t *testing.T) {
	_, all := cases(t)
	for name, want := range map[string]string{
		"f_silu_11": "Silu", "f_silu_17": "Silu", "silu_reversed_17": "Silu", "not_silu_17": "Sigmoid Mul",
		"f_gelu_11": "Gelu", "f_gelu_17": "Gelu", "f_gelu_20": "Gelu", "gelu_half_first_17": "Gelu", "gelu_half_last_17": "Gelu", "gelu_half_inside_17": "Gelu", "f_gelu_tanh_20": "GeluTanh",
		"layernorm_11": "LayerNorm", "layernorm_13": "LayerNorm", "layernorm_17": "LayerNorm", "layernorm_18": "LayerNorm", "layernorm2_13": "LayerNorm", "layernorm_plain_13": "LayerNorm", "layernorm_mul": "LayerNorm",
		"linear_11": "MatMul", "linear3d_17": "MatMul", "linear3d_unfolded_17": "MatMul",
		"nearest2d_11": "Resize", "nearest3d_18": "Resize", "nearest2d_follow_17": "Resize Add", "nearest2d_half_17": "Slice", "linear3d_13": "Resize", "upsample": "Resize",
		"maxpool2d_ceil_pad_17": "MaxPool", "avgpool3d_pad_17": "MeanPool", "adaptive_avg3d_17": "Mean", "mean_keep_18": "Mean Sub",
		"pad3d_11": "Pad", "pad3d_replicate_nothing_17": "Add", "first_17": "Slice Reshape", "flip_17": "Slice", "roll_17": "Slice Slice Concat",
		"expand_as_17": "Expand Add", "arange_17": "Mul", "view_17": "Reshape Transpose", "zeros_like_17": "Concat",
		"lstm_bidirectional_17": "Transpose LSTM Transpose Reshape LSTM Transpose Reshape Transpose MatMul", "lstm_forward_17": "Transpose LSTM Reshape Transpose MatMul",
		"convnext_block_13": "Conv Transpose LayerNorm MatMul Gelu MatMul Mul Transpose Add", "convnext_block_20": "Conv Transpose LayerNorm MatMul Gelu MatMul Mul Transpose Add",
		"mbconv_block_17":         "Conv Silu Conv Silu Mean Conv Silu Conv Sigmoid Mul Conv Add",
		"batchnorm3d_training_17": "Conv BatchNorm",
		"instancenorm_17":         "Reshape LayerNorm Reshape Mul Add",
		"weights_float16":         "MatMul",
	} {
		c := all[name]
		if c == nil {
			t.Errorf("no case %s", name)
			continue
		}
		if got := operations(c.compile(t, false)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestTrainingKeepsWhatOnlyTrainingNeeds(t *testing.T) {
	_, all := cases(t)
	for name, want := range map[string]string{
		"batchnorm3d_training_17": "Conv BatchNorm Dropout",
		"linear3d_unfolded_17":    "Transpose MatMul", // the weight is trained, not its transpose
	} {
		if got := operations(all[name].compile(t, true)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// roles lists the names of the values of a role.
func roles(p *program.Program, r program.Role) (names []string) {
	for _, v := range p.Values {
		if v.Role == r {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestWeightsAndStatisticsAreFoundByTheirInitializers(t *testing.T) {
	_, all := cases(t)
	for _, name := range []string{"unet3d_training_17", "tied_17", "linear3d_unfolded_17", "convnext_block_17", "lstm_unfolded_17", "layernorm_13", "f_prelu_17"} {
		c := all[name]
		m, err := onnx.Parse(c.model)
		if err != nil {
			t.Fatal(err)
		}
		m.Untie()
		floats, statistics := map[string]*onnx.Tensor{}, map[string]bool{}
		for _, x := range m.Graph.Initializers {
			if x.Type.IsFloat() {
				floats[x.Name] = x
			}
			if strings.Contains(x.Name, "running") {
				statistics[x.Name] = true
			}
		}
		p := c.compile(t, true)
		for _, v := range p.Values {
			if v.Role != program.Parameter && v.Role != program.Statistic {
				continue
			}
			x := floats[v.Name]
			if x == nil {
				t.Errorf("%s: %s is no initializer", name, v.Name)
				continue
			}
			if values, _ := x.Floats(); !reflect.DeepEqual(values, v.Data) {
				t.Errorf("%s: %s has other values than the initializer", name, v.Name)
			}
			if (v.Role == program.Statistic) != statistics[v.Name] {
				t.Errorf("%s: %s has the role %d", name, v.Name, v.Role)
			}
			delete(floats, v.Name)
		}
		for x := range floats {
			t.Errorf("%s: the initializer %s is neither trained nor a statistic", name, x)
		}
	}
	if got, want := roles(all["tied_17"].compile(t, true), program.Statistic), []string{"1.running_mean", "1.running_var", "3.running_mean", "3.running_var"}; !slices.Equal(got, want) {
		t.Errorf("statistics are %v, want %v", got, want)
	}
}

func TestAStatisticOfTwoIsRefusedInTraining(t *testing.T) {
	f := weight([]int64{1, 2, 3, 3}, 2).floats("m", make([]float32, 2), 2).floats("v", make([]float32, 2), 2).floats("v2", make([]float32, 2), 2).
		node("BatchNormalization", "x w w m v", "a").node("BatchNormalization", "a w w m v2", "y")
	if _, err := program.Compile(f.model(), nil); err != nil {
		t.Error(err)
	}
	if _, err := program.Compile(f.model(), &program.Options{Training: true}); err == nil || !strings.Contains(err.Error(), "two places") {
		t.Errorf("the error is %v", err)
	}
}

func TestTextOfAUNet(t *testing.T) {
	_, all := cases(t)
	for name, training := range map[string]bool{"unet3d_17": false, "unet3d_training_17": true} {
		got := all[name].compile(t, training).String()
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOpsStandInOrderThoughTheFilesDoNot(t *testing.T) {
	f := newFile().input("x", 2).node("Neg", "b", "y").node("Sigmoid", "a", "b").node("Exp", "dead", "dead2").node("Tanh", "x", "a").node("NobodyKnowsIt", "x", "dead")
	p, err := program.Compile(f.model(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := operations(p); got != "Tanh Sigmoid Neg" {
		t.Errorf("ops are %s", got)
	}
}

func TestShapesAskedForTakeTheFilesPlace(t *testing.T) {
	_, all := cases(t)
	m, err := onnx.Parse(all["unet3d_17"].model)
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Compile(m, &program.Options{InputShapes: [][]int{{3, 1, 8, 4, 6}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Values[p.Outputs[0]].Shape; !slices.Equal(got, []int{3, 2, 8, 4, 6}) {
		t.Errorf("the output's shape is %v", got)
	}
	checkForm(t, p)
}
