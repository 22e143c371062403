// Package pipelines wires the transforms into Beam pipelines. It holds graphs and nothing else: what a
// step does lives in transforms, what it keeps in artifacts.
//
// Invariants:
//   - Every pipeline's graph stands as text in testdata, and a test compares it.
//   - Steps of different weight are separated by a reshuffle, so that a runner can spread each over its
//     workers.
//   - Every step has two outputs: the studies that go on, and the outcomes that go into the manifest.
package pipelines

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/resample"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
)

// PrepareOptions says what a prepare run makes, of what, and where.
type PrepareOptions struct {
	transforms.Site
	Run  string   // the data set and the manifest are named after it
	ID   string   // of this run among those of its name; ids sort in the order of the runs
	Only []string // study folders to keep; none keeps all

	Ingest   ingest.Options
	Resample resample.Options
	// Model is the segmenter. Its zero value takes the label files that lie beside the studies.
	Model  segment.Model
	Labels segment.LabelValues // of those files
	Boxes  crop.BoxOptions
	Keep   crop.Keep
	Shard  shard.Layout
}

// Prepare builds the pipeline from raw studies to a data set of vertebra crops:
//
//	list → index → resample → segment → boxes → crop → shard → data set
//
// and, from the outcomes of them all, the run's manifest and its quarantine list. With o.Plan the pipeline ends with the shards, and computes and writes
// nothing, as do the others here.
func Prepare(s beam.Scope, o PrepareOptions) {
	masked, outcomes := masks(s, o)
	boxed, boxing := beam.ParDo2(s.Scope("boxes"), &crop.BoxesFn{Site: o.Site, Options: o.Boxes}, masked)
	samples, cropping := beam.ParDo2(s.Scope("crop"), &crop.DoFn{Site: o.Site, Buckets: o.Shard.Buckets, Keep: o.Keep}, beam.Reshuffle(s, boxed))
	shards, sharding := beam.ParDo2(s.Scope("shard"), &shard.DoFn{Site: o.Site, Layout: o.Shard}, beam.GroupByKey(s, samples))
	if o.Plan {
		return
	}
	publish(s, o, shard.Crops, shards)
	record(s.Scope("manifest"), o.Site, o.Run, o.ID, beam.Flatten(s, append(outcomes, boxing, cropping, sharding)...))
}

// PrepareSegmentation builds the pipeline from raw studies to a data set that a segmenter is trained on,
// volumes with label maps:
//
//	list → index → resample → segment → labelmap → shard → data set
//
// and, from the outcomes of them all, the run's manifest and its quarantine list. With o.Model's zero value
// the studies without a label file are skipped.
func PrepareSegmentation(s beam.Scope, o PrepareOptions) {
	masked, outcomes := masks(s, o)
	samples, labelling := beam.ParDo2(s.Scope("labelmap"), &segment.LabelMapFn{Site: o.Site, Buckets: o.Shard.Buckets}, masked)
	shards, sharding := beam.ParDo2(s.Scope("shard"), &shard.SegmentationFn{Site: o.Site, Layout: o.Shard}, beam.GroupByKey(s, samples))
	if o.Plan {
		return
	}
	publish(s, o, shard.Segmentations, shards)
	record(s.Scope("manifest"), o.Site, o.Run, o.ID, beam.Flatten(s, append(outcomes, labelling, sharding)...))
}

// PrepareTask builds the pipeline of a task: shard.Crops or shard.Segmentations.
func PrepareTask(s beam.Scope, task string, o PrepareOptions) {
	if task == shard.Segmentations {
		PrepareSegmentation(s, o)
	} else {
		Prepare(s, o)
	}
}

// PrepareSteps lists the steps of a task's pipeline in order.
func PrepareSteps(task string) []string {
	if task == shard.Segmentations {
		return []string{"index", "resample", "segment", "labelmap", "shard"}
	}
	return []string{"index", "resample", "segment", "boxes", "crop", "shard"}
}

// masks goes as far as all tasks have in common: to the studies with their volumes and masks.
func masks(s beam.Scope, o PrepareOptions) (masked beam.PCollection, outcomes []beam.PCollection) {
	listed := beam.ParDo(s.Scope("list"), &ingest.ListFn{Site: o.Site, Only: o.Only}, beam.Impulse(s))
	indexed, indexing := beam.ParDo2(s.Scope("index"), &ingest.IndexFn{Site: o.Site, Options: o.Ingest}, beam.Reshuffle(s, listed))
	sampled, resampling := beam.ParDo2(s.Scope("resample"), resample.NewDoFn(o.Site, o.Resample), beam.Reshuffle(s, indexed))
	masked, segmenting := segmenter(s.Scope("segment"), o, beam.Reshuffle(s, sampled))
	return masked, []beam.PCollection{indexing, resampling, segmenting}
}

// publish makes a data set of shards.
func publish(s beam.Scope, o PrepareOptions, task string, shards beam.PCollection) {
	beam.ParDo0(s.Scope("dataset"), &shard.DatasetFn{Site: o.Site, Name: o.Run, Task: task}, beam.GroupByKey(s, shards))
}

func segmenter(s beam.Scope, o PrepareOptions, studies beam.PCollection) (masked, outcomes beam.PCollection) {
	if o.Model.Labels() {
		return beam.ParDo2(s, segment.NewLabelsFn(o.Site, o.Resample, o.Labels), studies)
	}
	return beam.ParDo2(s, &segment.DoFn{Site: o.Site, Model: o.Model}, studies)
}

// record writes the manifest of all outcomes, and the quarantine list of those that were refused.
func record(s beam.Scope, site transforms.Site, run, id string, outcomes beam.PCollection) {
	refused := beam.ParDo(s.Scope("quarantine"), &manifest.QuarantineFn{}, outcomes)
	all := beam.ParDo(s, &manifest.KeyFn{}, outcomes)
	beam.ParDo0(s, &manifest.WriteFn{Site: site, Run: run, ID: id}, beam.GroupByKey(s, all))
	keyed := beam.ParDo(s, &manifest.KeyFn{}, refused)
	beam.ParDo0(s, &manifest.WriteQuarantineFn{Site: site, Run: run, ID: id}, beam.GroupByKey(s, keyed))
}
