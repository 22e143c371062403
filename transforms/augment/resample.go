package augment

import "math"

// work is memory that is used again.
type work struct {
	step [3][]int64
	line []uint8
}

// one is 1 in the coordinates' fixed point. Weights have as many bits, so that three of them and a byte fill 56
// of 64 bits.
const (
	fraction = 16
	one      = 1 << fraction
)

// resample follows the map once.
func (w *work) resample(dst, src *Image, m mapping, edge bool) {
	n := src.Shape
	for d := range 3 {
		w.step[d] = w.step[d][:0]
		for _, q := range m.bend[2] {
			w.step[d] = append(w.step[d], fixed(m.matrix[d][2]*q))
		}
	}
	s := sampler{volume: src.Volume, labels: src.Labels, n: n, step: w.step}
	for d := range 3 {
		s.last[d] = int64(n[d]-1) << fraction
	}
	for i, q0 := range m.bend[0] {
		for j, q1 := range m.bend[1] {
			for d := range 3 {
				s.base[d] = fixed(m.matrix[d][0]*q0 + m.matrix[d][1]*q1 + m.shift[d])
			}
			at := (i*n[1] + j) * n[2]
			s.row(dst.Volume[at:at+n[2]], dst.Labels[at:at+n[2]], edge)
		}
	}
}

func fixed(v float64) int64 { return int64(math.Round(v * one)) }

// sampler makes one row of the result, along the slices.
type sampler struct {
	volume, labels []uint8
	n              [3]int
	last           [3]int64   // of each axis, the coordinate of the last voxel
	base           [3]int64   // where the row begins
	step           [3][]int64 // and how far each of its voxels is from there; each rises, or falls
}

func (s *sampler) row(volume, labels []uint8, edge bool) {
	// From lo to hi the row lies inside, and from first to end so far inside that every voxel has its neighbours.
	lo, hi := s.span(0, len(volume), 0)
	first, end := s.span(lo, hi, 1)
	s.outside(volume[:lo], labels[:lo], 0, edge)
	s.outside(volume[hi:], labels[hi:], hi, edge)
	for k := lo; k < first; k++ {
		volume[k], labels[k] = s.clamped(k), s.nearest(k)
	}
	for k := end; k < hi; k++ {
		volume[k], labels[k] = s.clamped(k), s.nearest(k)
	}
	if first < end {
		s.inside(volume, labels, first, end)
	}
}

// span shrinks a range of voxels to those whose coordinates are from 0 to the last less margin. Since
// coordinates rise or fall along a row, what is inside is in one piece.
func (s *sampler) span(lo, hi int, margin int64) (int, int) {
	for d := range 3 {
		step, base, last := s.step[d], s.base[d], s.last[d]-margin
		for lo < hi && (base+step[lo] < 0 || base+step[lo] > last) {
			lo++
		}
		for lo < hi && (base+step[hi-1] < 0 || base+step[hi-1] > last) {
			hi--
		}
	}
	return lo, hi
}

// outside fills what lies beyond the sample.
func (s *sampler) outside(volume, labels []uint8, from int, edge bool) {
	clear(labels)
	if !edge {
		clear(volume)
		return
	}
	for k := range volume {
		volume[k] = s.clamped(from + k)
	}
}

// inside interpolates voxels that have all their neighbours.
func (s *sampler) inside(volume, labels []uint8, first, end int) {
	const mask, half = one - 1, one / 2
	stepX, stepY, stepZ := s.step[0][first:end], s.step[1][first:end], s.step[2][first:end]
	stepY, stepZ = stepY[:len(stepX)], stepZ[:len(stepX)]
	volume, labels = volume[first:end][:len(stepX)], labels[first:end][:len(stepX)]
	x0, y0, z0 := s.base[0], s.base[1], s.base[2]
	width, plane := s.n[2], s.n[1]*s.n[2]
	for k := range stepX {
		x, y, z := x0+stepX[k], y0+stepY[k], z0+stepZ[k]
		at := int(x>>fraction)*plane + int(y>>fraction)*width + int(z>>fraction)
		fx, fy, fz := uint64(x&mask), uint64(y&mask), uint64(z&mask)
		near := s.volume[at : at+plane+width+2]
		far := near[plane:]
		gz := one - fz
		a := uint64(near[0])*gz + uint64(near[1])*fz
		b := uint64(near[width])*gz + uint64(near[width+1])*fz
		c := uint64(far[0])*gz + uint64(far[1])*fz
		e := uint64(far[width])*gz + uint64(far[width+1])*fz
		a = a*(one-fy) + b*fy
		c = c*(one-fy) + e*fy
		volume[k] = uint8((a*(one-fx) + c*fx + 1<<(3*fraction-1)) >> (3 * fraction))
		labels[k] = s.labels[int((x+half)>>fraction)*plane+int((y+half)>>fraction)*width+int((z+half)>>fraction)]
	}
}

// nearest is the label of the voxel nearest to voxel k of the row, which must lie inside.
func (s *sampler) nearest(k int) uint8 {
	at := 0
	for d := range 3 {
		at = at*s.n[d] + int((s.base[d]+s.step[d][k]+one/2)>>fraction)
	}
	return s.labels[at]
}

// clamped interpolates voxel k of the row, wherever it lies: beyond the sample, its edge goes on.
func (s *sampler) clamped(k int) uint8 {
	var at, next [3]int
	var f [3]uint64
	for d := range 3 {
		c := max(0, min(s.last[d], s.base[d]+s.step[d][k]))
		at[d], f[d] = int(c>>fraction), uint64(c&(one-1))
		next[d] = min(at[d]+1, s.n[d]-1)
	}
	line := func(x, y int) uint64 {
		row := s.volume[(x*s.n[1]+y)*s.n[2]:]
		return uint64(row[at[2]])*(one-f[2]) + uint64(row[next[2]])*f[2]
	}
	near := line(at[0], at[1])*(one-f[1]) + line(at[0], next[1])*f[1]
	far := line(next[0], at[1])*(one-f[1]) + line(next[0], next[1])*f[1]
	return uint8((near*(one-f[0]) + far*f[0] + 1<<(3*fraction-1)) >> (3 * fraction))
}
