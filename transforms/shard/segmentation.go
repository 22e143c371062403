package shard

import (
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/cspine/cspine/internal/volume"
)

// Segmentation is one row of a segmentation shard: a study's volume and which vertebra each voxel is of. The
// Parquet column of each field is named in brackets.
type Segmentation struct {
	// StudyUID is the study's StudyInstanceUID [study_uid, string].
	StudyUID string
	// Fold is the study's cross-validation fold, from 0 [fold, int32].
	Fold int
	// Shape is that of Volume and of Labels: rows, columns, slices head to foot [shape, list of int32].
	Shape []int
	// DType is the element type of both as numpy names it, "uint8" [dtype, string].
	DType string
	// SpacingMM is the distance of neighbouring voxels along rows, columns and slices [spacing_mm, list of
	// 3 float64].
	SpacingMM [3]float64
	// Voxels counts the voxels of each label: background, C1 … C7 [voxels, list of 8 int32].
	Voxels [1 + volume.Levels]int
	// VolumeDigest, LabelsDigest and SourceDigest are the content digests of the volume and the label map,
	// and the identity of what the labels come from, in hex [volume_digest, labels_digest, source_digest,
	// strings].
	VolumeDigest, LabelsDigest, SourceDigest string
	// Volume has the intensities, 0 to 255, in C order [volume, binary].
	Volume []byte
	// Labels has 0 for background, 1 … 7 for C1 … C7, in C order [mask, binary].
	Labels []byte
}

// WriteSegmentations writes samples as one shard to w, as Write does.
func WriteSegmentations(w io.Writer, samples iter.Seq2[Segmentation, error], opts Options) (Stats, error) {
	return segmentations.write(w, unpacked(samples), opts)
}

// OpenSegmentations reads the footer of a shard of segmentations, of size bytes. R must stay readable while
// the Reader is used.
func OpenSegmentations(r io.ReaderAt, size int64) (*Reader[Segmentation], error) {
	return segmentations.open(r, size)
}

// segmentations is the kind of shard that WriteSegmentations writes.
var segmentations = kindOf("segmentation", []string{"volume", "mask"}, func(s *Segmentation) record { return s },
	func(s *Segmentation) segmentationRow {
		return segmentationRow{segmentationColumns: segmentationColumnsOf(s), Volume: s.Volume, Mask: s.Labels}
	}, (*segmentationColumns).sample)

func (s *Segmentation) study() string { return s.StudyUID }
func (s *Segmentation) fold() int     { return s.Fold }
func (s *Segmentation) name() string  { return "volume of study " + s.StudyUID }

func (s *Segmentation) tensors() []tensor {
	return []tensor{{&s.Volume, s.Shape, s.DType}, {&s.Labels, s.Shape, s.DType}}
}

func (s *Segmentation) line() string {
	return fmt.Sprintf("%s fold %d %s %v spacing %.2f mm voxels %v volume %.12s labels %.12s", s.StudyUID, s.Fold, s.DType, s.Shape,
		s.SpacingMM, s.Voxels, s.VolumeDigest, s.LabelsDigest)
}

func (s *Segmentation) check() error {
	if len(s.Shape) != 3 || s.DType != "uint8" {
		return fmt.Errorf("it is %v of %s, not three axes of uint8", s.Shape, s.DType)
	}
	for _, mm := range s.SpacingMM {
		if !(mm > 0) || math.IsInf(mm, 0) {
			return fmt.Errorf("a spacing of %v mm", mm)
		}
	}
	for _, v := range s.Labels {
		if v > volume.Levels {
			return fmt.Errorf("label %d is not one of 0 to %d", v, volume.Levels)
		}
	}
	return checkNumbers(s.Fold, s.Voxels[:])
}

// segmentationColumns is a row but for its tensors.
type segmentationColumns struct {
	StudyUID     string    `parquet:"study_uid,plain,uncompressed"`
	Fold         int32     `parquet:"fold,uncompressed"`
	Shape        []int32   `parquet:"shape,list" parquet-element:",uncompressed"`
	DType        string    `parquet:"dtype,plain,uncompressed"`
	SpacingMM    []float64 `parquet:"spacing_mm,list" parquet-element:",uncompressed"`
	Voxels       []int32   `parquet:"voxels,list" parquet-element:",uncompressed"`
	VolumeDigest string    `parquet:"volume_digest,plain,uncompressed"`
	LabelsDigest string    `parquet:"labels_digest,plain,uncompressed"`
	SourceDigest string    `parquet:"source_digest,plain,uncompressed"`
}

type segmentationRow struct {
	segmentationColumns
	Volume []byte `parquet:"volume,plain"`
	Mask   []byte `parquet:"mask,plain"`
}

func segmentationColumnsOf(s *Segmentation) segmentationColumns {
	return segmentationColumns{
		StudyUID:     s.StudyUID,
		Fold:         int32(s.Fold),
		Shape:        convertAll[int32](s.Shape),
		DType:        s.DType,
		SpacingMM:    s.SpacingMM[:],
		Voxels:       convertAll[int32](s.Voxels[:]),
		VolumeDigest: s.VolumeDigest,
		LabelsDigest: s.LabelsDigest,
		SourceDigest: s.SourceDigest,
	}
}

func (c *segmentationColumns) sample() (Segmentation, error) {
	if len(c.SpacingMM) != 3 || len(c.Voxels) != 1+volume.Levels {
		return Segmentation{}, fmt.Errorf("%w: %d spacings and %d counts of voxels, not 3 and %d", ErrCorrupt, len(c.SpacingMM), len(c.Voxels), 1+volume.Levels)
	}
	return Segmentation{
		StudyUID:     c.StudyUID,
		Fold:         int(c.Fold),
		Shape:        convertAll[int](c.Shape),
		DType:        c.DType,
		SpacingMM:    [3]float64(c.SpacingMM),
		Voxels:       [1 + volume.Levels]int(convertAll[int](c.Voxels)),
		VolumeDigest: c.VolumeDigest,
		LabelsDigest: c.LabelsDigest,
		SourceDigest: c.SourceDigest,
	}, nil
}
