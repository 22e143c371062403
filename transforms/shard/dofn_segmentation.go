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
	store, err := transforms.SharedStore(ctx, f.Store)
	if err != nil {
		return err
	}
	return one(ctx, store, bucket, emit, outcome, func(r *transforms.Report) (entry, error) {
		layout := f.Layout
		layout.fill()
		e := entry{NotFound: map[string]int{}}
		var rows []Segmentation
		var made []inputs
		for _, s := range gather(r, next, func(s transforms.Labelled) (string, string, int) { return s.UID, s.Folder, 0 }) {
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
		res, err := writeShard(ctx, r, segmentations, "segmentation_shard", rows, made)
		if err != nil {
			return e, err
		}
		e.set(NewSegmentationPart(FileName(bucket, layout.Buckets), res.Output.Size, res.Output.Digest.String(), rows))
		return e, nil
	})
}
