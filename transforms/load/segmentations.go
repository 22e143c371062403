package load

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/shard"
)

// Dataset is a segmentation data set in a store. It may be used by many goroutines.
type Dataset struct {
	*set[shard.Segmentation]
	studies []study // sorted by UID
	cached  *cache[int, *shard.Segmentation]
}

// study says where a study's sample lies.
type study struct {
	shard.Study
	file *file[shard.Segmentation]
	row  int
}

// Open reads the manifest of the data set of that name. Shards are read later, through ctx.
func Open(ctx context.Context, store *artifacts.Store, name string, opts Options) (*Dataset, error) {
	s, err := openSet(ctx, store, name, shard.Segmentations, opts, shard.OpenSegmentations)
	if err != nil {
		return nil, err
	}
	d := &Dataset{set: s, cached: newCache[int, *shard.Segmentation](opts.CacheBytes)}
	for _, f := range s.shards {
		for row, s := range f.part.Studies {
			d.studies = append(d.studies, study{s, f, row})
		}
		if n := len(f.part.Studies); n != f.part.Samples {
			return nil, fmt.Errorf("data set %s, %s: the manifest names %d studies of %d samples", name, f.part.File, n, f.part.Samples)
		}
	}
	slices.SortFunc(d.studies, func(a, b study) int { return cmp.Compare(a.UID, b.UID) })
	return d, nil
}

// Loader reads some of a data set's studies.
type Loader struct {
	set    *Dataset
	chosen []int // into the data set's studies
}

// Choose returns a loader of the studies that are selected. Loaders of one data set share its cache.
func (d *Dataset) Choose(keep Selection) *Loader {
	l := &Loader{set: d}
	for i, s := range d.studies {
		if keep(s.Study) {
			l.chosen = append(l.chosen, i)
		}
	}
	return l
}

// Len returns the number of samples.
func (l *Loader) Len() int { return len(l.chosen) }

// Studies lists the loader's studies, sorted by UID.
func (l *Loader) Studies() []shard.Study {
	list := make([]shard.Study, len(l.chosen))
	for i, k := range l.chosen {
		list[i] = l.set.studies[k].Study
	}
	return list
}

// Order returns the order of an epoch as indices into Studies: a permutation drawn by seed and epoch.
func (l *Loader) Order(seed uint64, epoch int) []int { return shuffled(l.Len(), seed, epoch) }

// Epoch iterates over the samples in the epoch's order, from the skip-th on. A sample's slices are shared
// and must not be changed; they stay as they are for as long as they are kept. The first error ends the
// iteration; so does the end of ctx.
func (l *Loader) Epoch(ctx context.Context, seed uint64, epoch, skip int) iter.Seq2[*shard.Segmentation, error] {
	return l.read(ctx, l.Order(seed, epoch), skip, nil)
}

// Augmented iterates as Epoch does over samples that augment.Seed(seed, epoch, study) has changed, as many at a
// time as there are readers. They are the caller's own. Voxels counts what the labels were before.
func (l *Loader) Augmented(ctx context.Context, o augment.Options, seed uint64, epoch, skip int) iter.Seq2[*shard.Segmentation, error] {
	return l.read(ctx, l.Order(seed, epoch), skip, func(s *shard.Segmentation) (*shard.Segmentation, error) {
		changed := *s
		from := augment.Image{Shape: [3]int(s.Shape), SpacingMM: s.SpacingMM, Volume: s.Volume, Labels: s.Labels}
		var to augment.Image
		err := o.Apply(&to, &from, augment.Seed(seed, epoch, s.StudyUID))
		changed.Volume, changed.Labels = to.Volume, to.Labels
		return &changed, err
	})
}

// Sorted iterates over the samples once, in the order of Studies, as Epoch does.
func (l *Loader) Sorted(ctx context.Context) iter.Seq2[*shard.Segmentation, error] {
	return l.read(ctx, sorted(l.Len()), 0, nil)
}

// read iterates over samples in an order, from the skip-th on, each changed by change if there is one.
func (l *Loader) read(ctx context.Context, order []int, skip int, change func(*shard.Segmentation) (*shard.Segmentation, error)) iter.Seq2[*shard.Segmentation, error] {
	d := l.set
	where := func(i int, err error) error { return d.of(d.studies[l.chosen[i]].UID, err) }
	return ahead(ctx, d.opts, order, skip, func(i int) (*shard.Segmentation, error) {
		s, err := d.sample(l.chosen[i])
		if err != nil || change == nil {
			return s, err
		}
		if s, err = change(s); err != nil {
			return nil, where(i, err)
		}
		return s, nil
	}, where)
}

// sample returns a study's sample, from the cache or its shard.
func (d *Dataset) sample(i int) (*shard.Segmentation, error) {
	if s, ok := d.cached.get(i); ok {
		return s, nil
	}
	at := &d.studies[i]
	got, err := d.row(at.file, at.row, at.UID, nil)
	if err != nil {
		return nil, err
	}
	if got.StudyUID != at.UID || got.Fold != at.Fold {
		return nil, d.at(at.file, at.UID, fmt.Errorf("row %d holds study %s of fold %d: the manifest is of other shards", at.row, got.StudyUID, got.Fold))
	}
	d.cached.keep(i, &got, len(got.Volume)+len(got.Labels))
	return &got, nil
}
