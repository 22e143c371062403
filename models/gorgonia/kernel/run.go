package kernel

import "unsafe"

// run computes the pass. start has a value for each row of all groups, or is nil for zeros.
func (p *pass) run(w *Workers, out, in, weight, start []float32) {
	nz, ny := ceilDiv(p.grid[0], p.tile[0]), ceilDiv(p.grid[1], p.tile[1])
	tiles := p.batch * p.group * nz * ny
	// Where there are few tiles, rows are shared out as well: it changes no sum.
	share := p.rows
	for w.n > 1 && tiles*ceilDiv(p.rows, share) < 2*w.n && share > 64 {
		share = roundUp(share/2, packedRows)
	}
	shares := ceilDiv(p.rows, share)
	ready := p.packAll(w, tiles, weight)
	w.Do(tiles*shares, func(worker, piece int) {
		j := job{pass: p, s: &w.own[worker], target: out, source: in, weight: weight, start: start, ready: ready}
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

// packAll packs all weights once, where several tiles share them and they are few enough to stay in the caches; otherwise it returns nil,
// and each job packs its own.
func (p *pass) packAll(w *Workers, tiles int, weight []float32) []float32 {
	whole := roundUp(p.rows, packedRows)
	n := p.group * p.chans * whole * p.kVol
	if tiles < 2*p.group || n > readyFloats || p.asIs(&p.phases[0], p.countVectors(p.tile[0], p.tile[1])) {
		return nil
	}
	ready := w.floats(n)
	blocks := ceilDiv(p.chans, p.block)
	w.Do(p.group*blocks, func(worker, piece int) {
		g, c0 := piece/blocks, piece%blocks*p.block
		nc := min(p.block, p.chans-c0)
		for i := range p.phases {
			f := &p.phases[i]
			p.pack(ready[whole*((g*p.chans+c0)*p.kVol+nc*f.before):], &w.own[worker], weight, f, g, c0, nc, 0, p.rows)
		}
	})
	return ready
}

// readyFloats bounds what is packed beforehand.
const readyFloats = 1 << 22

// asIs tells whether weights are taken as they lie: few positions are not worth turning what lies in the order of terms anyhow.
func (p *pass) asIs(f *phase, vectors int) bool { return f.plain && p.wChan == p.kVol && vectors <= 6 }

// job is one tile of a pass for some rows of a group.
type job struct {
	*pass
	s                             *scratch
	target, source, weight, start []float32
	image, g, row0, row1          int
	z0, nz, y0, ny                int
	slab, panelBuf, packed        []float32
	ready                         []float32 // all weights, packed, or nil
	sums                          []float32 // by phase and row, unless the target itself serves
	sumsRow                       int       // floats of a row in sums
	vectors                       int
	from, to                      []int32 // bytes of each vector in the slab or panel, and in a row of sums or of the target
	whole                         bool    // fill a partial tile's slab to the end, since what no product needs must be finite
}

func (j *job) run() {
	lanes := j.level.lanes
	direct := j.outStep == [3]int{1, 1, 1} && (j.layout == byRow || j.layout == columns && j.nz*j.ny*j.grid[2]%lanes == 0)
	j.listVectors(direct)
	rows := j.row1 - j.row0
	whole := roundUp(rows, packedRows)
	if !direct {
		j.sumsRow = j.vectors * lanes
		j.sums = j.s.floats(outPart, rows*len(j.phases)*j.sumsRow)
	}
	j.slab = j.s.floats(slabPart, j.block*j.channel+lanes)
	if j.layout == columns {
		j.panelBuf = j.s.floats(panelPart, max(1, j.block*j.union)*j.panel+lanes)
	}
	most := 0
	for i := range j.phases {
		most = max(most, len(j.phases[i].taps))
	}
	own := whole * j.block * most
	if j.ready != nil {
		own = 0
	}
	j.packed = j.s.floats(weightPart, own+rows)
	starts := j.packed[own:]
	clear(starts)
	if j.start != nil {
		copy(starts, j.start[j.g*j.rows+j.row0:])
	}
	for c0 := 0; c0 < j.chans; c0 += j.block {
		nc := min(j.block, j.chans-c0)
		j.fill(c0, nc)
		if j.layout == columns {
			j.unrollSlab(nc)
		}
		for i := range j.phases {
			j.multiply(i, starts, c0, nc)
		}
	}
	if !direct {
		j.scatter()
	}
	j.s.tile = tileArgs{}
}

// countVectors returns the vectors of a tile of so many planes and rows.
func (p *pass) countVectors(z, y int) int {
	switch p.layout {
	case byRow:
		return z * y * (p.grid[2] / p.level.lanes)
	case flat:
		return z * ceilDiv((y-1)*p.pitch+p.grid[2], p.level.lanes)
	}
	return ceilDiv(z*y*p.grid[2], p.level.lanes)
}

// listVectors fills from and to.
func (j *job) listVectors(direct bool) {
	lanes := j.level.lanes
	n := j.countVectors(j.nz, j.ny)
	j.vectors = n
	if cap(j.s.ints) < 2*n {
		j.s.ints = make([]int32, 2*n)
	}
	j.from, j.to = j.s.ints[:n:n], j.s.ints[n:2*n]
	for v := range j.to {
		j.to[v] = int32(4 * lanes * v)
	}
	v := 0
	switch j.layout {
	case byRow:
		for z := range j.nz {
			for y := range j.ny {
				for x := 0; x < j.grid[2]; x += lanes {
					j.from[v] = int32(4 * (z*j.depth + y*j.pitch + x))
					if direct {
						j.to[v] = int32(4 * ((z*j.out[1]+y)*j.out[2] + x))
					}
					v++
				}
			}
		}
	case flat:
		each := n / j.nz
		for z := range j.nz {
			for i := range each {
				j.from[v] = int32(4 * (z*j.depth + i*lanes))
				v++
			}
		}
	case columns:
		copy(j.from, j.to)
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
					if sx == 1 && j.level.gather != nil {
						j.fillPlane(dst[ry*j.plane:], first+c*vol+iz*j.in[1]*j.in[2], rows, sy*(j.y0+ay.low)+residueY, sy, ax.low)
						continue
					}
					for y := range rows {
						iy := sy*(j.y0+y+ay.low) + residueY
						if in := iy >= 0 && iy < j.in[1]; in && sx == 2 && len(ax.residue) == 2 && j.level.split != nil {
							row := src[(iz*j.in[1]+iy)*j.in[2]:][:j.in[2]]
							to := dst[ry*2*j.plane+y*j.pitch:]
							first := 0 // the place of the even residue
							if ax.residue[0] == 1 {
								first = 1
							}
							j.fillPair(to[first*j.plane:][:j.pitch], to[(1-first)*j.plane:][:j.pitch], row, 2*ax.low)
							continue
						}
						for rx, residueX := range ax.residue {
							to := dst[(ry*len(ax.residue)+rx)*j.plane+y*j.pitch:][:j.pitch]
							if iy < 0 || iy >= j.in[1] {
								clear(to)
								continue
							}
							row := src[(iz*j.in[1]+iy)*j.in[2]:][:j.in[2]]
							j.fillRow(to, row, sx, sx*ax.low+residueX)
						}
					}
				}
			}
		}
	}
}

// fillPlane fills rows of the slab with rows iy, iy + sy, … of the plane at a place of the source, moved by shift columns, 0 outside. It writes
// whole vectors, over what follows the last row: that is filled later.
func (j *job) fillPlane(dst []float32, at, rows, iy, sy, shift int) {
	// Rows from ya to yb lie inside, and so do their columns from lo to hi.
	ya := min(rows, max(0, ceilDiv(-iy, sy)))
	yb := max(ya, min(rows, ceilDiv(j.in[1]-iy, sy)))
	lo := min(j.pitch, max(0, -shift))
	hi := max(lo, min(j.pitch, j.in[2]-shift))
	clear(dst[:ya*j.pitch])
	src := j.source[at:]
	from := func(y int) int { return (iy+y*sy)*j.in[2] + lo + shift }
	y := ya
	if lo < hi {
		// The last rows' vectors may reach beyond the source or the slab.
		n, room := yb-ya, roundUp(hi-lo, j.level.lanes)
		for n > 0 && (from(ya+n-1)+room > len(src) || (ya+n-1)*j.pitch+lo+room > cap(dst)) {
			n--
		}
		if n > 0 {
			j.level.copyRows(dst[:cap(dst)][ya*j.pitch+lo:], j.pitch, src[from(ya):], sy*j.in[2], hi-lo, n)
		}
		for y += n; y < yb; y++ {
			copy(dst[y*j.pitch+lo:y*j.pitch+hi], src[from(y):])
		}
	}
	for y := ya; y < yb; y++ {
		row := dst[y*j.pitch:][:j.pitch]
		zero(row[:lo])
		zero(row[hi:])
	}
	clear(dst[yb*j.pitch : rows*j.pitch])
}

// fillRow writes dst[i] = src[step·i + shift], 0 outside.
func (j *job) fillRow(dst, src []float32, step, shift int) {
	lo, hi := 0, 0
	if shift < 0 {
		lo = min(len(dst), ceilDiv(-shift, step))
	}
	if len(src) > shift {
		hi = min(len(dst), ceilDiv(len(src)-shift, step))
	}
	hi = max(hi, lo)
	zero(dst[:lo])
	if lo < hi {
		j.level.pick(dst[lo:hi], src[step*lo+shift:], step)
	}
	zero(dst[hi:])
}

// fillPair writes even[i] = src[2i + shift] and odd[i] = src[2i + shift + 1], 0 outside; shift is even.
func (j *job) fillPair(even, odd, src []float32, shift int) {
	lo := min(len(even), max(0, -shift/2))
	n := 0
	if at := 2*lo + shift; len(src) > at {
		n = min(len(even)-lo, (len(src)-at)/2) / 8
		if n > 0 {
			j.level.split(n, &even[lo], &odd[lo], &src[at])
		}
	}
	zero(even[:lo])
	zero(odd[:lo])
	for i := lo + 8*n; i < len(even); i++ {
		even[i], odd[i] = 0, 0
		if at := 2*i + shift; at+1 < len(src) {
			even[i], odd[i] = src[at], src[at+1]
		} else if at < len(src) {
			even[i] = src[at]
		}
	}
}

// zero clears a few floats without a call where there are one or two.
func zero(s []float32) {
	switch len(s) {
	case 0:
	case 1:
		s[0] = 0
	case 2:
		s[0], s[1] = 0, 0
	default:
		clear(s)
	}
}

// unrollSlab copies the factors of each channel and tap, position after position, into a row of the panel. What follows the last
// position is garbage that ends in lanes nobody reads.
func (j *job) unrollSlab(nc int) {
	w := j.grid[2]
	for c := range nc {
		for u, o := range j.unroll {
			at := (c*j.union + u) * j.panel
			from := c*j.channel + o
			for range j.nz {
				j.level.copyRows(j.panelBuf[at:], w, j.slab[from:], j.pitch, w, j.ny)
				at += j.ny * w
				from += j.depth
			}
		}
	}
}

// packedRows stand side by side for each term, filled up with zeros.
const packedRows = 8

// pack writes the weights of rows row0 to row1 and of channels c0 to c0+nc, block of rows after block of rows.
func (p *pass) pack(to []float32, own *scratch, weight []float32, f *phase, g, c0, nc, row0, row1 int) {
	taps := len(f.taps)
	terms := nc * taps
	for row := row0; row < row1; row += packedRows {
		dst := to[(row-row0)*terms:][:terms*packedRows]
		full := min(packedRows, row1-row)
		src := weight[g*p.wGroup+c0*p.wChan+row*p.wRow:]
		switch {
		case f.plain && p.wChan == p.kVol:
			p.level.transpose(dst, packedRows, src, p.wRow, full, terms)
		case f.plain:
			for c := range nc {
				p.level.transpose(dst[c*taps*packedRows:], packedRows, src[c*p.wChan:], p.wRow, full, taps)
			}
		default:
			turned := own.floats(turnPart, p.kVol*packedRows)
			for c := range nc {
				p.level.transpose(turned, packedRows, src[c*p.wChan:], p.wRow, full, p.kVol)
				to := dst[c*taps*packedRows:]
				for t, k := range f.taps {
					a, b := to[t*packedRows:][:packedRows], turned[k*packedRows:][:packedRows]
					for i := range b { //nolint:staticcheck // so few that the call of copy costs more
						a[i] = b[i]
					}
				}
			}
		}
	}
}

// multiply adds the products of a block of channels to the sums of phase i.
func (j *job) multiply(i int, starts []float32, c0, nc int) {
	var (
		f       = &j.phases[i]
		t       = &j.s.tile
		terms   = nc * len(f.taps)
		rows    = j.row1 - j.row0
		factors = j.slab
		vol     = volume(j.out)
		most    = len(j.level.tiles)
		asIs    = j.asIs(f, j.vectors)
		packed  = j.packed
	)
	if j.layout == columns {
		factors = j.panelBuf
	}
	*t = tileArgs{terms: terms, load: c0, b: unsafe.Pointer(&factors[0])}
	if terms > 0 {
		t.off = unsafe.Pointer(&f.off[0])
		switch {
		case asIs:
		case j.ready != nil:
			packed = j.ready[roundUp(j.rows, packedRows)*((j.g*j.chans+c0)*j.kVol+nc*f.before)+j.row0*terms:]
		default:
			j.pack(packed, j.s, j.weight, f, j.g, c0, nc, j.row0, j.row1)
		}
	}
	// So many vectors that their factors stay in the first-level cache for all rows.
	height := 6
	for height < 48 && 2*height*terms <= 6*termsOfBlock {
		height *= 2
	}
	for v := 0; v < j.vectors; v += height {
		n := min(height, j.vectors-v)
		for row := 0; row < rows; {
			r := min(most, rows-row)
			t.from, t.to = unsafe.Pointer(&j.from[v]), unsafe.Pointer(&j.to[v])
			t.init = unsafe.Pointer(&starts[row])
			switch {
			case terms == 0:
			case asIs:
				t.a = unsafe.Pointer(&j.weight[j.g*j.wGroup+c0*j.wChan+(j.row0+row)*j.wRow])
				t.aRow, t.aStep = 4*j.wRow, 4
			default:
				t.a = unsafe.Pointer(&packed[row/packedRows*packedRows*terms+row%packedRows])
				t.aRow, t.aStep = 4, 4*packedRows
			}
			if j.sumsRow > 0 {
				t.c = unsafe.Pointer(&j.sums[(i*rows+row)*j.sumsRow])
				t.cRow = 4 * j.sumsRow
			} else {
				t.c = unsafe.Pointer(&j.target[((j.image*j.group+j.g)*j.rows+j.row0+row)*vol+(j.z0*j.out[1]+j.y0)*j.out[2]])
				t.cRow = 4 * vol
			}
			j.level.runTile(t, r, n)
			row += r
		}
	}
}

// scatter copies the sums to where they belong, rows of phases that differ in the last axis alone together.
func (j *job) scatter() {
	vol := volume(j.out)
	rows := j.row1 - j.row0
	step := j.outStep[2]
	side := min(step, j.out[2]) // phases side by side
	if j.outStep == [3]int{1, 1, 1} && j.level.gather != nil {
		j.scatterRows(vol)
		return
	}
	var few [8][]float32
	for i := 0; i < len(j.phases); i += side {
		f := &j.phases[i]
		for row := range rows {
			dst := j.target[((j.image*j.group+j.g)*j.rows+j.row0+row)*vol:][:vol]
			for z := range min(j.nz, f.size[0]-j.z0) {
				for y := range min(j.ny, f.size[1]-j.y0) {
					at := (z*j.ny + y) * j.grid[2]
					if j.layout == flat {
						at = z*(j.vectors/j.nz)*j.level.lanes + y*j.pitch
					}
					oz := f.origin[0] + j.outStep[0]*(j.z0+z)
					oy := f.origin[1] + j.outStep[1]*(j.y0+y)
					d := dst[(oz*j.out[1]+oy)*j.out[2]:][:j.out[2]]
					parts := few[:0]
					for k := range side {
						parts = append(parts, j.sums[((i+k)*rows+row)*j.sumsRow+at:][:j.phases[i+k].size[2]])
					}
					if step == 1 {
						copy(d, parts[0])
					} else {
						j.level.weave(d, parts, step)
					}
				}
			}
		}
	}
}

// scatterRows copies the sums of a single phase whose places follow each other. Vectors may write over the next row, which is copied after it.
func (j *job) scatterRows(vol int) {
	w := j.grid[2]
	room := roundUp(w, j.level.lanes)
	pitch, plane := j.pitch, j.vectors/j.nz*j.level.lanes
	if j.layout != flat {
		pitch, plane = w, j.ny*w
	}
	for row := range j.row1 - j.row0 {
		dst := j.target[((j.image*j.group+j.g)*j.rows+j.row0+row)*vol:][:vol]
		for z := range j.nz {
			src := j.sums[row*j.sumsRow+z*plane:]
			to := dst[((j.z0+z)*j.out[1]+j.y0)*j.out[2]:][:j.ny*w]
			n := min(j.ny, max(0, (len(to)-room)/w+1), max(0, (len(src)-room)/pitch+1))
			if len(to) < room || len(src) < room {
				n = 0
			}
			j.level.copyRows(to, w, src, pitch, w, n)
			for y := n; y < j.ny; y++ {
				copy(to[y*w:][:w], src[y*pitch:])
			}
		}
	}
}
