package main

import (
	"fmt"

	"github.com/BurntSushi/toml"

	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/predict"
	"github.com/cspine/cspine/transforms/resample"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
)

// config is what --config may set. Every table is the options of one step; what is left out keeps its
// default. Keys are the options' names, in any case.
type config struct {
	Ingest   ingest.Options
	Resample resample.Options
	Segment  segment.Model
	Boxes    crop.BoxOptions
	Shard    shard.Layout
	Classify classify.Ensemble
	Predict  predict.Options
}

func readConfig(path string) (config, error) {
	var c config
	if path == "" {
		return c, nil
	}
	meta, err := toml.DecodeFile(path, &c)
	if err != nil {
		return c, fmt.Errorf("--config: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return c, fmt.Errorf("--config %s: there is no setting %s", path, unknown[0])
	}
	if err := c.Ingest.Check(); err != nil {
		return c, fmt.Errorf("--config %s: [ingest] %w", path, err)
	}
	return c, nil
}
