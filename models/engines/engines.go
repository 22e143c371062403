// Package engines finds an engine by its name, among those that this program was built with and whose native files this machine has.
//
// An engine that is asked for by name must be that engine or an error with models.CodeNoEngine that says how to get it; only "auto" chooses.
package engines

import (
	"fmt"
	"strings"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/gorgonia"
	"github.com/cspine/cspine/models/openvino"
)

// Auto lets Find choose: for training XLA where it finds a GPU, else gorgonia; for inference OpenVINO where its library is there, else gorgonia.
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
	// auto tells whether Auto may choose it on this machine. nil means always.
	auto func() bool
}

// candidates are all engines, in the order in which Auto prefers them.
var candidates = []candidate{
	{name: "openvino", find: func() (models.Engine, error) { return openvino.New(nil) }},
	{name: "gorgonia", trains: true, find: func() (models.Engine, error) { return gorgonia.New(), nil }},
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
	var why error
	for _, c := range candidates {
		if need == Training && !c.trains || name != Auto && name != c.name || name == Auto && c.auto != nil && !c.auto() {
			continue
		}
		known = true
		e, err := c.find()
		if err == nil {
			return e, nil
		}
		if why == nil {
			why = err
		}
	}
	const remedy = "'cspine doctor' says what this machine has; './run.sh setup' fetches what is missing"
	if !known {
		return nil, &models.Error{Code: models.CodeNoEngine, Remedy: remedy,
			Detail: fmt.Sprintf("there is no engine %q for %s; there are %s", name, need, strings.Join(Names(need), ", "))}
	}
	return nil, &models.Error{Code: models.CodeNoEngine, Detail: fmt.Sprintf("engine %q for %s: %v", name, need, why), Remedy: remedy, Err: why}
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
