package train

import (
	"fmt"
	"sync"

	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
)

// volumes is the memory of a batch of volumes, filled again and again.
type volumes struct {
	channels, terms int
	shape           [3]int
	voxels          int

	in, target, mixed []float32
}

// newVolumes makes room for n volumes, and as many terms of the loss.
func newVolumes(n, channels int, shape [3]int, terms int) volumes {
	b := volumes{channels: channels, shape: shape, voxels: shape[0] * shape[1] * shape[2], terms: terms}
	b.in = make([]float32, n*channels*b.voxels)
	b.target = make([]float32, n*Levels*b.voxels)
	return b
}

// fill makes the batch of samples: inputs [N, C, rows, columns, slices], grey values divided by 255, equal in all channels; targets
// [N, 7, rows, columns, slices], 1 where the label is the level's. A mixed batch has each input mixed with another, and
// the other's target as its second. Samples that are a whole number of times too large are replaced by smaller ones.
func (b *volumes) fill(samples []Sample, m Mixing) (models.Batch, error) {
	for i, s := range samples {
		if s.Shape != b.shape {
			if small, ok := s.shrink(b.shape); ok {
				samples[i], s = small, small
			}
		}
		if s.Shape != b.shape || len(s.Volume) != b.voxels || len(s.Labels) != b.voxels {
			return models.Batch{}, &models.Error{Code: CodeSamples, Detail: fmt.Sprintf("study %s is %v with %d and %d voxels, the model takes %v", s.Study, s.Shape,
				len(s.Volume), len(s.Labels), b.shape), Remedy: "train a model whose volume is as large, or a whole number of times smaller"}
		}
	}
	if m.Order != nil && b.mixed == nil {
		b.mixed = make([]float32, len(b.target))
	}
	var all sync.WaitGroup
	for i, s := range samples {
		in := b.in[i*b.channels*b.voxels:][:b.channels*b.voxels]
		target := b.target[i*Levels*b.voxels:][:Levels*b.voxels]
		all.Go(func() { oneHot(target, s.Labels) })
		if m.Order == nil {
			all.Go(func() { b.input(in, s.Volume, s.Volume, 1) })
			continue
		}
		other := samples[m.Order[i]]
		mixed := b.mixed[i*Levels*b.voxels:][:Levels*b.voxels]
		all.Go(func() { oneHot(mixed, other.Labels) })
		all.Go(func() { b.input(in, s.Volume, other.Volume, m.Lambda) })
	}
	all.Wait()
	batch := models.Batch{Inputs: [][]float32{b.in}, Targets: repeat(b.target, b.terms)}
	if m.Order != nil {
		batch.Mixed, batch.Lambda = repeat(b.mixed, b.terms), m.Lambda
	}
	return batch, nil
}

// input writes (lambda·a + (1 − lambda)·b)/255 to every channel.
func (b *volumes) input(dst []float32, x, y []uint8, lambda float32) {
	first := dst[:b.voxels]
	if lambda == 1 {
		for i, v := range x {
			first[i] = volume.Shares[v]
		}
	} else {
		for i, v := range x {
			first[i] = lambda*volume.Shares[v] + (1-lambda)*volume.Shares[y[i]]
		}
	}
	for c := 1; c < b.channels; c++ {
		copy(dst[c*b.voxels:], first)
	}
}

// oneHot writes a channel for each level.
func oneHot(dst []float32, labels []uint8) {
	clear(dst)
	for i, l := range labels {
		if l >= 1 && l <= Levels {
			dst[(int(l)-1)*len(labels)+i] = 1
		}
	}
}

func repeat(v []float32, n int) [][]float32 {
	out := make([][]float32, n)
	for i := range out {
		out[i] = v
	}
	return out
}
