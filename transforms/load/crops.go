package load

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/resize"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/shard"
)

// CropDataset is a data set of vertebrae's crops in a store. It may be used by many goroutines.
type CropDataset struct {
	*set[shard.Sample]
	studies []cropStudy // sorted by UID
	edge    int         // of every slice; 0 where there is no crop
	cached  *cache[cropKey, []uint8]
	buffers sync.Pool // of *shard.Buffer, for crops that are made smaller
}

// cropStudy is a study of which at least one vertebra was found.
type cropStudy struct {
	shard.Study
	file    *file[shard.Sample]
	rows    [volume.Levels]int // in its shard; -1 where a vertebra was not found
	labels  [volume.Levels]int8
	patient int8
}

// cropKey is a crop whose slices have been made so large.
type cropKey struct{ study, level, edge int }

// openers is how many shards are opened at a time: it takes little work and much waiting.
const openers = 32

// OpenCrops reads the manifest of the data set of that name, and what its shards say of each crop but for the crops themselves: for 2,000
// studies about a second's work, and 16 seconds where each request to a bucket takes 30 ms. A study must lie in one shard, with each
// vertebra at most once, and all crops must be of one size.
func OpenCrops(ctx context.Context, store *artifacts.Store, name string, opts Options) (*CropDataset, error) {
	s, err := openSet(ctx, store, name, shard.Crops, opts, shard.Open)
	if err != nil {
		return nil, err
	}
	d := &CropDataset{set: s, cached: newCache[cropKey, []uint8](opts.CacheBytes)}
	d.buffers.New = func() any { return new(shard.Buffer) }
	home := map[string]*file[shard.Sample]{}
	where := func(i int, err error) error {
		return fmt.Errorf("data set %s, %s: %w", name, s.shards[i].part.File, err)
	}
	all := ahead(ctx, Options{Readers: openers, Ahead: 2 * openers}, sorted(len(s.shards)), 0, func(i int) (index, error) {
		found, err := indexOf(s.shards[i])
		if err != nil {
			err = where(i, err)
		}
		return found, err
	}, where)
	for found, err := range all {
		if err != nil {
			return nil, err
		}
		for _, at := range found.studies {
			if other := home[at.UID]; other != nil {
				return nil, s.at(at.file, at.UID, fmt.Errorf("it is in %s too", other.part.File))
			}
			home[at.UID] = at.file
			if d.edge = cmp.Or(d.edge, found.edge); found.edge != d.edge {
				return nil, s.at(at.file, at.UID, fmt.Errorf("its crops have sides of %d pixels, those of other shards %d", found.edge, d.edge))
			}
			d.studies = append(d.studies, at)
		}
	}
	slices.SortFunc(d.studies, func(a, b cropStudy) int { return cmp.Compare(a.UID, b.UID) })
	return d, nil
}

// index is what a shard holds.
type index struct {
	studies []cropStudy
	edge    int
}

// indexOf reads a shard's small columns. The crops' manifest does not name studies, as the segmentations' does: reading them here costs no
// more than reading them with the first epoch, which needs them all.
func indexOf(f *file[shard.Sample]) (found index, err error) {
	r, err := f.source()
	if err != nil {
		return found, err
	}
	if r.Rows() != f.part.Samples {
		return found, fmt.Errorf("it has %d rows, the manifest says %d", r.Rows(), f.part.Samples)
	}
	places := map[string]int{}
	for row := range r.Rows() {
		s, err := r.Info(row)
		if err != nil {
			return found, err
		}
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("row %d, study %s: "+format, append([]any{row, s.StudyUID}, args...)...)
		}
		level := levelOf(s.Vertebra)
		if level < 0 {
			return found, wrong("vertebra %q is not C1 to C7", s.Vertebra)
		}
		if len(s.Shape) != 4 || s.DType != "uint8" || s.Shape[0] != crop.Places || s.Shape[1] != augment.Planes || s.Shape[2] < 1 || s.Shape[2] != s.Shape[3] {
			return found, wrong("a crop is %v of %s, not %d x %d squares of uint8", s.Shape, s.DType, crop.Places, augment.Planes)
		}
		if found.edge = cmp.Or(found.edge, s.Shape[2]); found.edge != s.Shape[2] {
			return found, wrong("a crop has sides of %d pixels, the first %d", s.Shape[2], found.edge)
		}
		place, ok := places[s.StudyUID]
		if !ok {
			place = len(found.studies)
			places[s.StudyUID] = place
			found.studies = append(found.studies, cropStudy{Study: shard.Study{UID: s.StudyUID, Fold: s.Fold}, file: f, patient: LabelOf(s.PatientLabel)})
			at := &found.studies[place]
			for l := range at.rows {
				at.rows[l], at.labels[l] = -1, Unknown
			}
		}
		at := &found.studies[place]
		if at.rows[level] >= 0 {
			return found, wrong("%s is there twice", s.Vertebra)
		}
		if at.Fold != s.Fold || at.patient != LabelOf(s.PatientLabel) {
			return found, wrong("its rows differ in fold or patient's label")
		}
		at.rows[level], at.labels[level] = row, LabelOf(s.Label)
	}
	return found, nil
}

// levelOf is a vertebra's level from 0, or -1.
func levelOf(vertebra string) int {
	for level := range volume.Levels {
		if vertebra == volume.LevelName(level) {
			return level
		}
	}
	return -1
}

// LabelOf is a label as a table has it, nil where nobody gave one.
func LabelOf(l *int) int8 {
	if l == nil {
		return Unknown
	}
	return int8(*l)
}

// Edge is the length of the crops' sides in pixels, as they are stored. 0 is a data set without crops.
func (d *CropDataset) Edge() int { return d.edge }

// crop returns a vertebra's crop with slices of edge by edge, from the cache or its shard.
func (d *CropDataset) crop(study, level, edge int) ([]uint8, error) {
	key := cropKey{study, level, edge}
	if kept, ok := d.cached.get(key); ok {
		return kept, nil
	}
	at := &d.studies[study]
	var crop []uint8
	if by := d.edge / edge; by == 1 {
		s, err := d.row(at.file, at.rows[level], at.UID, nil)
		if err != nil {
			return nil, err
		}
		crop = s.Tensor
	} else {
		buf := d.buffers.Get().(*shard.Buffer)
		defer d.buffers.Put(buf)
		s, err := d.row(at.file, at.rows[level], at.UID, buf)
		if err != nil {
			return nil, err
		}
		crop = make([]uint8, len(s.Tensor)/(by*by))
		resize.Blocks(s.Tensor, d.edge, by, crop)
	}
	d.cached.keep(key, crop, len(crop))
	return crop, nil
}

// Crops are the crops of some of a data set's studies.
type Crops struct {
	set    *CropDataset
	chosen []int // into the data set's studies
}

// Choose returns the crops of the studies that are selected. A study of which no vertebra was found is not there.
func (d *CropDataset) Choose(keep Selection) *Crops {
	c := &Crops{set: d}
	for i, s := range d.studies {
		if keep(s.Study) {
			c.chosen = append(c.chosen, i)
		}
	}
	return c
}

// Studies lists the studies, sorted by UID.
func (c *Crops) Studies() []shard.Study {
	list := make([]shard.Study, len(c.chosen))
	for i, k := range c.chosen {
		list[i] = c.set.studies[k].Study
	}
	return list
}

// Prior is the share of fractured among the known labels: of each vertebra's crops, and last of the patients. It is a half where no label
// is known.
func (c *Crops) Prior() [volume.Levels + 1]float64 {
	var known, fractured [volume.Levels + 1]float64
	for _, k := range c.chosen {
		s := &c.set.studies[k]
		for target, label := range append(s.labels[:], s.patient) {
			if label != Unknown {
				known[target]++
				fractured[target] += float64(label)
			}
		}
	}
	var prior [volume.Levels + 1]float64
	for target := range prior {
		prior[target] = 0.5
		if known[target] > 0 {
			prior[target] = fractured[target] / known[target]
		}
	}
	return prior
}
