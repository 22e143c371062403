package segment

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/shard"
)

func init() {
	register.DoFn4x1[context.Context, transforms.Study, func(int, transforms.Labelled), func(artifacts.Row), error](&LabelMapFn{})
	transforms.WorksApart(func(ctx context.Context, f *LabelMapFn, study transforms.Study, emit func(transforms.Keyed[transforms.Labelled]), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, study, func(key int, value transforms.Labelled) {
			emit(transforms.Keyed[transforms.Labelled]{Key: key, Value: value})
		}, outcome)
	})
}

// LabelMapFn makes the label map of each study from its mask, and sends both to the study's shard.
type LabelMapFn struct {
	transforms.Site
	// Buckets is the number of shards.
	Buckets int
}

// ProcessElement emits the study with its label map, by its shard.
func (f *LabelMapFn) ProcessElement(ctx context.Context, study transforms.Study, emit func(int, transforms.Labelled), outcome func(artifacts.Row)) error {
	if f.Apart() {
		return transforms.WorkApart(ctx, f, "labelmap", study.Name(), study, func(out transforms.Keyed[transforms.Labelled]) { emit(out.Key, out.Value) }, outcome)
	}
	out := transforms.Labelled{Folder: study.Folder, UID: study.UID, Volume: study.Volume, Segmenter: study.Segmenter}
	ok, err := f.Run(ctx, "labelmap", study.Name(), &study.Pending, outcome, func(r *transforms.Report) error {
		return r.Once(ctx, []any{study, Version}, &out, func() error { return f.labelled(ctx, r, study, &out) })
	})
	if ok {
		out.Pending = study.Pending
		emit(shard.Bucket(study.Key(), f.Buckets), out)
	}
	return err
}

// labelled makes or finds a study's label map.
func (f *LabelMapFn) labelled(ctx context.Context, r *transforms.Report, study transforms.Study, out *transforms.Labelled) error {
	mask, err := artifacts.ParseDigest(study.Mask)
	if err != nil {
		return err
	}
	recipe := artifacts.Recipe{Transform: "labelmap", Version: Version, Inputs: []artifacts.Input{{Name: "mask", Digest: mask}}}
	res, err := r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) {
		mask, err := r.Tensor(ctx, study.Mask)
		if err != nil {
			return artifacts.Content{}, err
		}
		if len(mask.Shape) != 4 || mask.Shape[0] != volume.Levels || mask.DType != npy.Uint8 {
			return artifacts.Content{}, fmt.Errorf("the mask has shape %v, not levels, rows, columns, slices", mask.Shape)
		}
		defer mask.Release()
		labels := LabelMap(mask)
		note, err := json.Marshal(labelled{Shape: labels.Shape, Voxels: count(labels.Data)})
		return artifacts.Content{Data: labels.Bytes(), Release: labels.Release, Note: note}, err
	})
	if err != nil {
		return err
	}
	var note labelled
	if err := json.Unmarshal(res.Note, &note); err != nil || len(note.Shape) != 3 || len(note.Voxels) != 1+volume.Levels {
		return fmt.Errorf("segment: note of the label map: %w", err)
	}
	index, err := ingest.Read(ctx, r, study.Index)
	if err != nil {
		return err
	}
	out.Labels, out.Shape, out.Voxels = res.Output.Digest.String(), note.Shape, note.Voxels
	out.SpacingMM = spacing(index.Grid(note.Shape[0], note.Shape[1], note.Shape[2]))
	return nil
}

// labelled is the note of a label map.
type labelled struct {
	Shape  []int `json:"shape"`
	Voxels []int `json:"voxels"` // of each label, background first
}

func count(labels []uint8) []int {
	var n [256]int
	for _, v := range labels {
		n[v]++
	}
	return n[:1+volume.Levels]
}

// spacing is the distance in mm between neighbours along each axis of a grid, to the micrometre.
func spacing(m volume.Affine) []float64 {
	mm := m.SpacingMM()
	for axis := range mm {
		mm[axis] = math.Round(1e3*mm[axis]) / 1e3
	}
	return mm[:]
}
