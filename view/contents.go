package view

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/shard"
)

// setKey names a data set as it was published once.
type setKey struct{ name, digest string }

// contents is what the shards of a data set say of its samples, without their tensors.
type contents struct {
	Studies []sampled // sorted by UID
	Problem string    // why they could not be read
}

// sampled is a study in a data set.
type sampled struct {
	UID   string
	Folds []int // one, if all is well
	// Crops are the digests of its crops; of crops only.
	Crops []string
	// Volume is the digest of its volume; of segmentations only, as are Voxels, by label, and SpacingMM.
	Volume    string
	Voxels    [1 + volume.Levels]int
	SpacingMM [3]float64
}

// measureContents reads the small columns of a data set's shards.
func (s *Server) measureContents(ctx context.Context, key setKey) (contents, error) {
	m, digest, err := readDataset(ctx, s.store, key.name)
	if err != nil {
		return contents{}, err
	}
	if digest != key.digest {
		return contents{}, fmt.Errorf("data set %s was published anew", key.name)
	}
	found := map[string]*sampled{}
	of := func(uid string, fold int) *sampled {
		if found[uid] == nil {
			found[uid] = &sampled{UID: uid}
		}
		if !slices.Contains(found[uid].Folds, fold) {
			found[uid].Folds = append(found[uid].Folds, fold)
		}
		return found[uid]
	}
	for _, part := range m.Shards {
		if m.Task == shard.Crops {
			err = eachSample(ctx, s.store, part, shard.Open, func(row shard.Sample) {
				at := of(row.StudyUID, row.Fold)
				at.Crops = append(at.Crops, row.CropDigest)
			})
		} else {
			err = eachSample(ctx, s.store, part, shard.OpenSegmentations, func(row shard.Segmentation) {
				at := of(row.StudyUID, row.Fold)
				at.Volume, at.Voxels, at.SpacingMM = row.VolumeDigest, row.Voxels, row.SpacingMM
			})
		}
		if err != nil && ctx.Err() == nil {
			return contents{Problem: fmt.Sprintf("%s: %v", part.File, err)}, nil // which is known, too
		}
		if err != nil {
			return contents{}, err
		}
	}
	var c contents
	for _, uid := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[uid].Folds)
		c.Studies = append(c.Studies, *found[uid])
	}
	return c, nil
}

// eachSample calls each with the rows of a shard, without their tensors.
func eachSample[S any](ctx context.Context, store *artifacts.Store, part shard.Part, open func(io.ReaderAt, int64) (*shard.Reader[S], error), each func(S)) error {
	digest, err := artifacts.ParseDigest(part.SHA256)
	if err != nil {
		return err
	}
	at, size, err := store.ReaderAt(ctx, digest)
	if err != nil {
		return err
	}
	r, err := open(&near{source: at, size: size}, size)
	if err != nil {
		return err
	}
	for i := range r.Rows() {
		row, err := r.Info(i)
		if err != nil {
			return err
		}
		each(row)
	}
	return nil
}

// near reads what lies close together in one request.
type near struct {
	source io.ReaderAt
	size   int64

	mu   sync.Mutex
	at   int64
	kept []byte
}

const nearBytes = 32 << 10

// ReadAt reads ahead where little is wanted.
func (n *near) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) >= nearBytes || offset < 0 || offset+int64(len(p)) > n.size {
		return n.source.ReadAt(p, offset)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if offset < n.at || offset+int64(len(p)) > n.at+int64(len(n.kept)) {
		block := make([]byte, min(nearBytes, n.size-offset))
		if k, err := n.source.ReadAt(block, offset); k < len(block) {
			return 0, cmp.Or(err, io.ErrUnexpectedEOF)
		}
		n.at, n.kept = offset, block
	}
	return copy(p, n.kept[offset-n.at:]), nil
}
