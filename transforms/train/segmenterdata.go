package train

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/score"
	"github.com/cspine/cspine/transforms/shard"
)

// volumesKept bounds the decoded samples that are kept in memory, in bytes. It is room for most data sets with masks: those are few.
const volumesKept = 512 << 20

// segmenter opens a task that trains a segmenter.
func (f *DoFn) segmenter(ctx context.Context, store *artifacts.Store, task Task) (lesson, error) {
	cfg := DefaultSegmenter()
	if err := task.configure(&cfg); err != nil {
		return lesson{}, err
	}
	settings, err := json.Marshal(cfg.canonical())
	if err != nil {
		return lesson{}, err
	}
	data, err := load.Open(context.WithoutCancel(ctx), store, f.Dataset, load.Options{CacheBytes: volumesKept})
	if err != nil {
		return lesson{}, err
	}
	learned, held := task.folds()
	train := data.Choose(learned)
	matter := Matter[Sample]{Stage: Segmenter(cfg), Train: shuffledStudies{train, cfg.Augment.Options, cfg.Seed}}
	if held != nil {
		valid := data.Choose(held)
		if valid.Len() == 0 {
			return lesson{}, f.emptyFold("", task)
		}
		matter.Valid = heldOutStudies{valid}
	}
	return lesson{loop: cfg.Loop, settings: settings, version: Version, manifest: data.Manifest(), studies: train.Len(),
		run: func(ctx context.Context, job Job) (Result, error) {
			job.Answers = true
			return Run(ctx, job, matter)
		},
		properties: func(v *Validation) map[string]string {
			if v == nil {
				return map[string]string{}
			}
			return map[string]string{"cspine.dice": strconv.FormatFloat(v.Mean, 'f', 4, 64)}
		},
		files: func(v *Validation) (map[string][]byte, error) {
			var table bytes.Buffer
			err := score.WriteDice(&table, v.PerStudy)
			return map[string][]byte{score.HeldOutDiceFile: table.Bytes()}, err
		}}, nil
}

// shuffledStudies is a loader's studies in the order of each epoch, changed anew each time.
type shuffledStudies struct {
	*load.Loader
	change augment.Options
	seed   uint64
}

func (s shuffledStudies) Epoch(ctx context.Context, epoch, skip int) iter.Seq2[Sample, error] {
	if s.change == (augment.Options{}) {
		return studies(s.Loader.Epoch(ctx, s.seed, epoch, skip))
	}
	return studies(s.Augmented(ctx, s.change, s.seed, epoch, skip))
}

// heldOutStudies is a loader's studies, the same in each epoch.
type heldOutStudies struct{ *load.Loader }

func (s heldOutStudies) Epoch(ctx context.Context, _, _ int) iter.Seq2[Sample, error] {
	return studies(s.Sorted(ctx))
}

func studies(read iter.Seq2[*shard.Segmentation, error]) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for s, err := range read {
			var out Sample
			if err == nil {
				out = Sample{Study: s.StudyUID, Volume: s.Volume, Labels: s.Labels}
				if copy(out.Shape[:], s.Shape) != len(s.Shape) {
					err = fmt.Errorf("study %s has %d axes", s.StudyUID, len(s.Shape))
				}
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}
