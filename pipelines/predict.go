package pipelines

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/predict"
)

// PredictOptions says what a prediction answers, with what, and where.
type PredictOptions struct {
	// PrepareOptions but for its Shard.
	PrepareOptions
	Classifiers classify.Ensemble
	Predict     predict.Options
}

// PredictSteps lists the steps of Predict in order.
var PredictSteps = []string{"index", "resample", "segment", "boxes", "crop", "classify", "verdict"}

// Predict builds the pipeline from raw studies to a submission:
//
//	list → index → resample → segment → boxes → crop → classify → verdict → submission, details
//
// and, from the outcomes of them all, the run's manifest and its quarantine list. The studies that went no further are answered, too.
func Predict(s beam.Scope, o PredictOptions) {
	masked, outcomes := masks(s, o.PrepareOptions)
	boxed, boxing := beam.ParDo2(s.Scope("boxes"), &crop.BoxesFn{Site: o.Site, Options: o.Boxes}, masked)
	cut, cropping := beam.ParDo2(s.Scope("crop"), &crop.StudyFn{Site: o.Site, Keep: o.Keep}, beam.Reshuffle(s, boxed))
	classified, classifying := beam.ParDo2(s.Scope("classify"), &classify.DoFn{Site: o.Site, Ensemble: o.Classifiers}, beam.Reshuffle(s, cut))
	answered, judging := beam.ParDo2(s.Scope("verdict"), &predict.VerdictFn{Site: o.Site, Files: o.Classifiers.Files, Options: o.Predict}, classified)
	if o.Plan {
		return
	}
	rows := beam.Flatten(s, append(outcomes, boxing, cropping, classifying, judging)...)

	last := s.Scope("predictions")
	flagged := beam.ParDo(last, &predict.FlaggedFn{}, rows)
	writing := beam.ParDo(last, &predict.WriteFn{Site: o.Site, Run: o.Run, Files: o.Classifiers.Files, Options: o.Predict}, beam.CoGroupByKey(last, answered, flagged))
	record(s.Scope("manifest"), o.Site, o.Run, o.ID, beam.Flatten(s, rows, writing))
}
