package train

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"strconv"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/score"
)

// cropsKept bounds the decoded crops that are kept in memory, in bytes: some 1,900 vertebrae at half the stored size.
const cropsKept = 2 << 30

// classifier opens a task that trains a classifier.
func (f *DoFn) classifier(ctx context.Context, store *artifacts.Store, task Task, model artifacts.Digest) (lesson, error) {
	cfg := DefaultClassifier()
	if err := task.configure(&cfg); err != nil {
		return lesson{}, err
	}
	settings, err := json.Marshal(cfg.canonical())
	if err != nil {
		return lesson{}, err
	}
	file, err := initial(ctx, store, model)
	if err != nil {
		return lesson{}, err
	}
	spec, err := classify.Describe(file)
	if err != nil {
		return lesson{}, err
	}
	data, err := load.OpenCrops(context.WithoutCancel(ctx), store, f.Dataset, load.Options{CacheBytes: cropsKept})
	if err != nil {
		return lesson{}, err
	}
	learned, held := task.folds()
	crops := data.Choose(learned)
	spec.Prior, spec.PriorKnown, spec.Calibration = crops.Prior(), true, [classify.Targets]classify.Calibration{}
	prior, err := json.Marshal(spec.Prior)
	if err != nil {
		return lesson{}, err
	}
	by := crops.ByVertebra
	if spec.Type == classify.Patient {
		by = crops.ByPatient
	}
	train, err := by(spec.Height)
	if err != nil {
		return lesson{}, err
	}
	matter := Matter[*load.Case]{Stage: Classifier(cfg, spec), Train: shuffledCases{train, cfg.Augment.Slices, cfg.Seed}}
	if held != nil {
		valid, err := data.Choose(held).ByPatient(spec.Height)
		if err != nil {
			return lesson{}, err
		}
		if valid.Len() == 0 {
			return lesson{}, f.emptyFold("with a known label ", task)
		}
		matter.Valid = heldOutCases{valid, spec.Type == classify.Vertebra}
	}
	return lesson{loop: cfg.Loop, settings: settings, version: ClassifierVersion, stage: ClassifierStage,
		manifest: data.Manifest(), studies: len(crops.Studies()), unlabelled: train.Unknown(),
		run: func(ctx context.Context, job Job) (Result, error) {
			job.Answers = true
			return Run(ctx, job, matter)
		},
		properties: func(v *Validation) map[string]string {
			// What a model was calibrated by goes with the weights that it had then.
			set := map[string]string{classify.PriorKey: string(prior), classify.CalibrationKey: ""}
			if v != nil {
				set["cspine.log_loss"] = strconv.FormatFloat(float64(v.LogLoss), 'f', 4, 64)
			}
			return set
		},
		files: heldOutFiles}, nil
}

// heldOutFiles are the answers for held-out studies and what is known of them, as score.ReadHeldOut reads them.
func heldOutFiles(v *Validation) (map[string][]byte, error) {
	var answers []score.Answer
	truth := score.Truth{}
	for _, j := range v.Judged {
		answers = append(answers, score.Answer{Study: j.Study, P: j.P})
		truth[j.Study] = j.Truth
	}
	var submission, known bytes.Buffer
	if err := score.WriteSubmission(&submission, answers); err != nil {
		return nil, err
	}
	if err := score.WriteTruth(&known, truth); err != nil {
		return nil, err
	}
	return map[string][]byte{score.HeldOutFile: submission.Bytes(), score.HeldOutTruthFile: known.Bytes()}, nil
}

// shuffledCases are cases in the order of each epoch, changed anew each time.
type shuffledCases struct {
	*load.Cases
	change augment.Slices
	seed   uint64
}

func (s shuffledCases) Epoch(ctx context.Context, epoch, skip int) iter.Seq2[*load.Case, error] {
	if s.change == (augment.Slices{}) {
		return s.Cases.Epoch(ctx, s.seed, epoch, skip)
	}
	return s.Augmented(ctx, s.change, s.seed, epoch, skip)
}

// heldOutCases are patients, the same in each epoch, or their vertebrae one by one: also those whose labels are not known, since what a
// patient is answered depends on them.
type heldOutCases struct {
	*load.Cases
	apart bool
}

func (h heldOutCases) Epoch(ctx context.Context, _, _ int) iter.Seq2[*load.Case, error] {
	if !h.apart {
		return h.Sorted(ctx)
	}
	return func(yield func(*load.Case, error) bool) {
		for patient, err := range h.Sorted(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			for level := range patient.Crops {
				if patient.Crops[level] == nil {
					continue
				}
				one := *patient
				one.Level, one.Crops, one.Labels = level, patient.Crops[level:level+1], patient.Labels[level:level+1]
				if !yield(&one, nil) {
					return
				}
			}
		}
	}
}
