package kernel

// pass is a sum of shifted inputs, the form that the forward pass and the gradient by the input share:
//
//	out[row, at(q)] = start[row] + Σ_{chan, tap} w[row, chan, tap] · in[chan, step·q + shift(tap)]
//
// for each group. In the forward pass a position q is an output and step is the stride. In the gradient by the input, step
// is 1, and the strides cut dx into phases, dx[stride·q + phase], each of which sees the taps that reach it: convolutions of
// stride 1 with smaller kernels (the identity behind sub-pixel convolution, Shi et al. 2016, arXiv:1609.07009).
//
// A worker takes a tile of positions and a block of channels at a time. It copies the tile's input, padded with zeros and with the
// residues of the step separated, into its slab, where a tap is a constant offset: no product is ever spent on
// unrolling the input into columns (direct convolution, Zhang et al. 2018, arXiv:1809.10170). Where planes are so
// small that vectors would be mostly padding, it unrolls the slab into a panel of columns after all.
type pass struct {
	level               *level
	batch, group        int
	rows, chans         int    // of a group
	in, out             [3]int // sizes
	grid                [3]int // positions q; where phases differ, the most
	step                [3]int
	outStep             [3]int
	wRow, wChan, wGroup int // floats from weight to weight
	kVol                int
	axes                [3]axis
	phases              []phase
	union               int // taps that some phase has

	layout layout
	block  int    // channels at a time
	tile   [3]int // positions at a time; all of the last axis
	// Floats: of a row, of a plane with one residue, from plane to plane of one residue of z, of a channel.
	pitch, plane, depth, channel int
	flatRow                      int   // vectors of a plane in the flat layout
	panel                        int   // floats of a panel's row
	unroll                       []int // of a channel: floats from a position to each factor in the slab
}

type layout int

const (
	// byRow: rows are a multiple of the vector's lanes, and each vector lies within one.
	byRow layout = iota
	// flat: vectors run over a padded plane from its first position to its last, and some lanes are thrown away.
	flat
	// columns: the slab is unrolled; a vector has positions of any rows.
	columns
)

// phase is one of the interleaved grids of an output.
type phase struct {
	origin, size [3]int
	taps         []int   // places in the kernel's volume
	before       int     // taps of the phases before
	plain        bool    // taps are the whole kernel in its order
	off          []int32 // bytes from a vector's position to its factor, by channel in the block and tap
}

// axis says what taps need of an axis of the input: in = step·(q + low + j) + residue[r] for the cell (r, j), 0 ≤ j < q's count + reach.
type axis struct {
	residue    []int
	low, reach int
}

// tap1 is a tap of one axis: its place in the kernel and in = step·q + shift.
type tap1 struct{ at, shift int }

// newAxis returns the axis and the cell (r, j) of each tap.
func newAxis(step int, taps []tap1) (axis, [][2]int) {
	var a axis
	cells := make([][2]int, len(taps))
	high := 0
	for i, t := range taps {
		r := ((t.shift % step) + step) % step
		h := (t.shift - r) / step
		k := 0
		for k < len(a.residue) && a.residue[k] != r {
			k++
		}
		if k == len(a.residue) {
			a.residue = append(a.residue, r)
		}
		cells[i] = [2]int{k, h}
		if i == 0 || h < a.low {
			a.low = h
		}
		if i == 0 || h > high {
			high = h
		}
	}
	for i := range cells {
		cells[i][1] -= a.low
	}
	if len(taps) == 0 {
		a.residue = []int{0} // something for vectors to point at
	}
	a.reach = high - a.low
	return a, cells
}

// forwardPass returns y = w * x as a pass.
func forwardPass(g *Geometry, l *level) *pass { return newForward(g, l, (*pass).choose) }

func newForward(g *Geometry, l *level, choose func(*pass, int)) *pass {
	p := &pass{
		level: l, batch: g.Batch, group: g.Group, rows: g.Out / g.Group, chans: g.In / g.Group,
		in: g.InSize, out: g.OutSize, grid: g.OutSize, step: g.Stride, outStep: [3]int{1, 1, 1},
		kVol: volume(g.Kernel),
	}
	p.wChan = p.kVol
	p.wRow = p.chans * p.kVol
	p.wGroup = p.rows * p.wRow
	var taps [3][]tap1
	for a := range 3 {
		for k := range g.Kernel[a] {
			taps[a] = append(taps[a], tap1{k, k*g.Dilation[a] - g.PadBegin[a]})
		}
	}
	p.phases = []phase{{size: g.OutSize}}
	p.plan(g, taps, []phaseTaps{{all(taps[0]), all(taps[1]), all(taps[2])}}, choose)
	return p
}

// phaseTaps are the taps of a phase by axis, as places in the axis's list.
type phaseTaps [3][]int

func all(t []tap1) []int {
	l := make([]int, len(t))
	for i := range l {
		l[i] = i
	}
	return l
}

// inputPass returns dx = wᵀ * dy as a pass.
func inputPass(g *Geometry, l *level) *pass {
	p := &pass{
		level: l, batch: g.Batch, group: g.Group, rows: g.In / g.Group, chans: g.Out / g.Group,
		in: g.OutSize, out: g.InSize, step: [3]int{1, 1, 1}, outStep: g.Stride,
		kVol: volume(g.Kernel),
	}
	p.wRow = p.kVol
	p.wChan = p.rows * p.kVol
	p.wGroup = p.chans * p.wChan
	var (
		taps  [3][]tap1
		parts [3][]struct {
			phase int
			taps  []int
		}
	)
	for a := range 3 {
		s := g.Stride[a]
		p.grid[a] = (g.InSize[a] + s - 1) / s
		for f := range min(s, g.InSize[a]) {
			var mine []int
			// x[s·q+f] meets y[q + (f+pad−k·dilation)/s] where that is whole.
			for k := range g.Kernel[a] {
				if d := f + g.PadBegin[a] - k*g.Dilation[a]; d%s == 0 {
					mine = append(mine, len(taps[a]))
					taps[a] = append(taps[a], tap1{k, d / s})
				}
			}
			parts[a] = append(parts[a], struct {
				phase int
				taps  []int
			}{f, mine})
		}
	}
	var lists []phaseTaps
	for _, z := range parts[0] {
		for _, y := range parts[1] {
			for _, x := range parts[2] {
				origin := [3]int{z.phase, y.phase, x.phase}
				var size [3]int
				for a := range 3 {
					size[a] = (g.InSize[a] - origin[a] + g.Stride[a] - 1) / g.Stride[a]
				}
				p.phases = append(p.phases, phase{origin: origin, size: size})
				lists = append(lists, phaseTaps{z.taps, y.taps, x.taps})
			}
		}
	}
	p.plan(g, taps, lists, (*pass).choose)
	return p
}

// plan chooses the layout and the sizes of tiles and blocks, and fills the phases' offsets.
func (p *pass) plan(g *Geometry, taps [3][]tap1, lists []phaseTaps, choose func(*pass, int)) {
	var cells [3][][2]int
	for a := range 3 {
		p.axes[a], cells[a] = newAxis(p.step[a], taps[a])
	}
	most := 1
	for _, l := range lists {
		most = max(most, len(l[0])*len(l[1])*len(l[2]))
	}
	choose(p, most)

	// In a panel, the columns of a channel stand in the order of the cells.
	p.union = len(taps[0]) * len(taps[1]) * len(taps[2])
	before := 0
	if p.layout == columns {
		p.panel = roundUp(volume(p.tile), p.level.lanes)
	}
	for i, l := range lists {
		f := &p.phases[i]
		var cell []int32
		for _, a := range l[0] {
			for _, b := range l[1] {
				for _, c := range l[2] {
					f.taps = append(f.taps, (taps[0][a].at*g.Kernel[1]+taps[1][b].at)*g.Kernel[2]+taps[2][c].at)
					if p.layout == columns {
						cell = append(cell, int32(p.panel*((a*len(taps[1])+b)*len(taps[2])+c)))
					} else {
						cell = append(cell, int32(p.cell(cells[0][a], cells[1][b], cells[2][c])))
					}
				}
			}
		}
		f.before = before
		before += len(f.taps)
		f.plain = len(f.taps) == p.kVol
		for i, k := range f.taps {
			f.plain = f.plain && i == k
		}
		pitch := p.channel
		if p.layout == columns {
			pitch = p.union * p.panel
		}
		for c := range p.block {
			for _, o := range cell {
				f.off = append(f.off, int32(4*(c*pitch))+4*o)
			}
		}
	}
	if p.layout == columns {
		p.unroll = nil
		for _, a := range cells[0] {
			for _, b := range cells[1] {
				for _, c := range cells[2] {
					p.unroll = append(p.unroll, p.cell(a, b, c))
				}
			}
		}
	}
}

// cell returns the floats from a position to a tap's factor in a channel of the slab.
func (p *pass) cell(z, y, x [2]int) int {
	return z[0]*(p.tile[0]+p.axes[0].reach)*p.depth + z[1]*p.depth +
		(y[0]*len(p.axes[2].residue)+x[0])*p.plane + y[1]*p.pitch + x[1]
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// choose sets layout, block and tile for phases of at most so many taps.
func (p *pass) choose(taps int) {
	p.chooseLayout(taps)
	p.chooseTile(taps)
}

// chooseLayout compares, for each useful product, the lanes that are thrown away with the cost of unrolling.
func (p *pass) chooseLayout(taps int) {
	lanes := p.level.lanes
	h, w := p.grid[1], p.grid[2]
	p.pitch = w + p.axes[2].reach
	if w%lanes == 0 {
		p.layout = byRow
		return
	}
	waste := float64(roundUp((h-1)*p.pitch+w, lanes)) / float64(h*w)
	// An unrolled factor costs about 0.4 cycles, and a vector of products half a cycle.
	product := float64(roundUp(p.rows, 4)) / float64(2*lanes)
	volumeWaste := float64(roundUp(volume(p.grid), lanes)) / float64(volume(p.grid))
	p.layout = flat
	if product*waste > product*volumeWaste+0.4 {
		p.layout = columns
	}
}

const (
	termsOfBlock = 216       // of a tile kernel: its factors stay in the first-level cache
	slabFloats   = 128 << 10 // of a worker: they stay in the second-level cache
	panelFloats  = 128 << 10
	sumFloats    = 160 << 10 // of a tile's outputs, where several blocks of channels add to them
)

// chooseTile sets the channels of a block and the positions of a tile.
func (p *pass) chooseTile(taps int) {
	p.block = min(p.chans, max(1, termsOfBlock/taps))
	if taps == 1 {
		p.block = min(p.chans, 96)
	}
	nr := [3]int{len(p.axes[0].residue), len(p.axes[1].residue), len(p.axes[2].residue)}
	// slab returns the floats of a slab for a tile.
	slab := func(z, y int) int {
		return p.block * nr[0] * nr[1] * nr[2] * (z + p.axes[0].reach) * (y + p.axes[1].reach) * p.pitch
	}
	h := p.grid[1]
	best, bestCost := [2]int{1, 1}, 0.0
	found := false
	for z := 1; z <= min(p.grid[0], 16); z++ {
		for y := 1; y <= h; y++ {
			if p.layout == columns && z > 1 && y < h {
				continue // a panel's positions must follow each other in the output
			}
			if slab(z, y) > slabFloats {
				continue
			}
			// Outputs that several blocks add to should stay near; those that are scattered afterwards take scratch.
			sums := z * y * p.grid[2] * p.rows * len(p.phases)
			aside := p.layout == flat || p.outStep != [3]int{1, 1, 1}
			if found && (p.chans > p.block && sums > sumFloats || aside && sums > 4*sumFloats) {
				continue
			}
			if p.layout == columns && p.block*taps*len(p.phases)*roundUp(z*y*p.grid[2], p.level.lanes) > panelFloats {
				continue
			}
			// What is copied for a position, counting a partial last tile as whole, and a price for each tile.
			tiles := float64(ceilDiv(p.grid[0], z) * ceilDiv(h, y))
			cost := tiles * (float64((z+p.axes[0].reach)*(y+p.axes[1].reach)*p.pitch) + 512)
			if p.layout == flat {
				// Garbage at the ends of planes counts as well.
				cost += tiles * float64(z*roundUp((y-1)*p.pitch+p.grid[2], p.level.lanes)) * 4
			}
			if !found || cost < bestCost {
				found, best, bestCost = true, [2]int{z, y}, cost
			}
		}
	}
	for !found && p.block > 1 && slab(1, 1) > slabFloats {
		p.block /= 2
	}
	// Even tiles rather than a small last one.
	z := ceilDiv(p.grid[0], ceilDiv(p.grid[0], best[0]))
	y := ceilDiv(h, ceilDiv(h, best[1]))
	p.setTile(z, y)
}

// setTile sets the tile and the slab's sizes.
func (p *pass) setTile(z, y int) {
	p.tile = [3]int{z, y, p.grid[2]}
	p.plane = (y + p.axes[1].reach) * p.pitch
	p.depth = len(p.axes[1].residue) * len(p.axes[2].residue) * p.plane
	p.channel = len(p.axes[0].residue) * (z + p.axes[0].reach) * p.depth
	p.flatRow = ceilDiv((y-1)*p.pitch+p.grid[2], p.level.lanes)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
