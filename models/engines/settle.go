package engines

import (
	"fmt"
	"slices"

	"github.com/cspine/cspine/models"
)

// Settle fills in what a user left open of how a model is to run on this machine, and refuses what can't be, before a run begins: engine is a name
// as for Find, and becomes that of the engine found. A precision that is empty becomes int8 by a quantised model, and stays empty, which is
// f32, by any other. o are the options that the model is compiled with, but for the precision.
func Settle(engine, precision *string, file []byte, o models.CompileOptions) error {
	o.Precision = models.Precision(*precision)
	if o.Precision == "" {
		quantised, err := models.Quantised(file)
		if err != nil {
			return err
		}
		o.Precision = models.F32
		if quantised {
			o.Precision = models.INT8
		}
	}
	if _, err := models.Prepare(file, &o); err != nil {
		return err
	}
	e, err := Find(*engine, Inference)
	if err != nil {
		return err
	}
	if !slices.Contains(e.Precisions(), o.Precision) {
		return &models.Error{Code: models.CodePrecision, Detail: fmt.Sprintf("%q is asked for, engine %s has %q", o.Precision, e.Name(), e.Precisions())}
	}
	*engine = e.Name()
	if o.Precision != models.F32 {
		*precision = string(o.Precision)
	}
	return nil
}
