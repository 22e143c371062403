// Package engines finds an engine by its name, among those that this program was built with and whose native files this machine has.
//
// An engine that is asked for by name must be that engine or an error with models.CodeNoEngine that says how to get it; only "auto" chooses.
package engines

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/openvino"
	"github.com/cspine/cspine/models/xla"
)

// Auto lets Find choose: XLA where there are a GPU and its plugin; else for inference OpenVINO where its library is there; else gorgonia.
const Auto = "auto"

// Need says what an engine is for.
type Need int

// The needs.
const (
	Inference Need = iota
	Training       // the engine is a models.TrainingEngine
)

// candidate is an engine that may be here.
type candidate struct {
	name   string
	trains bool
	find   func() (models.Engine, error)
	// auto is find where Auto chooses; nil means find itself.
	auto func() (models.Engine, error)
}

// candidates are all engines, in the order in which Auto prefers them.
var candidates = []candidate{
	{name: "xla", trains: true, find: func() (models.Engine, error) { return xla.New(nil) }, auto: gpu},
	{name: "openvino", find: func() (models.Engine, error) { return openvino.New(nil) }},
	{name: "gorgonia", trains: true, find: func() (models.Engine, error) { return gorgonia.New(), nil }},
}

// gpu returns XLA on a GPU. On processors XLA is there to be tested; the other engines are faster.
func gpu() (models.Engine, error) {
	if !xla.HasGPU() {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: "this machine has no NVIDIA GPU with its driver loaded"}
	}
	return xla.New(&xla.Options{Platform: "cuda"})
}

// Names returns the names that Find takes for a need.
func Names(need Need) []string {
	names := []string{Auto}
	for _, c := range candidates {
		if need == Inference || c.trains {
			names = append(names, c.name)
		}
	}
	return names
}

// Find returns the engine of that name; empty means Auto. The error is a *models.Error with CodeNoEngine.
func Find(name string, need Need) (models.Engine, error) {
	if name == "" {
		name = Auto
	}
	known := false
	var why []error
	for _, c := range candidates {
		if need == Training && !c.trains || name != Auto && name != c.name {
			continue
		}
		known = true
		find := c.find
		if name == Auto && c.auto != nil {
			find = c.auto
		}
		e, err := find()
		if err == nil {
			return e, nil
		}
		why = append(why, err)
	}
	const remedy = "'cspine doctor' says what this machine has; './run.sh setup' fetches what is missing"
	if !known {
		return nil, &models.Error{Code: models.CodeNoEngine, Remedy: remedy,
			Detail: fmt.Sprintf("there is no engine %q for %s; there are %s", name, need, strings.Join(Names(need), ", "))}
	}
	err := errors.Join(why...)
	return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("engine %q for %s: %v", name, need, err), Remedy: remedy, Err: err}
}

// FindTraining returns the engine of that name, to train with.
func FindTraining(name string) (models.TrainingEngine, error) {
	e, err := Find(name, Training)
	if err != nil {
		return nil, err
	}
	t, ok := e.(models.TrainingEngine)
	if !ok {
		return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("engine %q does not train", e.Name())}
	}
	return t, nil
}

func (n Need) String() string {
	if n == Training {
		return "training"
	}
	return "inference"
}
