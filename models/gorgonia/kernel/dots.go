package kernel

import "unsafe"

// planDots plans a slab like the forward pass's, with few tiles: a dot product should be long.
func (p *weightPass) planDots() {
	p.chanShare = p.chans
	p.p = weightSlab(p.g, p.level)
	p.tile = p.p.tile
}

// weightSlab returns a pass of which only the slab is used.
func weightSlab(g *Geometry, l *level) *pass {
	return newForward(g, l, func(p *pass, _ int) {
		p.layout = flat
		if p.grid[2]%l.lanes == 0 {
			p.layout = byRow
		}
		p.pitch = p.grid[2] + p.axes[2].reach
		p.block = p.chans
		n := len(p.axes[0].residue) * len(p.axes[1].residue) * len(p.axes[2].residue)
		y := p.grid[1]
		for y > 1 && p.block*n*(1+p.axes[0].reach)*(y+p.axes[1].reach)*p.pitch > slabFloats {
			y--
		}
		p.setTile(1, ceilDiv(p.grid[1], ceilDiv(p.grid[1], y)))
	})
}

func (j *weightJob) sumDots() {
	lanes := j.level.lanes
	p := j.p
	f := &p.phases[0]
	w := j.g.OutSize[2]
	terms := p.chans * len(f.taps)
	rows := j.row1 - j.row0
	most := len(j.level.dots)
	pitch := terms + maxDots // rows of a tile stand together, each tile's last columns filled up
	sums := j.s.floats(outPart, rows*pitch)
	clear(sums)
	fill := job{whole: true, pass: p, s: j.s, source: j.x, g: j.group, slab: j.s.floats(slabPart, p.channel*p.chans+lanes)}
	// The garbage between rows meets zeros of dy; it must be finite.
	clear(fill.slab[p.channel*p.chans:])
	length := p.flatRow * lanes
	if p.layout == byRow {
		length = p.tile[1] * w
	}
	d := &j.s.dot
	packed := j.s.floats(weightPart, rows*length)
	j.eachTile(func() {
		fill.image, fill.z0, fill.nz, fill.y0, fill.ny = j.image, j.z0, j.nz1, j.y0, j.ny1
		fill.fill(0, p.chans)
		*d = dotArgs{aRow: 4 * length}
		if p.layout == byRow {
			d.rows, d.vectors, d.aNext, d.bNext = j.ny1, 4*w, 4*w, 4*p.pitch
		} else {
			d.rows, d.vectors = 1, 4*roundUp((j.ny1-1)*p.pitch+w, lanes)
		}
		j.copyRows(packed, length)
		for r := 0; r < rows; r += most {
			height := min(most, rows-r)
			kind := &j.level.dots[height-1]
			d.a = unsafe.Pointer(&packed[r*length])
			for k := 0; k < terms; k += kind.n {
				for i := range kind.n {
					d.b[i] = unsafe.Pointer(&fill.slab[f.off[min(k+i, terms-1)]/4])
				}
				d.c = unsafe.Pointer(&sums[r*pitch+k*height])
				kind.run(d)
			}
		}
	})
	*d = dotArgs{}
	for r := range rows {
		first := r / most * most
		height := min(most, rows-first)
		n := j.level.dots[height-1].n
		dst := j.dw[(j.group*j.rows+j.row0+r)*terms:][:terms]
		for k := range dst {
			dst[k] = sums[first*pitch+k/n*n*height+(r-first)*n+k%n]
		}
	}
}

// copyRows copies dy of the tile's plane, in the flat layout with zeros between rows and after the last.
func (j *weightJob) copyRows(dst []float32, length int) {
	g := j.g
	w := g.OutSize[2]
	vol := volume(g.OutSize)
	rows := j.row1 - j.row0
	for r := range rows {
		to := dst[r*length:][:length]
		src := j.dy[((j.image*g.Group+j.group)*j.rows+j.row0+r)*vol+(j.z0*g.OutSize[1]+j.y0)*w:][:j.ny1*w]
		if j.p.layout == byRow {
			copy(to, src)
			continue
		}
		clear(to)
		for y := range j.ny1 {
			copy(to[y*j.p.pitch:], src[y*w:][:w])
		}
	}
}
