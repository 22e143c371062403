package engines

import (
	"fmt"
	"slices"

	"github.com/cspine/cspine/models"
)

// Settle fills in what a user left open of how a model is to run on this machine, and refuses what can't be, before a run begins: name is the engine's, as
// for Find. A precision that is left open becomes int8 by a quantised model, else f32.
func Settle(name string, file []byte, o *models.CompileOptions) (models.Engine, error) {
	if o.Precision == "" {
		quantised, err := models.Quantised(file)
		if err != nil {
			return nil, err
		}
		o.Precision = models.F32
		if quantised {
			o.Precision = models.INT8
		}
	}
	if _, err := models.Prepare(file, o); err != nil {
		return nil, err
	}
	e, err := Find(name, Inference)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(e.Precisions(), o.Precision) {
		return nil, &models.Error{Code: models.CodePrecision, Detail: fmt.Sprintf("%q is asked for, engine %s has %q", o.Precision, e.Name(), e.Precisions())}
	}
	return e, nil
}
