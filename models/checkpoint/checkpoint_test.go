package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/checkpoint"
)

// sample is what testdata/make_expected.py writes.
func sample() *checkpoint.Checkpoint {
	return &checkpoint.Checkpoint{
		State: models.State{
			Steps: 12, Draws: 24,
			Weights: map[string][]float32{"conv.weight": {0, .25, .5, .75, 1, 1.25}, "bn.running_mean": {1.5, -2.5}, "scalar": {3.25}},
			First:   map[string][]float32{"conv.weight": {0, -.25, -.5, -.75, -1, -1.25}, "scalar": {0}},
			Second:  map[string][]float32{"conv.weight": {0, .0625, .25, .5625, 1, 1.5625}, "scalar": {1e-30}},
		},
		Metadata: map[string]string{"note": "Grüße & <tags>"},
		Shapes:   map[string][]int{"conv.weight": {2, 3}, "bn.running_mean": {2}, "scalar": {}},
	}
}

func encode(t testing.TB, c *checkpoint.Checkpoint) []byte {
	t.Helper()
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeReadsWhatPythonWrote(t *testing.T) {
	file, err := os.ReadFile("testdata/python.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	got, err := checkpoint.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	file := encode(t, sample())
	got, err := checkpoint.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !bytes.Equal(file, encode(t, got)) {
		t.Error("encoding again gives other bytes")
	}
}

func TestTensorsStartAtAMultipleOfEight(t *testing.T) {
	if n := binary.LittleEndian.Uint64(encode(t, sample())); n%8 != 0 {
		t.Errorf("the header has %d bytes", n)
	}
}

func TestAStateBeforeTheFirstStepIsKept(t *testing.T) {
	c := &checkpoint.Checkpoint{State: models.State{Weights: map[string][]float32{"w": {1}}}}
	got, err := checkpoint.Decode(encode(t, c))
	if err != nil || len(got.State.First) != 0 || got.State.Weights["w"][0] != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestPythonReadsWhatEncodeWrote needs CSPINE_PYTHON, a python with numpy and safetensors.
func TestPythonReadsWhatEncodeWrote(t *testing.T) {
	python := os.Getenv("CSPINE_PYTHON")
	if python == "" || exec.Command(python, "-c", "import safetensors, numpy").Run() != nil {
		t.Skip("CSPINE_PYTHON does not name a python with numpy and safetensors")
	}
	file := filepath.Join(t.TempDir(), "c.safetensors")
	if err := os.WriteFile(file, encode(t, sample()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/read.py", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	type tensor struct {
		DType  string    `json:"dtype"`
		Shape  []int     `json:"shape"`
		Values []float32 `json:"values"`
	}
	var got struct {
		Metadata map[string]string `json:"metadata"`
		Tensors  map[string]tensor `json:"tensors"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	s := sample().State
	want := map[string]tensor{
		"weight/conv.weight": {"float32", []int{2, 3}, s.Weights["conv.weight"]}, "adam.m/conv.weight": {"float32", []int{2, 3}, s.First["conv.weight"]},
		"adam.v/conv.weight": {"float32", []int{2, 3}, s.Second["conv.weight"]}, "weight/bn.running_mean": {"float32", []int{2}, s.Weights["bn.running_mean"]},
		"weight/scalar": {"float32", []int{}, s.Weights["scalar"]}, "adam.m/scalar": {"float32", []int{}, s.First["scalar"]}, "adam.v/scalar": {"float32", []int{}, s.Second["scalar"]},
	}
	if diff := cmp.Diff(want, got.Tensors); diff != "" {
		t.Errorf("tensors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"cspine.checkpoint": "1", "steps": "12", "draws": "24", "note": "Grüße & <tags>"}, got.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestEncodeRefusesWhatContradictsItself(t *testing.T) {
	for name, change := range map[string]func(*checkpoint.Checkpoint){
		"a moment without its pair":    func(c *checkpoint.Checkpoint) { delete(c.State.Second, "scalar") },
		"a moment without its weight":  func(c *checkpoint.Checkpoint) { delete(c.State.Weights, "scalar") },
		"a moment of another length":   func(c *checkpoint.Checkpoint) { c.State.First["scalar"] = []float32{1, 2} },
		"a shape of another length":    func(c *checkpoint.Checkpoint) { c.Shapes["conv.weight"] = []int{6, 6} },
		"the format's own key":         func(c *checkpoint.Checkpoint) { c.Metadata["steps"] = "5" },
		"text that is no UTF-8":        func(c *checkpoint.Checkpoint) { c.Metadata["note"] = "\xff" },
		"a name that is no UTF-8":      func(c *checkpoint.Checkpoint) { c.State.Weights["\xff"] = nil },
		"fewer steps than none at all": func(c *checkpoint.Checkpoint) { c.State.Steps = -1 },
	} {
		c := sample()
		change(c)
		var refused *checkpoint.Error
		if _, err := c.Encode(); !errors.As(err, &refused) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestDecodeRefusesWhatIsNoCheckpoint(t *testing.T) {
	good := string(encode(t, sample()))
	header := func(text string, data string) string {
		return string(binary.LittleEndian.AppendUint64(nil, uint64(len(text)))) + text + data
	}
	const meta = `"__metadata__":{"cspine.checkpoint":"1","steps":"0","draws":"0"}`
	for _, c := range []struct{ name, file, say string }{
		{"nothing", "", "not a safetensors file"},
		{"text", "<html>Not Found</html>", "a header of"},
		{"a header of 10 GB", "\x00\x00\x00\x80\x02\x00\x00\x00{}", "a header of 10737418240 bytes"},
		{"an endless header", strings.Repeat("\xff", 64), "a header of"},
		{"half a header", good[:100], "a header of"},
		{"all but a byte", good[:len(good)-1], "truncated or damaged"},
		{"a byte too many", good + "x", "truncated or damaged"},
		{"no object", header(`[1]`, ""), "no JSON object"},
		{"damaged JSON", header(`{"a":`, ""), "the header is damaged"},
		{"two objects", header(`{}{}`, ""), "the header is damaged"},
		{"nested without end", header("{\"a\":"+strings.Repeat("[", 1<<20), ""), "the header is damaged"},
		{"another program's", header(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "abcd"), "not a checkpoint of cspine"},
		{"a later version", strings.Replace(good, `"cspine.checkpoint":"1"`, `"cspine.checkpoint":"2"`, 1), `it says "2"`},
		{"steps that are none", strings.Replace(good, `"steps":"12"`, `"steps":"1x"`, 1), "steps are no number"},
		{"metadata that are no texts", header(`{"__metadata__":{"a":1}}`, ""), "no map of texts"},
		{"half precision", strings.Replace(good, `"F32"`, `"F16"`, 1), `is of type "F16"`},
		{"another group", strings.Replace(good, `weight/scalar`, `wright/scalar`, 1), "no part of a checkpoint"},
		{"a shape of 2^120", header(`{`+meta+`,"weight/w":{"dtype":"F32","shape":[1099511627776,1099511627776,1099511627776],"data_offsets":[0,4]}}`, "abcd"), "has the shape"},
		{"a negative shape", header(`{`+meta+`,"weight/w":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, "abcd"), "has the shape"},
		{"bytes beyond the file", header(`{`+meta+`,"weight/w":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}`, "abcd"), "truncated or damaged"},
		{"negative bytes", header(`{`+meta+`,"weight/w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, "abcd"), "the bytes"},
		{"two tensors in one place", header(`{`+meta+`,"weight/w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"weight/v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "abcd"), "overlap"},
		{"one name twice", header(`{`+meta+`,"weight/w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"weight/w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "abcdefgh"), "gap"},
		{"a moment alone", header(`{`+meta+`,"adam.m/w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "abcd"), "1 first moments, 0 second"},
	} {
		_, err := checkpoint.Decode([]byte(c.file))
		var refused *checkpoint.Error
		if !errors.As(err, &refused) || !strings.Contains(refused.Detail, c.say) {
			t.Errorf("%s: error is %v, want %q", c.name, err, c.say)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Add([]byte("\x08\x00\x00\x00\x00\x00\x00\x00{}      "))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := checkpoint.Decode(b)
		if err != nil {
			var refused *checkpoint.Error
			if !errors.As(err, &refused) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		file := encode(t, c)
		again, err := checkpoint.Decode(file)
		if err != nil {
			t.Fatalf("written checkpoint is not read: %v", err)
		}
		if !bytes.Equal(file, encode(t, again)) {
			t.Fatal("writing twice gives other bytes")
		}
	})
}
