// Package load reads the samples of a segmentation data set for training: shuffled, decoded ahead, again and
// again.
//
// Invariants:
//   - The order of an epoch must depend on the seed, the epoch and the studies chosen, and on nothing else:
//     not on how many goroutines read, how the data set is cut into shards, or what is cached.
//   - An epoch can be begun anywhere in its middle, and goes on from there as it would have.
//   - Memory is bounded: Options.Ahead samples besides the cache and what the caller keeps.
//   - Shards are found by their digests, so that a data set that is published anew under the same name
//     does not change under a training that runs.
//   - Every error names the shard and the study.
package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/shard"
)

// Options of Open. None of them changes what is read, or its order.
type Options struct {
	// Readers is how many goroutines fetch and decode; 0 means one per CPU.
	Readers int
	// Ahead is how many samples are made ready before they are asked for; 0 means two for each reader.
	Ahead int
	// CacheBytes is how many bytes of decoded samples are kept for later epochs: a sample of 128³ voxels takes
	// 4 MiB. 0 keeps none.
	CacheBytes int64
}

// Dataset is a segmentation data set in a store. It may be used by many goroutines.
type Dataset struct {
	name     string
	manifest *shard.Manifest
	studies  []study // sorted by UID
	shards   []*file
	opts     Options

	mu     sync.Mutex
	cached map[int]*shard.Segmentation // by index into studies
	room   int64                       // bytes left in the cache
}

// study says where a study's sample lies.
type study struct {
	shard.Study
	file *file
	row  int
}

// file is a shard, opened when it is first read.
type file struct {
	part   shard.Part
	source func() (*shard.Reader[shard.Segmentation], error)
}

// Open reads the manifest of the data set of that name. Shards are read later, through ctx.
func Open(ctx context.Context, store *artifacts.Store, name string, opts Options) (*Dataset, error) {
	text, err := store.GetNamed(ctx, shard.Dir(name)+"/"+shard.ManifestFile)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w; 'cspine prepare --task segmentation --run %s' makes it", name, err, name)
	}
	m, err := shard.ReadManifest(text)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	if m.Task != shard.Segmentations {
		return nil, fmt.Errorf("data set %s is for %s; 'cspine prepare --task segmentation' makes one that segmenters are trained on", name, m.Task)
	}
	opts.Readers = cmp.Or(max(opts.Readers, 0), runtime.GOMAXPROCS(0))
	opts.Ahead = cmp.Or(max(opts.Ahead, 0), 2*opts.Readers)
	d := &Dataset{name: name, manifest: m, opts: opts, cached: map[int]*shard.Segmentation{}, room: opts.CacheBytes}
	for _, p := range m.Shards {
		digest, err := artifacts.ParseDigest(p.SHA256)
		if err != nil {
			return nil, fmt.Errorf("data set %s, %s: %w", name, p.File, err)
		}
		f := &file{part: p, source: sync.OnceValues(func() (*shard.Reader[shard.Segmentation], error) {
			at, size, err := store.ReaderAt(ctx, digest)
			if err != nil {
				return nil, err
			}
			return shard.OpenSegmentations(newBlocks(at, size), size)
		})}
		for row, s := range p.Studies {
			d.studies = append(d.studies, study{s, f, row})
		}
		if len(p.Studies) != p.Samples {
			return nil, fmt.Errorf("data set %s, %s: the manifest names %d studies of %d samples", name, p.File, len(p.Studies), p.Samples)
		}
		d.shards = append(d.shards, f)
	}
	slices.SortFunc(d.studies, func(a, b study) int { return cmp.Compare(a.UID, b.UID) })
	return d, nil
}

// Manifest returns the data set's index, which must not be changed. The digests of its shards say all there
// is to know of its content.
func (d *Dataset) Manifest() *shard.Manifest { return d.manifest }

// Selection chooses studies.
type Selection func(shard.Study) bool

// All takes every study.
func All() Selection { return func(shard.Study) bool { return true } }

// Only takes the studies of fold k: what a model of that fold is judged by.
func Only(k int) Selection { return func(s shard.Study) bool { return s.Fold == k } }

// AllBut leaves out the studies of fold k: what a model of that fold learns from.
func AllBut(k int) Selection { return func(s shard.Study) bool { return s.Fold != k } }

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
func (l *Loader) Order(seed uint64, epoch int) []int {
	r := rand.New(rand.NewPCG(seed, uint64(epoch)^0x6f72646572)) // "order"
	return r.Perm(len(l.chosen))
}

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
	order := make([]int, len(l.chosen))
	for i := range order {
		order[i] = i
	}
	return l.read(ctx, order, 0, nil)
}

// reading is a sample on its way.
type reading struct {
	index  int // into the data set's studies
	done   chan struct{}
	sample *shard.Segmentation
	err    error
}

// read iterates over samples in an order, from the skip-th on, each changed by change if there is one.
func (l *Loader) read(ctx context.Context, order []int, skip int, change func(*shard.Segmentation) (*shard.Segmentation, error)) iter.Seq2[*shard.Segmentation, error] {
	return func(yield func(*shard.Segmentation, error) bool) {
		if skip < 0 || skip > len(order) {
			yield(nil, fmt.Errorf("load: begin at sample %d of %d", skip, len(order)))
			return
		}
		rest := order[skip:]
		readers := min(l.set.opts.Readers, len(rest))
		var running sync.WaitGroup
		defer running.Wait()
		jobs := make(chan *reading, l.set.opts.Ahead)
		defer close(jobs)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for range readers {
			running.Go(func() {
				for r := range jobs {
					r.sample, r.err = l.set.get(ctx, r.index, change)
					close(r.done)
				}
			})
		}
		var queue []*reading
		for len(rest) > 0 || len(queue) > 0 {
			for len(rest) > 0 && len(queue) < l.set.opts.Ahead {
				r := &reading{index: l.chosen[rest[0]], done: make(chan struct{})}
				rest = rest[1:]
				queue = append(queue, r)
				jobs <- r
			}
			r := queue[0]
			queue[0], queue = nil, queue[1:]
			select {
			case <-r.done:
			case <-ctx.Done():
				yield(nil, context.Cause(ctx))
				return
			}
			if !yield(r.sample, r.err) || r.err != nil {
				return
			}
		}
	}
}

// get returns a study's sample, changed by change if there is one.
func (d *Dataset) get(ctx context.Context, i int, change func(*shard.Segmentation) (*shard.Segmentation, error)) (s *shard.Segmentation, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("data set %s, study %s: %w", d.name, d.studies[i].UID, refusal.Recovered(p))
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err = d.sample(i)
	if err != nil || change == nil {
		return s, err
	}
	if s, err = change(s); err != nil {
		return nil, fmt.Errorf("data set %s, study %s: %w", d.name, d.studies[i].UID, err)
	}
	return s, nil
}

// sample returns a study's sample, from the cache or its shard.
func (d *Dataset) sample(i int) (*shard.Segmentation, error) {
	d.mu.Lock()
	s := d.cached[i]
	d.mu.Unlock()
	if s != nil {
		return s, nil
	}
	at := &d.studies[i]
	where := func(err error) error {
		return fmt.Errorf("data set %s, %s, study %s: %w", d.name, at.file.part.File, at.UID, err)
	}
	r, err := at.file.source()
	if err != nil {
		return nil, where(err)
	}
	got, err := r.Read(at.row, nil)
	if err != nil {
		return nil, where(err)
	}
	if got.StudyUID != at.UID || got.Fold != at.Fold {
		return nil, where(fmt.Errorf("row %d holds study %s of fold %d: the manifest is of other shards", at.row, got.StudyUID, got.Fold))
	}
	d.keep(i, &got)
	return &got, nil
}

// keep caches a sample where there is room. Nothing is ever thrown out: every epoch reads everything once, so
// that whatever was read last is what is needed last.
func (d *Dataset) keep(i int, s *shard.Segmentation) {
	size := int64(len(s.Volume) + len(s.Labels))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cached[i] == nil && size <= d.room {
		d.cached[i] = s
		d.room -= size
	}
}

// blocks reads a shard's small columns, which lie close together, in few requests.
type blocks struct {
	source io.ReaderAt
	size   int64

	mu   sync.Mutex
	kept map[int64][]byte
	used []int64 // keys of kept, the oldest first
}

const (
	blockSize  = 8 << 10
	blocksKept = 64
)

func newBlocks(source io.ReaderAt, size int64) *blocks {
	return &blocks{source: source, size: size, kept: map[int64][]byte{}}
}

// ReadAt passes on what is large, and reads what is small through the blocks it lies in.
func (b *blocks) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) >= blockSize || offset < 0 {
		return b.source.ReadAt(p, offset)
	}
	n := 0
	for n < len(p) {
		at := offset + int64(n)
		if at >= b.size {
			return n, io.EOF
		}
		block, err := b.block(at / blockSize)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], block[min(int64(len(block)), at%blockSize):])
		if k == 0 {
			return n, io.ErrUnexpectedEOF
		}
		n += k
	}
	return n, nil
}

func (b *blocks) block(number int64) ([]byte, error) {
	b.mu.Lock()
	block, ok := b.kept[number]
	b.mu.Unlock()
	if ok {
		return block, nil
	}
	block = make([]byte, min(blockSize, b.size-number*blockSize))
	if n, err := b.source.ReadAt(block, number*blockSize); n < len(block) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.kept[number]; !ok {
		if len(b.used) == blocksKept {
			delete(b.kept, b.used[0])
			b.used = b.used[1:]
		}
		b.kept[number] = block
		b.used = append(b.used, number)
	}
	return block, nil
}
