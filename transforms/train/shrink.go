package train

// shrink returns a sample for a network whose volume is a whole number of times smaller along each axis: what a quick training,
// or the first part of a long one, learns from. Each voxel becomes the mean grey value of its block, rounded half up, and the
// label that most of the block's labelled voxels have, the lower one of equals, if at least half of the block is labelled. ok is false where the
// shapes do not divide, or the sample is not whole.
func (s Sample) shrink(to [3]int) (small Sample, ok bool) {
	if n := s.Shape[0] * s.Shape[1] * s.Shape[2]; len(s.Volume) != n || len(s.Labels) != n {
		return s, false
	}
	var f [3]int
	for i, n := range to {
		if n < 1 || s.Shape[i]%n != 0 {
			return s, false
		}
		f[i] = s.Shape[i] / n
	}
	small = Sample{Study: s.Study, Shape: to, Volume: make([]uint8, to[0]*to[1]*to[2]), Labels: make([]uint8, to[0]*to[1]*to[2])}
	block := f[0] * f[1] * f[2]
	out := 0
	for r := range to[0] {
		for c := range to[1] {
			for z := range to[2] {
				sum := block / 2
				var votes [1 + Levels]int
				for i := range block {
					from := ((r*f[0]+i/(f[1]*f[2]))*s.Shape[1]+c*f[1]+i/f[2]%f[1])*s.Shape[2] + z*f[2] + i%f[2]
					sum += int(s.Volume[from])
					votes[min(s.Labels[from], Levels)]++
				}
				small.Volume[out] = uint8(sum / block)
				if 2*votes[0] <= block {
					small.Labels[out] = most(votes)
				}
				out++
			}
		}
	}
	return small, true
}

// most returns the level with the most votes.
func most(votes [1 + Levels]int) uint8 {
	best := 1
	for l := 2; l <= Levels; l++ {
		if votes[l] > votes[best] {
			best = l
		}
	}
	return uint8(best)
}
