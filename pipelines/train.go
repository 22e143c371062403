package pipelines

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/train"
)

// TrainOptions says what a training run trains, on what, and where.
type TrainOptions struct {
	transforms.Site // Store alone is used
	Run             string
	ID              string // as in PrepareOptions
	// Dataset, Engine, Logs and Threads are those of train.DoFn.
	Dataset, Engine, Logs string
	Threads               int
	// Tasks name their models.
	Tasks []train.Task
}

// Train builds the pipeline that trains a model for each task, a stage with a fold, a seed and a configuration:
//
//	list → train → manifest
//
// Where the runner is embedded the tasks are done one after the other, each on all threads. Elsewhere each
// may have a worker; one with an accelerator is asked for with runners.DataflowOptions.
func Train(s beam.Scope, o TrainOptions) {
	listed := beam.ParDo(s.Scope("list"), &train.ListFn{Tasks: o.Tasks}, beam.Impulse(s))
	outcomes := beam.ParDo(s.Scope("train"), &train.DoFn{Site: o.Site, Dataset: o.Dataset, Engine: o.Engine,
		Run: o.Run, Logs: o.Logs, Threads: o.Threads}, beam.Reshuffle(s, listed))
	record(s.Scope("manifest"), o.Site, o.Run, o.ID, outcomes)
}
