package classify

import (
	"fmt"
	"slices"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
)

// Version is raised when equal crops and models may give other logits. It belongs to the recipe.
const Version = 1

// Ensemble names classifiers: ONNX files in the artifact store, and how they are run.
type Ensemble struct {
	Files []File `toml:"-"`
	// Engine is the engine's name. Check settles it where it is empty or "auto", so that all workers run the same.
	Engine string
	// Precision is "f32" (default), "bf16", or "int8" for quantised models.
	Precision string
	// Flips takes the mean of a slice's logits and those of its mirror image, left and right exchanged: necks are symmetric, and
	// noise is not. Logits are averaged, not probabilities, so that an answer is a logit still, which one artifact keeps and a
	// calibration can be applied to.
	Flips bool
}

// File is one classifier: the digest of its file, and what the file says.
type File struct {
	Digest string
	Spec   Spec
}

// Specs returns what the files say.
func (e Ensemble) Specs() []Spec {
	specs := make([]Spec, len(e.Files))
	for i, f := range e.Files {
		specs[i] = f.Spec
	}
	return specs
}

// CompileOptions returns how the files are compiled. Their precision is settled by Check.
func (e Ensemble) CompileOptions() *models.CompileOptions {
	o := &models.CompileOptions{Precision: models.Precision(e.Precision)}
	if o.Precision == "" {
		o.Precision = models.F32
	}
	return o
}

// Check says what is wrong with a classifier's file before a run begins: that it is none, or that this machine lacks the engine or the
// precision. A precision and an engine that are left open are settled, as by engines.Settle.
func (e *Ensemble) Check(file []byte) (Spec, error) {
	info, err := models.Info(file)
	if err != nil {
		return Spec{}, err
	}
	s, err := describe(file, info)
	if err != nil {
		return s, err
	}
	for _, v := range slices.Concat(info.Inputs, info.Outputs) {
		if v.Shape[0] != 1 {
			return s, &models.Error{Code: models.CodePorts, Detail: fmt.Sprintf("%s has the shape %v; to predict, a classifier's file says N = 1", v.Name, v.Shape),
				Remedy: "export the model for a batch of one"}
		}
	}
	return s, engines.Settle(&e.Engine, &e.Precision, file, *e.CompileOptions())
}
