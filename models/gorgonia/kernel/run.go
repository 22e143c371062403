package kernel

import "unsafe"

// run computes the pass. start has a value for each row of all groups, or is nil for zeros.
func (p *pass) run(w *Workers, out, in, weight, start []float32) {
	nz, ny := ceilDiv(p.grid[0], p.tile[0]), ceilDiv(p.grid[1], p.tile[1])
	tiles := p.batch * p.group * nz * ny
	// Where there are few tiles, rows are shared out as well: it changes no sum.
	share := p.rows
	for tiles*ceilDiv(p.rows, share) < 4*w.n && share > 32 {
		share = roundUp(share/2, p.level.rows[0])
	}
	shares := ceilDiv(p.rows, share)
	w.Do(tiles*shares, func(worker, piece int) {
		j := job{pass: p, s: &w.own[worker], target: out, source: in, weight: weight, start: start}
		j.row0 = piece % shares * share
		j.row1 = min(p.rows, j.row0+share)
		piece /= shares
		j.y0 = piece % ny * p.tile[1]
		piece /= ny
		j.z0 = piece % nz * p.tile[0]
		piece /= nz
		j.g, j.image = piece%p.group, piece/p.group
		j.nz, j.ny = min(p.tile[0], p.grid[0]-j.z0), min(p.tile[1], p.grid[1]-j.y0)
		j.run()
	})
}

// job is one tile of a pass for some rows of a group.
type job struct {
	*pass
	s                             *scratch
	target, source, weight, start []float32
	image, g, row0, row1          int
	z0, nz, y0, ny                int
	slab, panelBuf, packed        []float32
	sums                          []float32 // by phase and row
	sumsRow                       int       // floats of a row in sums
	vectors                       int
	whole                         bool    // fill a partial tile's slab to the end, since what no product needs must be finite
	from, to                      []int32 // of each vector: floats to its position in the slab or panel, and in the output's channel from the tile's first position
}

func (j *job) run() {
	lanes := j.level.lanes
	j.listVectors()
	direct := j.outStep == [3]int{1, 1, 1} && (j.layout == byRow || j.layout == columns && j.nz*j.ny*j.grid[2]%lanes == 0)
	j.sumsRow = j.vectors * lanes
	rows := roundUp(j.row1-j.row0, 8)
	whole := rows
	if direct {
		// Only a tile with rows to spare goes through sums.
		rows = 8
	}
	j.sums = j.s.floats(outPart, rows*len(j.phases)*j.sumsRow)
	j.slab = j.s.floats(slabPart, j.block*j.channel+lanes)
	if j.layout == columns {
		j.panelBuf = j.s.floats(panelPart, max(1, j.block*j.union)*j.panel)
	}
	most := 0
	for i := range j.phases {
		most = max(most, len(j.phases[i].taps))
	}
	j.packed = j.s.floats(weightPart, whole*j.block*most+whole)
	starts := j.packed[whole*j.block*most:]
	clear(starts)
	if j.start != nil {
		copy(starts, j.start[j.g*j.rows+j.row0:j.g*j.rows+j.row1])
	}
	for c0 := 0; c0 < j.chans; c0 += j.block {
		nc := min(j.block, j.chans-c0)
		j.fill(c0, nc)
		if j.layout == columns {
			j.unrollSlab(nc)
		}
		for i := range j.phases {
			j.multiply(&j.phases[i], j.sums[i*rows*j.sumsRow:], starts, c0, nc, direct)
		}
	}
	last := j.row0
	if direct {
		last = j.row1 - j.spare()
	}
	for i := range j.phases {
		j.scatter(&j.phases[i], j.sums[i*rows*j.sumsRow:], last)
	}
	j.s.tile = tileArgs{}
}

// spare returns the rows that are computed by a tile with rows to spare.
func (j *job) spare() int {
	for left := j.row1 - j.row0; left > 0; {
		r := j.level.rowTile(left)
		if r > left {
			return left
		}
		left -= r
	}
	return 0
}

// listVectors fills from and to.
func (j *job) listVectors() {
	lanes := j.level.lanes
	var n int
	switch j.layout {
	case byRow:
		n = j.nz * j.ny * (j.grid[2] / lanes)
	case flat:
		n = j.nz * ceilDiv((j.ny-1)*j.pitch+j.grid[2], lanes)
	case columns:
		n = ceilDiv(j.nz*j.ny*j.grid[2], lanes)
	}
	j.vectors = n
	if cap(j.s.ints) < 2*n {
		j.s.ints = make([]int32, 2*n)
	}
	j.from, j.to = j.s.ints[:n:n], j.s.ints[n:2*n]
	v := 0
	switch j.layout {
	case byRow:
		for z := range j.nz {
			for y := range j.ny {
				for x := 0; x < j.grid[2]; x += lanes {
					j.from[v] = int32(z*j.depth + y*j.pitch + x)
					j.to[v] = int32((z*j.out[1]+y)*j.out[2] + x)
					v++
				}
			}
		}
	case flat:
		each := n / j.nz
		for z := range j.nz {
			for i := range each {
				j.from[v] = int32(z*j.depth + i*lanes)
				v++
			}
		}
	case columns:
		for ; v < n; v++ {
			j.from[v], j.to[v] = int32(v*lanes), int32(v*lanes)
		}
	}
}

// fill copies the tile's input of channels c0 to c0+nc into the slab.
func (j *job) fill(c0, nc int) {
	az, ay, ax := &j.axes[0], &j.axes[1], &j.axes[2]
	sz, sy, sx := j.step[0], j.step[1], j.step[2]
	vol := volume(j.in)
	first := ((j.image*j.group+j.g)*j.chans + c0) * vol
	rows := j.ny + ay.reach
	if j.whole {
		rows = j.tile[1] + ay.reach
	}
	for c := range nc {
		src := j.source[first+c*vol:][:vol]
		for rz, residueZ := range az.residue {
			for z := range j.nz + az.reach {
				iz := sz*(j.z0+z+az.low) + residueZ
				dst := j.slab[c*j.channel+(rz*(j.tile[0]+az.reach)+z)*j.depth:][:j.depth]
				if iz < 0 || iz >= j.in[0] {
					clear(dst)
					continue
				}
				for ry, residueY := range ay.residue {
					for y := range rows {
						iy := sy*(j.y0+y+ay.low) + residueY
						for rx, residueX := range ax.residue {
							to := dst[(ry*len(ax.residue)+rx)*j.plane+y*j.pitch:][:j.pitch]
							if iy < 0 || iy >= j.in[1] {
								clear(to)
								continue
							}
							row := src[(iz*j.in[1]+iy)*j.in[2]:][:j.in[2]]
							fillRow(to, row, sx, sx*ax.low+residueX)
						}
					}
				}
			}
		}
	}
}

// fillRow writes dst[i] = src[step·i + shift], 0 outside.
func fillRow(dst, src []float32, step, shift int) {
	lo, hi := 0, 0
	if shift < 0 {
		lo = min(len(dst), ceilDiv(-shift, step))
	}
	if len(src) > shift {
		hi = min(len(dst), ceilDiv(len(src)-shift, step))
	}
	hi = max(hi, lo)
	for i := range dst[:lo] {
		dst[i] = 0
	}
	if step == 1 && lo < hi {
		copy(dst[lo:hi], src[lo+shift:])
	} else {
		at := step*lo + shift
		for i := lo; i < hi; i++ {
			dst[i] = src[at]
			at += step
		}
	}
	for i := hi; i < len(dst); i++ {
		dst[i] = 0
	}
}

// unrollSlab copies the factors of each channel and tap, position after position, into a row of the panel.
func (j *job) unrollSlab(nc int) {
	w := j.grid[2]
	for c := range nc {
		for u, o := range j.unroll {
			dst := j.panelBuf[(c*j.union+u)*j.panel:][:j.panel]
			src := j.slab[c*j.channel+o:]
			for z := range j.nz {
				copyRows(dst, src[z*j.depth:], w, j.ny, j.pitch)
				dst = dst[j.ny*w:]
			}
			clear(dst)
		}
	}
}

// copyRows packs rows of w floats that lie pitch apart.
func copyRows(dst, src []float32, w, rows, pitch int) {
	switch w {
	case 4:
		for range rows {
			*(*[4]float32)(dst) = *(*[4]float32)(src)
			dst = dst[4:]
			src = src[min(pitch, len(src)):]
		}
	case 8:
		for range rows {
			*(*[8]float32)(dst) = *(*[8]float32)(src)
			dst = dst[8:]
			src = src[min(pitch, len(src)):]
		}
	default:
		for y := range rows {
			d, s := dst[y*w:][:w], src[y*pitch:][:w]
			if w > 16 {
				copy(d, s)
				continue
			}
			for i, v := range s {
				d[i] = v
			}
		}
	}
}

// packed rows stand side by side in blocks of 8, for each term, filled up with zeros.
const packedRows = 8

// pack writes the weights of rows row0 to row1 and of channels c0 to c0+nc, block of rows after block of rows.
func (j *job) pack(f *phase, c0, nc int) {
	taps := len(f.taps)
	if taps == 0 {
		return
	}
	terms := nc * taps
	at := 0
	for row := j.row0; row < j.row1; row += packedRows {
		dst := j.packed[at:][:terms*packedRows]
		full := min(packedRows, j.row1-row)
		if full < packedRows {
			clear(dst)
		}
		src := j.weight[j.g*j.wGroup+c0*j.wChan+row*j.wRow:]
		if f.plain && j.wChan == j.kVol {
			j.level.transpose(dst, packedRows, src, j.wRow, full, terms)
		} else {
			turned := j.s.floats(turnPart, j.kVol*packedRows)
			for c := range nc {
				j.level.transpose(turned, packedRows, src[c*j.wChan:], j.wRow, full, j.kVol)
				to := dst[c*taps*packedRows:]
				for t, k := range f.taps {
					*(*[packedRows]float32)(to[t*packedRows:]) = *(*[packedRows]float32)(turned[k*packedRows:])
				}
			}
			if full < packedRows {
				for i := full; i < packedRows; i++ {
					for t := range terms {
						dst[t*packedRows+i] = 0
					}
				}
			}
		}
		at += terms * packedRows
	}
}

// multiply adds the products of a block of channels to out or to sums.
func (j *job) multiply(f *phase, sums, starts []float32, c0, nc int, direct bool) {
	j.pack(f, c0, nc)
	var (
		t       = &j.s.tile
		terms   = nc * len(f.taps)
		factors = j.slab
		vol     = volume(j.out)
		base    = (j.image*j.group+j.g)*j.rows*vol + (j.z0*j.out[1]+j.y0)*j.out[2]
		height  = 6
	)
	if j.layout == columns {
		factors = j.panelBuf
	}
	t.terms, t.load = terms, c0
	if terms > 0 {
		t.off = unsafe.Pointer(&f.off[0])
	}
	if j.rows == 1 {
		height = 8
	}
	for v0 := 0; v0 < j.vectors; v0 += height {
		v1 := min(j.vectors, v0+height)
		for row := j.row0; row < j.row1; {
			r := j.level.rowTile(j.row1 - row)
			t.init = unsafe.Pointer(&starts[row-j.row0])
			if terms > 0 {
				i := row - j.row0
				t.a = unsafe.Pointer(&j.packed[i/packedRows*packedRows*terms+i%packedRows])
			}
			t.aRow, t.aStep = 4, 4*packedRows
			var c unsafe.Pointer
			inPlace := direct && row+r <= j.row1
			if inPlace {
				c = unsafe.Pointer(&j.target[base+row*vol])
				t.cRow = 4 * vol
			} else {
				i := row - j.row0
				if direct {
					i = 0
				}
				c = unsafe.Pointer(&sums[i*j.sumsRow])
				t.cRow = 4 * j.sumsRow
			}
			tiles := j.level.tiles[r]
			for v := v0; v < v1; {
				k := 0
				for tiles[k].vectors > v1-v {
					k++
				}
				n := tiles[k].vectors
				for i := range n {
					t.b[i] = unsafe.Pointer(&factors[j.from[v+i]])
					if inPlace {
						t.c[i] = unsafe.Add(c, 4*int(j.to[v+i]))
					} else {
						t.c[i] = unsafe.Add(c, 4*(v+i)*j.level.lanes)
					}
				}
				tiles[k].run(t)
				v += n
			}
			row += r
		}
	}
}

// scatter copies the sums of rows from first on to where they belong.
func (j *job) scatter(f *phase, sums []float32, first int) {
	vol := volume(j.out)
	w := min(j.grid[2], f.size[2])
	for row := first; row < j.row1; row++ {
		src := sums[(row-first)*j.sumsRow:][:j.sumsRow]
		dst := j.target[((j.image*j.group+j.g)*j.rows+row)*vol:][:vol]
		for z := range min(j.nz, f.size[0]-j.z0) {
			for y := range min(j.ny, f.size[1]-j.y0) {
				at := (z*j.ny + y) * j.grid[2]
				if j.layout == flat {
					at = z*(j.vectors/j.nz)*j.level.lanes + y*j.pitch
				}
				oz := f.origin[0] + j.outStep[0]*(j.z0+z)
				oy := f.origin[1] + j.outStep[1]*(j.y0+y)
				d := dst[(oz*j.out[1]+oy)*j.out[2]+f.origin[2]:]
				s := src[at:][:w]
				switch step := j.outStep[2]; step {
				case 1:
					copy(d, s)
				default:
					for i, v := range s {
						d[i*step] = v
					}
				}
			}
		}
	}
}
