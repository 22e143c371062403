package engines

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cspine/cspine/models"
)

// on replaces the engines by those of an imagined machine.
func on(t *testing.T, machine ...candidate) {
	before := candidates
	t.Cleanup(func() { candidates = before })
	candidates = machine
}

type engine struct {
	models.TrainingEngine
	name string
}

func (e engine) Name() string { return e.name }

func here(name string) func() (models.Engine, error) {
	return func() (models.Engine, error) { return engine{name: name}, nil }
}

func absent(name string) func() (models.Engine, error) {
	return func() (models.Engine, error) {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: name + " is not installed", Remedy: "get " + name}
	}
}

func TestAutoTakesTheBestThatIsHere(t *testing.T) {
	for name, k := range map[string]struct {
		xla, auto, openvino func() (models.Engine, error)
		infer, train        string
	}{
		"nothing but the program": {absent("xla"), absent("gpu"), absent("openvino"), "gorgonia", "gorgonia"},
		"OpenVINO":                {absent("xla"), absent("gpu"), here("openvino"), "openvino", "gorgonia"},
		"XLA without a GPU":       {here("xla"), absent("gpu"), here("openvino"), "openvino", "gorgonia"},
		"a GPU":                   {here("xla"), here("xla"), here("openvino"), "xla", "xla"},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, candidate{name: "xla", trains: true, find: k.xla, auto: k.auto}, candidate{name: "openvino", find: k.openvino},
				candidate{name: "gorgonia", trains: true, find: here("gorgonia")})
			for need, want := range map[Need]string{Inference: k.infer, Training: k.train} {
				for _, asked := range []string{"", Auto} {
					if e, err := Find(asked, need); err != nil || e.Name() != want {
						t.Errorf("%s by %q: %v, %v", need, asked, e, err)
					}
				}
			}
		})
	}
}

func TestANamedEngineIsThatOneOrAnError(t *testing.T) {
	on(t, candidate{name: "xla", trains: true, find: absent("xla"), auto: absent("gpu")}, candidate{name: "openvino", find: here("openvino")},
		candidate{name: "gorgonia", trains: true, find: here("gorgonia")})
	for _, k := range []struct {
		name string
		need Need
		says string
	}{{"xla", Training, "xla is not installed; get xla"}, {"openvino", Training, "there are auto, xla, gorgonia"}, {"abacus", Inference, "there are auto, xla, openvino, gorgonia"}} {
		_, err := Find(k.name, k.need)
		var e *models.Error
		if !errors.As(err, &e) || e.Code != models.CodeNoEngine || !strings.Contains(err.Error(), k.says) || !strings.Contains(err.Error(), "cspine doctor") {
			t.Errorf("%s for %s: %v", k.name, k.need, err)
		}
	}
	if e, err := Find("openvino", Inference); err != nil || e.Name() != "openvino" {
		t.Errorf("%v, %v", e, err)
	}
}

// The pure Go engine needs nothing of the machine.
func TestThereIsAlwaysAnEngine(t *testing.T) {
	for _, need := range []Need{Inference, Training} {
		if !slices.Contains(Names(need), "gorgonia") {
			t.Errorf("%s: %v", need, Names(need))
		}
		if e, err := Find("gorgonia", need); err != nil || e.Name() != "gorgonia" {
			t.Errorf("%s: %v, %v", need, e, err)
		}
	}
	if e, err := FindTraining(Auto); err != nil {
		t.Errorf("%v, %v", e, err)
	}
}
