package program_test

import (
	"archive/zip"
	"encoding/json"
	"io"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

// testCase is a model and what ONNX Runtime computes with it.
type testCase struct {
	model           []byte
	Inputs, Outputs []port
}

type port struct {
	Name   string
	Shape  []int
	Values []float32
}

// cases reads what testdata/make_expected.py wrote.
func cases(t testing.TB) (names []string, all map[string]*testCase) {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join("testdata", "cases.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	read := func(name string) []byte {
		f, err := z.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := json.Unmarshal(read("cases.json"), &names); err != nil {
		t.Fatal(err)
	}
	all = map[string]*testCase{}
	for _, name := range names {
		c := &testCase{model: read(name + ".onnx")}
		if err := json.Unmarshal(read(name+".json"), c); err != nil {
			t.Fatal(err)
		}
		all[name] = c
	}
	return names, all
}

func (c *testCase) compile(t testing.TB, training bool) *program.Program {
	t.Helper()
	m, err := onnx.Parse(c.model)
	if err != nil {
		t.Fatal(err)
	}
	opts := &program.Options{Training: training}
	for _, in := range c.Inputs {
		opts.InputShapes = append(opts.InputShapes, in.Shape)
	}
	p, err := program.Compile(m, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProgramsComputeWhatONNXRuntimeComputes(t *testing.T) {
	names, all := cases(t)
	for _, name := range names {
		c := all[name]
		for mode, training := range map[string]bool{"inference": false, "training": true} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				p := c.compile(t, training)
				checkForm(t, p)
				var inputs [][]float32
				for _, in := range c.Inputs {
					inputs = append(inputs, in.Values)
				}
				got, err := run(p, inputs)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(c.Outputs) {
					t.Fatalf("%d outputs, want %d", len(got), len(c.Outputs))
				}
				for i, want := range c.Outputs {
					v := p.Values[p.Outputs[i]]
					if v.Name != want.Name || !slices.Equal(v.Shape, want.Shape) {
						t.Fatalf("output %d is %s %v, want %s %v", i, v.Name, v.Shape, want.Name, want.Shape)
					}
					if len(got[i]) != len(want.Values) {
						t.Fatalf("output %d has %d values, want %d", i, len(got[i]), len(want.Values))
					}
					for k, x := range want.Values {
						if d := math.Abs(float64(got[i][k] - x)); !(d <= 2e-5*math.Max(1, math.Abs(float64(x)))) {
							t.Fatalf("output %d: element %d is %v, want %v\n%s", i, k, got[i][k], x, p)
						}
					}
				}
			})
		}
	}
}

// checkForm checks what package program promises of every program.
func checkForm(t testing.TB, p *program.Program) {
	t.Helper()
	ready, made := make([]bool, len(p.Values)), make([]bool, len(p.Values))
	for i, v := range p.Values {
		ready[i] = v.Role != program.Computed
		if (v.Data != nil) != (v.Role >= program.Parameter) || v.Data != nil && len(v.Data) != v.Len() {
			t.Errorf("value %d (%s) of role %d has %d data, shape %v", i, v.Name, v.Role, len(v.Data), v.Shape)
		}
	}
	for _, i := range p.Inputs {
		if p.Values[i].Role != program.Input {
			t.Errorf("input %s has the role %d", p.Values[i].Name, p.Values[i].Role)
		}
	}
	read := make([]bool, len(p.Values))
	for _, op := range p.Ops {
		for _, i := range op.In {
			if i >= 0 && !ready[i] {
				t.Errorf("%s reads %s before it is computed", op.Node, p.Values[i].Name)
			}
			if i >= 0 {
				read[i] = true
			}
		}
		for _, o := range op.Out {
			if made[o] || p.Values[o].Role != program.Computed {
				t.Errorf("%s computes %s, which is given", op.Node, p.Values[o].Name)
			}
			ready[o], made[o] = true, true
		}
	}
	for _, o := range p.Outputs {
		if !made[o] {
			t.Errorf("output %s is not computed", p.Values[o].Name)
		}
		read[o] = true
	}
	for i, v := range p.Values {
		if !read[i] && v.Role != program.Input {
			t.Errorf("nothing reads %s", v.Name)
		}
	}
}
