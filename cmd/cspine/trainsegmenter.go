package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/transforms/train"
)

func newTrainSegmenter() *cobra.Command {
	var t trainFlags
	s := &trainStage{name: train.SegmenterStage, task: shard.Segmentations, prepare: "--task segmentation ", settings: segmenterSettings, build: buildSegmenter, check: checkModel}
	for _, n := range nets.Networks {
		s.networks = append(s.networks, n.Name)
	}
	c := &cobra.Command{
		Use:   "segmenter --store URL --dataset NAME",
		Short: "Train stage 1: the network that finds the seven vertebrae",
		Long: `Train a segmenter on a data set that 'cspine prepare --task segmentation' made:
ONNX in, ONNX out.

` + trainingGoesOn + `

The store gets, under runs/RUN/fold0-seed1/: segmenter.onnx, metrics.jsonl, a
TensorBoard event file and curves.svg. See docs/training.md.

Exit status: 0 all good, 1 failed or interrupted, 2 wrong usage.`,
		Example: `  cspine train segmenter --store store --dataset neck --out segmenter.onnx
  cspine train segmenter --store store --dataset neck --folds --config train.toml --run five`,
		RunE: func(c *cobra.Command, _ []string) error { return t.run(c, s) },
	}
	t.add(c.Flags(), s, "volumes", "the data set's")
	return c
}

// trainingGoesOn is what both stages' manuals say.
const trainingGoesOn = `A training is known by its data, its initial model, its configuration and its
engine. One that is done is not repeated, and one that was stopped, by Ctrl-C or
by kill -9, goes on from its last checkpoint when the same command runs again; it
ends with the weights that it would have had (same engine, same machine).`

func segmenterSettings(path string) (any, *train.Loop, error) {
	cfg, err := readSegmenterConfig(path)
	return &cfg, &cfg.Loop, err
}

// readSegmenterConfig reads settings over the default ones.
func readSegmenterConfig(path string) (train.SegmenterConfig, error) {
	cfg := train.DefaultSegmenter()
	err := readSettings(path, &cfg, cfg.Augment.UsePreset)
	return cfg, err
}

func buildSegmenter(name string, config any) ([]byte, error) {
	cfg, ok := config.(*train.SegmenterConfig)
	i := slices.IndexFunc(nets.Networks, func(n nets.Network) bool { return n.Name == name })
	if !ok || i < 0 {
		return nil, fmt.Errorf("there is no network %s for %T", name, config)
	}
	return nets.Networks[i].Build(nets.Options{Size: cfg.Size}, cfg.Seed)
}

// checkModel refuses what is no ONNX file. Whether it is a segmenter is seen when it is compiled.
func checkModel(file []byte) error {
	_, err := models.Info(file)
	return err
}
