package segment

import "github.com/cspine/cspine/internal/npy"

// LabelMap turns a mask, uint8 [7, …] of probability x 255, into one image [...] of labels: 1 … 7 for the
// most probable of C1 … C7 where its probability is above one half, 0 elsewhere. Of equally probable
// vertebrae the upper one is taken.
func LabelMap(mask *npy.Array) *npy.Array {
	labels := npy.New(npy.Uint8, mask.Shape[1:]...)
	voxels := len(labels.Data)
	best := make([]uint8, voxels)
	for i := range best {
		best[i] = 127
	}
	for level := range mask.Shape[0] {
		for i, p := range mask.Data[level*voxels:][:voxels] {
			if p > best[i] {
				best[i], labels.Data[i] = p, uint8(level+1)
			}
		}
	}
	return labels
}
