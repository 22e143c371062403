package shard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
)

// ManifestFile is the manifest's name beside the shards.
const ManifestFile = "manifest.json"

// The tasks that a data set can be for: what its samples are.
const (
	Crops         = "crops"        // Sample
	Segmentations = "segmentation" // Segmentation
)

// Manifest is the index of a data set of shards. Equal parts make equal bytes, in whatever order they
// come.
type Manifest struct {
	// Name is the data set's.
	Name string `json:"name"`
	// Task is Crops or Segmentations.
	Task string `json:"task"`
	// Version is the schema version of every shard.
	Version string `json:"version"`
	// Schema lists the shards' columns.
	Schema []Column `json:"schema"`
	// Samples, Bytes and Raw sum up the shards; Raw is the tensors' size when unpacked.
	Samples int   `json:"samples"`
	Bytes   int64 `json:"bytes"`
	Raw     int64 `json:"raw_bytes"`
	// Segmenters are the digests of the models that made the masks, sorted; more than one means that
	// studies were prepared apart. Of crops only.
	Segmenters []string `json:"segmenters,omitempty"`
	// Levels says by vertebra in how many studies it was found, and in how many it was not.
	Levels map[string]Found `json:"levels"`
	// Balance counts labels by vertebra and fold, sorted by both. Of crops only.
	Balance []Balance `json:"balance,omitempty"`
	Shards  []Part    `json:"shards"`
}

// Column describes one column of a shard.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Null bool   `json:"null,omitempty"` // whether values may be missing
}

// Found counts the studies in which a vertebra was found, and in which not.
type Found struct {
	Found    int `json:"found"`
	NotFound int `json:"not_found"`
}

// Balance counts the labels of one vertebra in one fold.
type Balance struct {
	Vertebra  string `json:"vertebra"`
	Fold      int    `json:"fold"`
	Fractured int    `json:"fractured"`
	Intact    int    `json:"intact"`
	Unknown   int    `json:"unknown"`
}

// Part is one shard as its manifest has it.
type Part struct {
	File    string      `json:"file"` // name beside the manifest
	Samples int         `json:"samples"`
	Bytes   int64       `json:"bytes"`
	Raw     int64       `json:"raw_bytes"`
	SHA256  string      `json:"sha256"` // hex, of the file
	Folds   map[int]int `json:"folds"`  // samples by fold
	// Studies names each row's study and fold, in the shard's order. Of segmentations only.
	Studies []Study `json:"studies,omitempty"`

	balance    []Balance
	segmenters []string
	found      map[string]int // samples by vertebra
}

// Study is a study of a shard, and the fold it belongs to.
type Study struct {
	UID  string `json:"study_uid"`
	Fold int    `json:"fold"`
}

// NewPart describes a shard by its samples, whose tensors are not needed.
func NewPart(file string, size int64, sha256 string, samples []Sample) Part {
	p := newPart(crops, file, size, sha256, samples)
	for i := range samples {
		s := &samples[i]
		b := Balance{Vertebra: s.Vertebra, Fold: s.Fold}
		switch {
		case s.Label == nil:
			b.Unknown = 1
		case *s.Label == 1:
			b.Fractured = 1
		default:
			b.Intact = 1
		}
		p.balance = append(p.balance, b)
		p.segmenters = append(p.segmenters, s.SegmenterDigest)
		p.found[s.Vertebra]++
	}
	return p
}

// NewSegmentationPart describes a shard by its samples, whose tensors are not needed.
func NewSegmentationPart(file string, size int64, sha256 string, samples []Segmentation) Part {
	p := newPart(segmentations, file, size, sha256, samples)
	for i := range samples {
		p.Studies = append(p.Studies, Study{samples[i].StudyUID, samples[i].Fold})
		for level, n := range samples[i].Voxels[1:] {
			if n > 0 {
				p.found[volume.LevelName(level)]++
			}
		}
	}
	return p
}

func newPart[S any](k *kind[S], file string, size int64, sha256 string, samples []S) Part {
	p := Part{File: file, Samples: len(samples), Bytes: size, SHA256: sha256, Folds: map[int]int{}, found: map[string]int{}}
	for i := range samples {
		r := k.record(&samples[i])
		p.Raw += raw(r)
		p.Folds[r.fold()]++
	}
	return p
}

// PartOf describes a shard by reading its small columns.
func PartOf(file, sha256 string, r *Reader[Sample]) (Part, error) {
	samples := make([]Sample, r.Rows())
	for i := range samples {
		var err error
		if samples[i], err = r.Info(i); err != nil {
			return Part{}, fmt.Errorf("shard: %s: %w", file, err)
		}
	}
	return NewPart(file, r.size, sha256, samples), nil
}

// NewManifest makes the manifest of a data set for task. NotFound counts, by vertebra, the studies without it.
func NewManifest(task, name string, parts []Part, notFound map[string]int) *Manifest {
	m := &Manifest{Name: name, Task: task, Version: Version, Schema: schema(task), Levels: map[string]Found{}}
	m.Shards = slices.SortedFunc(slices.Values(parts), func(a, b Part) int { return cmp.Compare(a.File, b.File) })
	type cell struct {
		vertebra string
		fold     int
	}
	sums := map[cell]Balance{}
	for v, n := range notFound {
		m.Levels[v] = Found{NotFound: n}
	}
	for i := range m.Shards {
		p := &m.Shards[i]
		m.Samples += p.Samples
		m.Bytes += p.Bytes
		m.Raw += p.Raw
		m.Segmenters = append(m.Segmenters, p.segmenters...)
		for _, b := range p.balance {
			at := cell{b.Vertebra, b.Fold}
			s := sums[at]
			sums[at] = Balance{b.Vertebra, b.Fold, s.Fractured + b.Fractured, s.Intact + b.Intact, s.Unknown + b.Unknown}
		}
		for v, n := range p.found {
			f := m.Levels[v]
			m.Levels[v] = Found{f.Found + n, f.NotFound}
		}
	}
	slices.Sort(m.Segmenters)
	m.Segmenters = slices.Compact(m.Segmenters)
	m.Balance = slices.SortedFunc(maps.Values(sums), func(a, b Balance) int {
		return cmp.Or(cmp.Compare(a.Vertebra, b.Vertebra), cmp.Compare(a.Fold, b.Fold))
	})
	return m
}

// schema lists the columns in the shard's order.
func schema(task string) []Column {
	const numbers = "list<int32>"
	if task == Segmentations {
		return []Column{
			{Name: "study_uid", Type: "string"}, {Name: "fold", Type: "int32"}, {Name: "shape", Type: numbers}, {Name: "dtype", Type: "string"},
			{Name: "spacing_mm", Type: "list<float64>"}, {Name: "voxels", Type: numbers}, {Name: "volume_digest", Type: "string"},
			{Name: "labels_digest", Type: "string"}, {Name: "source_digest", Type: "string"},
			{Name: "volume", Type: "binary"}, {Name: "mask", Type: "binary"},
		}
	}
	return []Column{
		{Name: "study_uid", Type: "string"}, {Name: "vertebra", Type: "string"}, {Name: "fold", Type: "int32"},
		{Name: "label", Type: "int32", Null: true}, {Name: "patient_label", Type: "int32", Null: true},
		{Name: "shape", Type: numbers}, {Name: "dtype", Type: "string"},
		{Name: "box", Type: numbers}, {Name: "source_box", Type: numbers}, {Name: "z_positions", Type: numbers},
		{Name: "mask_digest", Type: "string"}, {Name: "crop_digest", Type: "string"},
		{Name: "segmenter_digest", Type: "string"}, {Name: "tensor", Type: "binary"},
	}
}

// Folds returns the folds of the data set's studies, sorted.
func (m *Manifest) Folds() []int {
	all := map[int]bool{}
	for _, p := range m.Shards {
		for fold := range p.Folds {
			all[fold] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// JSON returns the manifest's file, sealed (see artifacts.SealJSON).
func (m *Manifest) JSON() ([]byte, error) { return artifacts.SealJSON(m) }

// ReadManifest reads a manifest's file, and refuses one that does not match its check sum; the first ones carried none. What NewPart knows of a
// shard beyond it is not there any more.
func ReadManifest(file []byte) (*Manifest, error) {
	text, err := artifacts.UnsealJSON(file)
	if err != nil {
		return nil, fmt.Errorf("shard: manifest: %w", err)
	}
	m := Manifest{Task: Crops} // the first manifests named no task
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("shard: manifest: %w", err)
	}
	if m.Version != Version {
		return nil, fmt.Errorf("shard: manifest: version %q, this program reads %q", m.Version, Version)
	}
	if m.Task != Crops && m.Task != Segmentations {
		return nil, fmt.Errorf("shard: manifest: task %q is not one of %s, %s", m.Task, Crops, Segmentations)
	}
	return &m, nil
}

// Describe writes what a shard holds, a line per sample.
func (r *Reader[S]) Describe(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "shard       of %ss, version %s, %d samples in %d row groups, %d bytes\n", r.kind.what, Version, r.Rows(), len(r.groups), r.size); err != nil {
		return err
	}
	for i := range r.Rows() {
		s, err := r.Info(i)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%-6d %s\n", i, r.kind.record(&s).line()); err != nil {
			return err
		}
	}
	return nil
}
