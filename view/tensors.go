package view

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/segment"
)

// tensors reads volumes, masks and crops, and remembers the last ones: whoever looks at a study looks at many of its slices. Masks are kept as
// label maps, which are a seventh of them. What it returns is shared.
type tensors struct {
	store *artifacts.Store

	mu     sync.Mutex
	byKey  map[string]*list.Element
	recent list.List // of *held, the last used in front
	bytes  int
}

// tensorBytes bounds what is remembered.
const tensorBytes = 256 << 20

type held struct {
	key   string
	once  sync.Once
	array *npy.Array
	err   error
}

// get returns what read makes, once for all who ask.
func (t *tensors) get(key string, read func() (*npy.Array, error)) (*npy.Array, error) {
	t.mu.Lock()
	if t.byKey == nil {
		t.byKey = map[string]*list.Element{}
	}
	at, ok := t.byKey[key]
	if ok {
		t.recent.MoveToFront(at)
	} else {
		at = t.recent.PushFront(&held{key: key})
		t.byKey[key] = at
	}
	h := at.Value.(*held)
	t.mu.Unlock()
	h.once.Do(func() {
		h.array, h.err = read()
		t.mu.Lock()
		defer t.mu.Unlock()
		if h.err != nil {
			t.forget(at)
			return
		}
		t.bytes += len(h.array.Data)
		for last := t.recent.Back(); t.bytes > tensorBytes && last != t.recent.Front(); last = t.recent.Back() {
			t.forget(last)
		}
	})
	return h.array, h.err
}

func (t *tensors) forget(at *list.Element) {
	h := at.Value.(*held)
	if t.byKey[h.key] != at {
		return
	}
	delete(t.byKey, h.key)
	t.recent.Remove(at)
	if h.array != nil {
		t.bytes -= len(h.array.Data)
	}
}

// array reads an artifact that is an array of bytes with that many axes.
func (t *tensors) array(ctx context.Context, digest, what string, axes int) (*npy.Array, error) {
	ctx = context.WithoutCancel(ctx) // others may wait for it
	return t.get(digest, func() (*npy.Array, error) { return t.read(ctx, digest, what, axes) })
}

func (t *tensors) read(ctx context.Context, digest, what string, axes int) (*npy.Array, error) {
	data, err := content(ctx, t.store, digest)
	if err != nil {
		return nil, err
	}
	a, err := npy.Decode(data)
	if err != nil || a.DType != npy.Uint8 || len(a.Shape) != axes || len(a.Data) == 0 {
		return nil, wrong(fmt.Sprintf("this artifact is no %s", what), "'cspine inspect --store' says what it is")
	}
	return a, nil
}

// volume reads a volume: [rows, columns, slices].
func (t *tensors) volume(ctx context.Context, digest string) (*npy.Array, error) {
	return t.array(ctx, digest, "volume", 3)
}

// labels reads a mask, or a label map, as a label map: [rows, columns, slices], 0 or 1 to 7.
func (t *tensors) labels(ctx context.Context, digest string) (*npy.Array, error) {
	ctx = context.WithoutCancel(ctx)
	return t.get("labels "+digest, func() (*npy.Array, error) {
		data, err := content(ctx, t.store, digest)
		if err != nil {
			return nil, err
		}
		a, err := npy.Decode(data)
		switch {
		case err == nil && a.DType == npy.Uint8 && len(a.Shape) == 3 && len(a.Data) > 0:
			return a, nil
		case err == nil && a.DType == npy.Uint8 && len(a.Shape) == 4 && a.Shape[0] == volume.Levels && len(a.Data) > 0:
			return segment.LabelMap(a), nil
		}
		return nil, wrong("this artifact is no mask", "'cspine inspect --store' says what it is")
	})
}

// crop reads a vertebra's crop: [places, channels, rows, columns].
func (t *tensors) crop(ctx context.Context, digest string) (*npy.Array, error) {
	a, err := t.array(ctx, digest, "crop", 4)
	if err == nil && a.Shape[1] != crop.Channels {
		return nil, wrong("this artifact is no crop", "'cspine inspect --store' says what it is")
	}
	return a, err
}
