package shard

import (
	"context"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
)

// SegmentationFn writes one shard of volumes and label maps from the studies of its bucket.
type SegmentationFn struct {
	transforms.Site
	Layout Layout
}

// ProcessElement emits what the data set's manifest says of the shard, as JSON.
func (f *SegmentationFn) ProcessElement(ctx context.Context, bucket int, next func(*transforms.Labelled) bool, emit func(int, string), outcome func(artifacts.Row)) error {
	b := one{f.Site, bucket, outcome, emit}
	return b.run(ctx, func(r *transforms.Report) (entry, error) {
		samples, waiting := gather(r, next, func(s transforms.Labelled) (string, string, int, bool) { return s.UID, s.Folder, 0, s.Pending })
		if waiting {
			return entry{}, transforms.ErrPending
		}
		layout := f.Layout
		layout.fill()
		e := entry{NotFound: map[string]int{}}
		var rows []Segmentation
		var made []inputs
		for _, s := range samples {
			rows = append(rows, Segmentation{StudyUID: s.UID, Fold: Fold(s.UID, layout.Folds), Shape: s.Shape, DType: "uint8",
				SpacingMM: [3]float64(s.SpacingMM), Voxels: [1 + volume.Levels]int(s.Voxels),
				VolumeDigest: s.Volume, LabelsDigest: s.Labels, SourceDigest: s.Segmenter})
			made = append(made, inputs{{s.UID + "/volume", s.Volume}, {s.UID + "/labels", s.Labels}})
			for level, n := range s.Voxels[1:] {
				if n == 0 {
					e.NotFound[volume.LevelName(level)]++
				}
			}
		}
		recipe, err := recipeOf("segmentation_shard", rows, made)
		if err != nil {
			return e, err
		}
		err = r.Once(ctx, []any{recipe.Digest(), e.NotFound, layout}, &e, func() error {
			res, err := writeShard(ctx, r, segmentations, recipe, rows, made)
			if err == nil {
				e.set(NewSegmentationPart(FileName(bucket, layout.Buckets), res.Output.Size, res.Output.Digest.String(), rows))
			}
			return err
		})
		return e, err
	})
}
