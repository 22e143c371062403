// Package load reads the samples of a data set for training: volumes for segmenters (Dataset), vertebrae or patients for classifiers
// (CropDataset). They come shuffled, decoded ahead, again and again.
//
// Invariants:
//   - The order of an epoch must depend on the seed, the epoch and the studies chosen, and on nothing else:
//     not on how many goroutines read, how the data set is cut into shards, or what is cached.
//   - An epoch can be begun anywhere in its middle, and goes on from there as it would have.
//   - Memory is bounded: Options.Ahead samples besides the cache and what the caller keeps.
//   - Shards are found by their digests, so that a data set that is published anew under the same name
//     does not change under a training that runs.
//   - Every error names the shard and the study.
//   - A vertebra that was not found is missing, and a label that nobody gave is Unknown; neither is made up.
package load

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/shard"
)

// Options of Open and OpenCrops. None of them changes what is read, or its order.
type Options struct {
	// Readers is how many goroutines fetch and decode; 0 means one per CPU.
	Readers int
	// Ahead is how many samples are made ready before they are asked for; 0 means two for each reader.
	Ahead int
	// CacheBytes is how many bytes of decoded samples are kept for later epochs: a volume of 128³ voxels takes
	// 4 MiB with its labels, a vertebra's crop 4.3 MiB, or 1.1 where its slices are made half as large. 0 keeps none.
	CacheBytes int64
}

func (o *Options) fill() {
	o.Readers = cmp.Or(max(o.Readers, 0), runtime.GOMAXPROCS(0))
	o.Ahead = cmp.Or(max(o.Ahead, 0), 2*o.Readers)
}

// Selection chooses studies.
type Selection func(shard.Study) bool

// All takes every study.
func All() Selection { return func(shard.Study) bool { return true } }

// Only takes the studies of fold k: what a model of that fold is judged by.
func Only(k int) Selection { return func(s shard.Study) bool { return s.Fold == k } }

// AllBut leaves out the studies of fold k: what a model of that fold learns from.
func AllBut(k int) Selection { return func(s shard.Study) bool { return s.Fold != k } }

// set is what data sets have in common, whatever their rows are.
type set[S any] struct {
	name     string
	manifest *shard.Manifest
	opts     Options
	shards   []*file[S]
}

// Manifest returns the data set's index, which must not be changed. The digests of its shards say all there
// is to know of its content.
func (s *set[S]) Manifest() *shard.Manifest { return s.manifest }

// file is a shard, opened when it is first read.
type file[S any] struct {
	part   shard.Part
	source func() (*shard.Reader[S], error)
}

// Manifest reads the index of the data set of that name, which must be for a task: shard.Crops or shard.Segmentations.
func Manifest(ctx context.Context, store *artifacts.Store, name, task string) (*shard.Manifest, error) {
	makes := "cspine prepare --task " + task
	text, err := store.GetNamed(ctx, shard.Dir(name)+"/"+shard.ManifestFile)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w; '%s --run %s' makes it", name, err, makes, name)
	}
	m, err := shard.ReadManifest(text)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	if m.Task != task {
		return nil, fmt.Errorf("data set %s is for %s, not for %s; '%s' makes one that is", name, m.Task, task, makes)
	}
	return m, nil
}

// openSet reads a data set's manifest. Shards are opened later, through ctx.
func openSet[S any](ctx context.Context, store *artifacts.Store, name, task string, opts Options,
	open func(io.ReaderAt, int64) (*shard.Reader[S], error)) (*set[S], error) {
	m, err := Manifest(ctx, store, name, task)
	if err != nil {
		return nil, err
	}
	opts.fill()
	s := &set[S]{name: name, manifest: m, opts: opts}
	for _, p := range m.Shards {
		digest, err := artifacts.ParseDigest(p.SHA256)
		if err != nil {
			return nil, fmt.Errorf("data set %s, %s: %w", name, p.File, err)
		}
		s.shards = append(s.shards, &file[S]{part: p, source: sync.OnceValues(func() (*shard.Reader[S], error) {
			at, size, err := store.ReaderAt(ctx, digest)
			if err != nil {
				return nil, err
			}
			return open(newBlocks(at, size), size)
		})})
	}
	return s, nil
}

// row reads a shard's row into buf, or with a nil buf into memory of its own.
func (s *set[S]) row(f *file[S], row int, uid string, buf *shard.Buffer) (S, error) {
	r, err := f.source()
	if err != nil {
		return *new(S), s.at(f, uid, err)
	}
	got, err := r.Read(row, buf)
	if err != nil {
		return *new(S), s.at(f, uid, err)
	}
	return got, nil
}

// at says in which shard and study an error is.
func (s *set[S]) at(f *file[S], uid string, err error) error {
	return fmt.Errorf("data set %s, %s, study %s: %w", s.name, f.part.File, uid, err)
}

// of is at where the shard is not known, or does not matter.
func (s *set[S]) of(uid string, err error) error {
	return fmt.Errorf("data set %s, study %s: %w", s.name, uid, err)
}

// shuffled is the order of an epoch of n samples.
func shuffled(n int, seed uint64, epoch int) []int {
	r := rand.New(rand.NewPCG(seed, uint64(epoch)^0x6f72646572)) // "order"
	return r.Perm(n)
}

// sorted is 0 to n-1.
func sorted(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}
