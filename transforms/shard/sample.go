// Package shard keeps samples in Parquet shards: it writes them, reads them back, and says which study
// belongs into which shard and fold. There are two kinds of shards: of vertebra crops (Sample), and of
// volumes with their label maps (Segmentation).
//
// A shard must open in any Parquet reader (pyarrow, Hugging Face datasets, DuckDB) with exact tensors:
// standard encodings and the standard ZSTD codec, nothing of ours. Equal samples must give equal bytes,
// whatever the number of workers: no time, no host and no random value goes in. One row group holds one
// study's consecutive samples, one page holds one tensor, so that a reader can fetch any row alone.
//
// A Reader reads what Write or WriteSegmentations wrote. Bytes that are not that, whether cut, changed or hostile, must end in
// an error that wraps ErrCorrupt, with memory bounded by the file's size and ReadOptions.
package shard

import (
	"errors"
	"fmt"
)

// Version is the schema version in a shard's key-value metadata under VersionKey.
const (
	Version    = "1"
	VersionKey = "cspine.shard.version"
)

// MaxTensor is the largest tensor a shard holds, in bytes; a Parquet page ends at 2 GiB, and a reader
// must be able to trust a size before it allocates it.
const MaxTensor = 256 << 20

// maxList is the most numbers a Shape or ZPositions holds; a page must hold no more per row.
const maxList = 64

// ErrCorrupt is wrapped by every error about bytes that are not a shard of the kind asked for.
var ErrCorrupt = errors.New("shard: corrupt")

// Sample is one row of a shard: one vertebra's crop with what is needed to train on it and to make it
// again. The Parquet column of each field is named in brackets.
type Sample struct {
	// StudyUID is the study's StudyInstanceUID, or its keyed hash where the run asked for one [study_uid, string].
	StudyUID string
	// Vertebra is "C1" to "C7" [vertebra, string].
	Vertebra string
	// Fold is the study's cross-validation fold, from 0 [fold, int32].
	Fold int
	// Label is 1 if the vertebra is fractured, 0 if not, nil if nobody said [label, optional int32].
	Label *int
	// PatientLabel is the same for the whole patient [patient_label, optional int32].
	PatientLabel *int
	// Tensor is the crop's elements in C order, little endian [tensor, binary].
	Tensor []byte
	// Shape is the tensor's, for a crop 15 positions, 6 planes (slices −2 to +2, mask), 224 rows, 224
	// columns [shape, list of int32].
	Shape []int
	// DType is the element type as numpy names it, "uint8" for a crop [dtype, string].
	DType string
	// Box is where the crop was cut [box and source_box, lists of 6 int32 each].
	Box Box
	// ZPositions are the centre slice of each position, as indices into the study's slices from head to
	// foot [z_positions, list of int32].
	ZPositions []int
	// MaskDigest, CropDigest and SegmenterDigest are the content digests of the mask artifact, the crop
	// artifact and the model file, in hex [mask_digest, crop_digest, segmenter_digest, strings].
	MaskDigest, CropDigest, SegmenterDigest string
}

// Box is a vertebra's bounding box as half-open ranges.
type Box struct {
	// Rows, Columns and Slices count in the 128 x 128 x 128 grid of the mask.
	Rows, Columns, Slices [2]int
	// SourceRows, SourceColumns and SourceSlices count in the study's own pixels and slices.
	SourceRows, SourceColumns, SourceSlices [2]int
}

// crops is the kind of shard that Write writes.
var crops = kindOf("crop", []string{"tensor"}, func(s *Sample) record { return s },
	func(s *Sample) row { return row{columns: columnsOf(s), Tensor: s.Tensor} }, (*columns).sample)

func (s *Sample) study() string     { return s.StudyUID }
func (s *Sample) fold() int         { return s.Fold }
func (s *Sample) name() string      { return fmt.Sprintf("sample %s of study %s", s.Vertebra, s.StudyUID) }
func (s *Sample) tensors() []tensor { return []tensor{{&s.Tensor, s.Shape, s.DType}} }

func (s *Sample) line() string {
	word := func(l *int) string {
		if l == nil {
			return "-"
		}
		return fmt.Sprint(*l)
	}
	return fmt.Sprintf("%s %s fold %d label %s patient %s %s %v rows %v columns %v slices %v crop %.12s", s.StudyUID, s.Vertebra, s.Fold,
		word(s.Label), word(s.PatientLabel), s.DType, s.Shape, s.Box.Rows, s.Box.Columns, s.Box.Slices, s.CropDigest)
}

// check checks that every number fits its column.
func (s *Sample) check() error {
	b := &s.Box
	if err := checkNumbers(s.Fold, s.ZPositions, b.Rows[:], b.Columns[:], b.Slices[:], b.SourceRows[:], b.SourceColumns[:], b.SourceSlices[:]); err != nil {
		return err
	}
	for _, l := range []*int{s.Label, s.PatientLabel} {
		if l != nil && *l != 0 && *l != 1 {
			return fmt.Errorf("label %d is not 0 or 1", *l)
		}
	}
	return nil
}

// columns is a sample as its Parquet row, but for the tensor. These columns stay uncompressed: they are
// a thousandth of the file, and their size can be checked before they are read.
type columns struct {
	StudyUID        string  `parquet:"study_uid,plain,uncompressed"`
	Vertebra        string  `parquet:"vertebra,plain,uncompressed"`
	Fold            int32   `parquet:"fold,uncompressed"`
	Label           *int32  `parquet:"label,optional,uncompressed"`
	PatientLabel    *int32  `parquet:"patient_label,optional,uncompressed"`
	Shape           []int32 `parquet:"shape,list" parquet-element:",uncompressed"`
	DType           string  `parquet:"dtype,plain,uncompressed"`
	Box             []int32 `parquet:"box,list" parquet-element:",uncompressed"`
	SourceBox       []int32 `parquet:"source_box,list" parquet-element:",uncompressed"`
	ZPositions      []int32 `parquet:"z_positions,list" parquet-element:",uncompressed"`
	MaskDigest      string  `parquet:"mask_digest,plain,uncompressed"`
	CropDigest      string  `parquet:"crop_digest,plain,uncompressed"`
	SegmenterDigest string  `parquet:"segmenter_digest,plain,uncompressed"`
}

// row is a whole Parquet row. The tensor comes last, so that the small columns of a row group lie
// together.
type row struct {
	columns
	Tensor []byte `parquet:"tensor,plain"`
}

func columnsOf(s *Sample) columns {
	b := &s.Box
	return columns{
		StudyUID:        s.StudyUID,
		Vertebra:        s.Vertebra,
		Fold:            int32(s.Fold),
		Label:           convert[int32](s.Label),
		PatientLabel:    convert[int32](s.PatientLabel),
		Shape:           convertAll[int32](s.Shape),
		DType:           s.DType,
		Box:             flatten(b.Rows, b.Columns, b.Slices),
		SourceBox:       flatten(b.SourceRows, b.SourceColumns, b.SourceSlices),
		ZPositions:      convertAll[int32](s.ZPositions),
		MaskDigest:      s.MaskDigest,
		CropDigest:      s.CropDigest,
		SegmenterDigest: s.SegmenterDigest,
	}
}

// sample returns the row as a Sample without a tensor.
func (c *columns) sample() (Sample, error) {
	if len(c.Box) != 6 || len(c.SourceBox) != 6 {
		return Sample{}, fmt.Errorf("%w: a box has %d and %d numbers, not 6", ErrCorrupt, len(c.Box), len(c.SourceBox))
	}
	s := Sample{
		StudyUID:        c.StudyUID,
		Vertebra:        c.Vertebra,
		Fold:            int(c.Fold),
		Label:           convert[int](c.Label),
		PatientLabel:    convert[int](c.PatientLabel),
		Shape:           convertAll[int](c.Shape),
		DType:           c.DType,
		ZPositions:      convertAll[int](c.ZPositions),
		MaskDigest:      c.MaskDigest,
		CropDigest:      c.CropDigest,
		SegmenterDigest: c.SegmenterDigest,
	}
	for i, r := range []*[2]int{&s.Box.Rows, &s.Box.Columns, &s.Box.Slices} {
		*r = [2]int{int(c.Box[2*i]), int(c.Box[2*i+1])}
	}
	for i, r := range []*[2]int{&s.Box.SourceRows, &s.Box.SourceColumns, &s.Box.SourceSlices} {
		*r = [2]int{int(c.SourceBox[2*i]), int(c.SourceBox[2*i+1])}
	}
	return s, nil
}

func flatten(ranges ...[2]int) []int32 {
	var out []int32
	for _, r := range ranges {
		out = append(out, int32(r[0]), int32(r[1]))
	}
	return out
}

type integer interface{ int | int32 }

func convert[To, From integer](v *From) *To {
	if v == nil {
		return nil
	}
	to := To(*v)
	return &to
}

func convertAll[To, From integer](vs []From) []To {
	out := make([]To, len(vs))
	for i, v := range vs {
		out[i] = To(v)
	}
	return out
}
