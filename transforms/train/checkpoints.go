package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/checkpoint"
)

const (
	// averagePrefix stands before the names of averaged weights in a checkpoint's file.
	averagePrefix = "cspine.average/"
	// progressKey is the file's metadata that has Progress as JSON, recipeKey the digest of the training's recipe.
	progressKey = "cspine.progress"
	recipeKey   = "cspine.recipe"
)

// Encode returns the checkpoint as a file, with the digest of its training's recipe. shapes are the weights' dimensions, by name.
func (c *Checkpoint) Encode(recipe string, shapes map[string][]int) ([]byte, error) {
	progress, err := json.Marshal(c.Progress)
	if err != nil {
		return nil, fmt.Errorf("train: checkpoint: %w", err)
	}
	file := checkpoint.Checkpoint{State: c.State, Shapes: map[string][]int{},
		Metadata: map[string]string{progressKey: string(progress), recipeKey: recipe}}
	for name, dims := range shapes {
		if _, ok := c.State.Weights[name]; ok {
			file.Shapes[name] = dims
		}
	}
	if c.Average != nil {
		all := make(map[string][]float32, 2*len(c.State.Weights))
		for name, w := range c.State.Weights {
			all[name] = w
		}
		for name, w := range c.Average {
			if _, taken := all[averagePrefix+name]; taken {
				return nil, fmt.Errorf("train: checkpoint: a weight is named %q", averagePrefix+name)
			}
			all[averagePrefix+name] = w
			if dims, ok := shapes[name]; ok {
				file.Shapes[averagePrefix+name] = dims
			}
		}
		file.State.Weights = all
	}
	return file.Encode()
}

// Decode reads what Encode wrote. It refuses a checkpoint of another recipe.
func Decode(file []byte, recipe string) (*Checkpoint, error) {
	f, err := checkpoint.Decode(file)
	if err != nil {
		return nil, err
	}
	if f.Metadata[recipeKey] != recipe {
		return nil, &models.Error{Code: CodeResume, Detail: fmt.Sprintf("the checkpoint is of training %.12s, not %.12s", f.Metadata[recipeKey], recipe)}
	}
	c := &Checkpoint{State: f.State}
	if err := json.Unmarshal([]byte(f.Metadata[progressKey]), &c.Progress); err != nil {
		return nil, fmt.Errorf("train: checkpoint: its progress: %w", err)
	}
	weights := map[string][]float32{}
	for name, w := range f.State.Weights {
		if plain, ok := strings.CutPrefix(name, averagePrefix); ok {
			if c.Average == nil {
				c.Average = map[string][]float32{}
			}
			c.Average[plain] = w
			continue
		}
		weights[name] = w
	}
	c.State.Weights = weights
	return c, nil
}

// Pointer says which checkpoints a training has. It is one file, replaced at once, so that the two always belong together.
type Pointer struct {
	// Last and Best are digests of artifacts; Best is empty before there is one, and may equal Last.
	Last string `json:"last"`
	Best string `json:"best,omitempty"`
	// Epoch, Step and Updates say where Last is.
	Epoch   int   `json:"epoch"`
	Step    int   `json:"step"`
	Updates int64 `json:"updates"`
}

// PointerKey is where a store keeps a training's pointer.
func PointerKey(recipe artifacts.Digest) string {
	return "trainings/" + recipe.String() + "/checkpoints.json"
}

// keeper keeps a training's checkpoints as artifacts. Only the last and the best stay.
type keeper struct {
	store   *artifacts.Store
	recipe  artifacts.Digest
	shapes  map[string][]int
	pointer Pointer
}

// load returns the last checkpoint and the best, both nil where there is none. If the last is damaged, the best takes its place: a training
// then repeats what came after it.
func (k *keeper) load(ctx context.Context) (last, best *Checkpoint, err error) {
	text, err := k.store.GetNamed(ctx, PointerKey(k.recipe))
	if errors.Is(err, artifacts.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if text, err = artifacts.UnsealJSON(text); err == nil {
		err = json.Unmarshal(text, &k.pointer)
	}
	if err != nil {
		slog.Warn("train: the pointer to the checkpoints is damaged; training starts anew", "key", PointerKey(k.recipe), "error", err)
		k.pointer = Pointer{}
		return nil, nil, nil
	}
	if k.pointer.Best != "" {
		if best, err = k.read(ctx, k.pointer.Best); err != nil {
			return nil, nil, err
		}
	}
	if k.pointer.Last == k.pointer.Best {
		return best, best, nil
	}
	if last, err = k.read(ctx, k.pointer.Last); err != nil {
		return nil, nil, err
	}
	switch {
	case last == nil:
		return best, best, nil
	case last.Progress.BestEpoch > 0 && best == nil:
		return nil, nil, nil // what was best is lost: the result would be another
	}
	return last, best, nil
}

// read returns a checkpoint, or nil if it is gone or damaged.
func (k *keeper) read(ctx context.Context, digest string) (*Checkpoint, error) {
	d, err := artifacts.ParseDigest(digest)
	if err == nil {
		var file []byte
		file, err = k.store.Get(ctx, d)
		if err != nil && !errors.Is(err, artifacts.ErrNotFound) && !errors.Is(err, artifacts.ErrCorrupt) {
			return nil, err
		}
		if err == nil {
			var c *Checkpoint
			if c, err = Decode(file, k.recipe.String()); err == nil {
				return c, nil
			}
		}
	}
	slog.Warn("train: a checkpoint is damaged or gone", "digest", digest, "error", err)
	return nil, nil
}

// save stores a checkpoint, then the pointer to it, and then removes what no pointer names any more.
func (k *keeper) save(ctx context.Context, c *Checkpoint, best bool) error {
	file, err := c.Encode(k.recipe.String(), k.shapes)
	if err != nil {
		return err
	}
	out, err := k.store.Put(ctx, artifacts.Content{Data: file, Encoding: artifacts.Identity})
	if err != nil {
		return err
	}
	before := k.pointer
	p := Pointer{Last: out.Digest.String(), Best: before.Best, Epoch: c.Progress.Epoch, Step: c.Progress.Step, Updates: c.Progress.Updates}
	if best {
		p.Best = p.Last
	}
	text, err := artifacts.SealJSON(p)
	if err != nil {
		return err
	}
	if err := k.store.PutNamed(ctx, PointerKey(k.recipe), text); err != nil {
		return err
	}
	k.pointer = p
	for _, old := range []string{before.Last, before.Best} {
		if old == "" || old == p.Last || old == p.Best {
			continue
		}
		if d, err := artifacts.ParseDigest(old); err == nil {
			if err := k.store.Remove(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}
