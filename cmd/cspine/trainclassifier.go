package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/transforms/train"
)

type trainClassifierFlags struct {
	trainFlags
	kind int // 0: whatever the model is
}

func newTrainClassifier() *cobra.Command {
	var t trainClassifierFlags
	s := &trainStage{name: train.ClassifierStage, task: shard.Crops, settings: classifierSettings, build: t.build, check: t.complete}
	for _, e := range nets.Encoders {
		s.networks = append(s.networks, e.Name())
	}
	c := &cobra.Command{
		Use:   "classifier --store URL --dataset NAME [--type 1|2]",
		Short: "Train stage 2: the network that tells which vertebrae are fractured",
		Long: `Train a classifier on a data set of crops that 'cspine prepare' made: ONNX in,
ONNX out.

  --type 1  learns from vertebrae, one by one
  --type 2  learns from patients, all seven vertebrae together

--model takes an encoder's name, for a network as 'cspine model build classifier'
makes it, or a classifier's file. --weights may be a file of the other type: its
encoder is taken, and what else has the same name and shape.

` + trainingGoesOn + `

The store gets, under runs/RUN/fold0-seed1/: classifier.onnx, metrics.jsonl, a
TensorBoard event file, curves.svg, and the answers of the best epoch for the
held-out studies, held-out.csv, which 'cspine evaluate --out-of-fold' scores
beside held-out-truth.csv. See docs/training.md.

Exit status: 0 all good, 1 failed or interrupted, 2 wrong usage.`,
		Example: `  cspine train classifier --store store --dataset first --out classifier.onnx
  cspine train classifier --store store --dataset first --type 2 --weights classifier.onnx --folds --config patient.toml`,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("type") && t.kind != classify.Vertebra && t.kind != classify.Patient {
				return usage("--type %d: 1 is a vertebra, 2 a patient's seven", t.kind)
			}
			return t.run(c, s)
		},
	}
	f := c.Flags()
	f.IntVar(&t.kind, "type", 0, "1: a vertebra, 2: a patient's seven (default: what the model's file is, 1 for a network)")
	t.add(f, s, "crops", "the data set's, and -type2 behind it for type 2")
	return c
}

func classifierSettings(path string) (any, *train.Loop, error) {
	cfg, err := readClassifierConfig(path)
	return &cfg, &cfg.Loop, err
}

// readClassifierConfig reads settings over the default ones.
func readClassifierConfig(path string) (train.ClassifierConfig, error) {
	cfg := train.DefaultClassifier()
	err := readSettings(path, &cfg, cfg.Augment.UsePreset)
	return cfg, err
}

func (t *trainClassifierFlags) build(name string, config any) ([]byte, error) {
	cfg, ok := config.(*train.ClassifierConfig)
	encoder, err := nets.FindEncoder(name)
	if !ok || err != nil {
		return nil, fmt.Errorf("there is no network %s for %T", name, config)
	}
	return nets.Classifier{Type: t.kind, Encoder: encoder}.Build(cfg.Seed)
}

// complete refuses a model that is no classifier, or of another type than is asked for, and names the run by its type.
func (t *trainClassifierFlags) complete(file []byte) error {
	spec, err := classify.Describe(file)
	if err != nil {
		return err
	}
	if t.kind != 0 && t.kind != spec.Type {
		return fmt.Errorf("it is a classifier of type %d; leave out --type %d, or give another model", spec.Type, t.kind)
	}
	if t.name == "" && spec.Type == classify.Patient {
		t.name = t.dataset + "-type2"
	}
	return nil
}
