package kernel

import "unsafe"

// weightPass computes the gradient by the weights,
//
//	dw[row, chan, tap] = Σ_{image, q} dy[row, q] · x[chan, stride·q + tap·dilation − pad].
//
// Positions are cut into tiles, and runs of tiles into chunks, by the geometry alone. A job sums one chunk for some rows and some channels,
// tile after tile; the chunks' sums are added in their order, so that no sum depends on who computed it.
//
// Jobs with enough channels to fill vectors use the register tiles with the parts exchanged: rows of dy are the weights, the terms
// are positions, and a vector holds the channels of x beside each other for one tap. Others use dot products along rows.
type weightPass struct {
	g           *Geometry
	level       *level
	rows, chans int // of a group
	kVol        int
	byChannel   bool

	tile               [3]int
	nz, ny             int    // tiles of an image
	chunk, chunks      int    // tiles of a chunk, and their number
	rowShare           int    // rows of a job
	chanShare, chanPad int    // channels of a job; filled up to whole vectors
	box                [3]int // input of a tile, with padding
	beside             int    // byChannel: neighbouring taps of a row in a vector, if channels don't fill it
	places             []int  // byChannel: floats from a position to each vector in the slab
	p                  *pass  // otherwise: the slab
}

const (
	weightJobs   = 16      // about as many jobs, if there are tiles enough
	partialBound = 1 << 20 // floats of the chunks' sums
)

func newWeightPass(g *Geometry, l *level) *weightPass {
	p := &weightPass{g: g, level: l, rows: g.Out / g.Group, chans: g.In / g.Group, kVol: volume(g.Kernel)}
	p.byChannel = p.chooseLanes()
	p.rowShare = min(p.rows, 64)
	if p.byChannel {
		p.planByChannel()
	} else {
		p.planDots()
	}
	p.nz, p.ny = ceilDiv(g.OutSize[0], p.tile[0]), ceilDiv(g.OutSize[1], p.tile[1])
	tiles := g.Batch * p.nz * p.ny
	shares := g.Group * ceilDiv(p.rows, p.rowShare) * ceilDiv(p.chans, p.chanShare)
	p.chunks = min(tiles, ceilDiv(weightJobs, shares), max(1, partialBound/(g.Out*p.chans*p.kVol)))
	p.chunk = ceilDiv(tiles, p.chunks)
	p.chunks = ceilDiv(tiles, p.chunk)
	return p
}

// chooseLanes tells whether register tiles over channels pay. Where channels don't fill a vector, it takes taps that are neighbours in
// a row too: they lie beside each other in the slab.
func (p *weightPass) chooseLanes() bool {
	lanes := p.level.lanes
	p.beside = 1
	if p.chans > lanes/2 {
		return 2*p.chans > roundUp(p.chans, lanes)
	}
	if p.g.Dilation[2] != 1 {
		return false
	}
	pad := 1
	for pad < p.chans {
		pad *= 2
	}
	p.beside = lanes / pad
	kw := p.g.Kernel[2]
	// A dot product reaches about half the speed of a full register tile.
	return float64(p.chans*kw)/float64(pad*roundUp(kw, p.beside)) > 0.55
}

// planByChannel chooses channels and tiles so that slab, packed dy and sums stay in the second-level cache.
func (p *weightPass) planByChannel() {
	g, lanes := p.g, p.level.lanes
	p.chanShare = p.chans
	for p.chanShare > lanes && roundUp(p.rowShare, packedRows)*p.kVol*roundUp(p.chanShare, lanes) > 64<<10 {
		p.chanShare = roundUp(p.chanShare/2, lanes)
	}
	p.chanPad = roundUp(p.chanShare, lanes)
	if p.beside > 1 {
		p.chanPad = lanes / p.beside
	}
	box := func(t [3]int) (b [3]int) {
		for a := range b {
			b[a] = (t[a]-1)*g.Stride[a] + (g.Kernel[a]-1)*g.Dilation[a] + 1
		}
		return b
	}
	for p.chanShare > lanes && volume(box([3]int{1, 1, g.OutSize[2]}))*p.chanPad > slabFloats {
		p.chanShare = roundUp(p.chanShare/2, lanes)
		p.chanPad = p.chanShare
	}
	found, bestCost := false, 0.0
	for z := 1; z <= min(g.OutSize[0], 16); z++ {
		for y := g.OutSize[1]; y >= 1; y-- {
			t := [3]int{z, y, g.OutSize[2]}
			positions := volume(t)
			floats := volume(box(t)) * p.chanPad
			if found && (floats > slabFloats || positions*roundUp(p.rowShare, packedRows) > slabFloats) {
				continue
			}
			tiles := float64(ceilDiv(g.OutSize[0], z) * ceilDiv(g.OutSize[1], y))
			cost := tiles * float64(floats+8192)
			if floats > slabFloats {
				cost *= 1e6
			}
			if !found || cost < bestCost {
				found, bestCost, p.tile = true, cost, t
			}
		}
	}
	p.tile[0] = ceilDiv(g.OutSize[0], ceilDiv(g.OutSize[0], p.tile[0]))
	p.tile[1] = ceilDiv(g.OutSize[1], ceilDiv(g.OutSize[1], p.tile[1]))
	p.box = box(p.tile)
	for v := 0; v < p.chanPad; v += lanes {
		for a := range g.Kernel[0] {
			for b := range g.Kernel[1] {
				for c := 0; c < g.Kernel[2]; c += p.beside {
					at := (a*g.Dilation[0]*p.box[1]+b*g.Dilation[1])*p.box[2] + c*g.Dilation[2]
					p.places = append(p.places, at*p.chanPad+v)
				}
			}
		}
	}
}

// run writes dw.
func (p *weightPass) run(w *Workers, dw, x, dy []float32) {
	ns, nc := ceilDiv(p.rows, p.rowShare), ceilDiv(p.chans, p.chanShare)
	sums := dw
	if p.chunks > 1 {
		sums = w.floats(p.chunks * len(dw))
	}
	w.Do(p.chunks*p.g.Group*ns*nc, func(worker, piece int) {
		j := weightJob{weightPass: p, s: &w.own[worker], x: x, dy: dy}
		j.c0 = piece % nc * p.chanShare
		j.c1 = min(p.chans, j.c0+p.chanShare)
		piece /= nc
		j.row0 = piece % ns * p.rowShare
		j.row1 = min(p.rows, j.row0+p.rowShare)
		piece /= ns
		j.group = piece % p.g.Group
		j.at = piece / p.g.Group
		j.dw = sums[j.at*len(dw):][:len(dw)]
		if p.byChannel {
			j.sumByChannel()
		} else {
			j.sumDots()
		}
	})
	if p.chunks > 1 {
		const part = 1 << 14
		w.Do(ceilDiv(len(dw), part), func(_, piece int) {
			from := piece * part
			to := min(len(dw), from+part)
			copy(dw[from:to], sums[from:to])
			for k := 1; k < p.chunks; k++ {
				Add(dw[from:to], dw[from:to], sums[k*len(dw)+from:k*len(dw)+to])
			}
		})
	}
}

// weightJob is a chunk of positions for some rows and channels of a group.
type weightJob struct {
	*weightPass
	s                       *scratch
	dw, x, dy               []float32
	at                      int // chunk
	group                   int
	row0, row1, c0, c1      int
	image, z0, nz1, y0, ny1 int // the tile at hand
	offsetsFor              [2]int
	off, from, to           []int32
}

// eachTile calls f for each tile of the chunk, in order.
func (j *weightJob) eachTile(f func()) {
	g := j.g
	for t := j.at * j.chunk; t < min((j.at+1)*j.chunk, g.Batch*j.nz*j.ny); t++ {
		j.image = t / (j.nz * j.ny)
		j.z0 = t / j.ny % j.nz * j.tile[0]
		j.y0 = t % j.ny * j.tile[1]
		j.nz1 = min(j.tile[0], g.OutSize[0]-j.z0)
		j.ny1 = min(j.tile[1], g.OutSize[1]-j.y0)
		f()
	}
}

func (j *weightJob) sumByChannel() {
	lanes := j.level.lanes
	rows := j.row1 - j.row0
	vecs := len(j.places)
	pitch := vecs * lanes
	sums := j.s.floats(outPart, rows*pitch)
	start := j.s.floats(turnPart, packedRows)
	clear(start)
	load := 0
	slab := j.s.floats(slabPart, volume(j.box)*j.chanPad+lanes)
	t := &j.s.tile
	// Vectors of neighbouring taps stand together: they read the same lines.
	from, to := j.from[:0], j.to[:0]
	for v, at := range j.places {
		from = append(from, int32(4*at))
		to = append(to, int32(4*v*lanes))
	}
	most := len(j.level.tiles)
	j.eachTile(func() {
		positions := j.nz1 * j.ny1 * j.g.OutSize[2]
		j.fillByChannel(slab)
		packed := j.s.floats(weightPart, positions*roundUp(rows, packedRows))
		for r := 0; r < rows; r += packedRows {
			j.packRows(packed[r*positions:], r, min(packedRows, rows-r))
		}
		j.offsets()
		*t = tileArgs{terms: positions, aRow: 4, aStep: 4 * packedRows, off: unsafe.Pointer(&j.off[0]), load: load,
			init: unsafe.Pointer(&start[0]), b: unsafe.Pointer(&slab[0]), cRow: 4 * pitch}
		load = 1
		for r := 0; r < rows; r += most {
			t.a = unsafe.Pointer(&packed[r/packedRows*packedRows*positions+r%packedRows])
			t.c = unsafe.Pointer(&sums[r*pitch])
			t.from, t.to = unsafe.Pointer(&from[0]), unsafe.Pointer(&to[0])
			j.level.runTile(t, min(most, rows-r), vecs)
		}
	})
	*t = tileArgs{}
	kw := j.g.Kernel[2]
	groups := ceilDiv(kw, j.beside) // of neighbouring taps
	channels := j.c1 - j.c0
	for r := range rows {
		dst := j.dw[((j.group*j.rows+j.row0+r)*j.chans+j.c0)*j.kVol:]
		src := sums[r*pitch:][:pitch]
		if j.beside == 1 {
			for c := 0; c < channels; c += lanes {
				j.level.transpose(dst[c*j.kVol:], j.kVol, src[c*j.kVol:], lanes, j.kVol, min(lanes, channels-c))
			}
			continue
		}
		for c := range channels {
			for k := range j.kVol {
				dst[c*j.kVol+k] = src[(k/kw*groups+k%kw/j.beside)*lanes+k%kw%j.beside*j.chanPad+c]
			}
		}
	}
}

// fillByChannel copies the tile's input into the slab, channels side by side, with zeros for padding and for missing channels.
func (j *weightJob) fillByChannel(slab []float32) {
	g := j.g
	channels := j.c1 - j.c0
	vol := volume(g.InSize)
	src := j.x[((j.image*g.Group+j.group)*j.chans+j.c0)*vol:]
	depth := (j.nz1-1)*g.Stride[0] + (g.Kernel[0]-1)*g.Dilation[0] + 1
	height := (j.ny1-1)*g.Stride[1] + (g.Kernel[1]-1)*g.Dilation[1] + 1
	x0 := -g.PadBegin[2]
	lo, hi := min(j.box[2], max(0, -x0)), max(0, min(j.box[2], g.InSize[2]-x0))
	hi = max(hi, lo)
	for z := range depth {
		iz := j.z0*g.Stride[0] - g.PadBegin[0] + z
		for y := range height {
			iy := j.y0*g.Stride[1] - g.PadBegin[1] + y
			row := slab[(z*j.box[1]+y)*j.box[2]*j.chanPad:][:j.box[2]*j.chanPad]
			if iz < 0 || iz >= g.InSize[0] || iy < 0 || iy >= g.InSize[1] || lo == hi {
				clear(row)
				continue
			}
			clear(row[:lo*j.chanPad])
			clear(row[hi*j.chanPad:])
			if channels < j.chanPad {
				clear(row)
			}
			j.level.transpose(row[lo*j.chanPad:], j.chanPad, src[(iz*g.InSize[1]+iy)*g.InSize[2]+lo+x0:], vol, channels, hi-lo)
		}
	}
}

// packRows writes dy of the tile's positions with up to 8 rows side by side, garbage for missing ones.
func (j *weightJob) packRows(dst []float32, row, rows int) {
	g := j.g
	vol := volume(g.OutSize)
	src := j.dy[((j.image*g.Group+j.group)*j.rows+j.row0+row)*vol:]
	plane := g.OutSize[1] * g.OutSize[2]
	n := j.ny1 * g.OutSize[2]
	for z := range j.nz1 {
		j.level.transpose(dst[z*n*packedRows:], packedRows, src[(j.z0+z)*plane+j.y0*g.OutSize[2]:], vol, rows, n)
	}
}

// offsets fills off with the bytes from the slab's begin to each position's first input.
func (j *weightJob) offsets() {
	if j.offsetsFor == [2]int{j.nz1, j.ny1} {
		return
	}
	j.offsetsFor = [2]int{j.nz1, j.ny1}
	g := j.g
	if need := volume(j.tile); cap(j.s.ints) < need {
		j.s.ints = make([]int32, need)
	}
	j.off = j.s.ints[:0]
	for z := range j.nz1 {
		for y := range j.ny1 {
			at := (z*g.Stride[0]*j.box[1] + y*g.Stride[1]) * j.box[2]
			for x := range g.OutSize[2] {
				j.off = append(j.off, int32(4*j.chanPad*(at+x*g.Stride[2])))
			}
		}
	}
}
