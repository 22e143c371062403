package crop

// island is a set of voxels that hang together, by faces, edges or corners.
type island struct {
	voxels      int
	first, last [3]int
}

// islands finds the islands of the voxels within b that are at least least.
func (b *Box) islands(mask []uint8, least int) []island {
	from := [3]int{b.Row[0], b.Column[0], b.Slice[0]}
	size := [3]int{b.Row[1] - from[0], b.Column[1] - from[1], b.Slice[1] - from[2]}
	// A rim of one voxel, never land, spares the flood its bounds.
	stride := [3]int{(size[1] + 2) * (size[2] + 2), size[2] + 2, 1}
	land := make([]bool, (size[0]+2)*stride[0])
	for r := range size[0] {
		for c := range size[1] {
			line := mask[((from[0]+r)*Grid+from[1]+c)*Grid+from[2]:][:size[2]]
			to := land[(r+1)*stride[0]+(c+1)*stride[1]+1:]
			for k, v := range line {
				to[k] = int(v) >= least
			}
		}
	}
	var around []int
	for r := -1; r <= 1; r++ {
		for c := -1; c <= 1; c++ {
			for s := -1; s <= 1; s++ {
				around = append(around, r*stride[0]+c*stride[1]+s)
			}
		}
	}
	var all []island
	var shore []int
	for start, is := range land {
		if !is {
			continue
		}
		one := island{first: [3]int{Grid, Grid, Grid}, last: [3]int{-1, -1, -1}}
		land[start] = false
		for shore = append(shore, start); len(shore) > 0; {
			at := shore[len(shore)-1]
			shore = shore[:len(shore)-1]
			one.voxels++
			for axis, x := range [3]int{at / stride[0], at / stride[1] % (size[1] + 2), at % stride[1]} {
				x += from[axis] - 1
				one.first[axis], one.last[axis] = min(one.first[axis], x), max(one.last[axis], x)
			}
			for _, d := range around {
				if land[at+d] {
					land[at+d] = false
					shore = append(shore, at+d)
				}
			}
		}
		all = append(all, one)
	}
	return all
}

// ashore shrinks b, which encloses all voxels of at least least, to the islands that have at least share of the largest's
// voxels.
func (b *Box) ashore(mask []uint8, least int, share float64) {
	all := b.islands(mask, least)
	largest := 0
	for _, i := range all {
		largest = max(largest, i.voxels)
	}
	first, last := [3]int{Grid, Grid, Grid}, [3]int{}
	for _, i := range all {
		if float64(i.voxels) < min(share, 1)*float64(largest) {
			continue
		}
		for axis := range first {
			first[axis], last[axis] = min(first[axis], i.first[axis]), max(last[axis], i.last[axis])
		}
	}
	b.margin(first, last)
}
