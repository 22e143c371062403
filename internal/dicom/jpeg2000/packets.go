package jpeg2000

import (
	"cmp"
	"math/bits"
	"slices"
)

// node is one of a tag tree (T.800, B.10.2): a value that is at least low, and is known when that is the value.
type node struct {
	low   int32
	known bool
}

// newTree makes a tag tree of so many leaves, its leaves first and its root last, and returns its place in d.nodes.
func (d *tileState) newTree(across, down int32) int32 {
	at, n := len(d.nodes), 0
	for w, h := across, down; ; w, h = (w+1)/2, (h+1)/2 {
		n += int(w) * int(h)
		if w*h <= 1 {
			break
		}
	}
	d.nodes = slices.Grow(d.nodes, n)[:at+n]
	clear(d.nodes[at:])
	return int32(at)
}

// treeValue reads as much of a tag tree as says whether a leaf's value is below a limit, and returns the value if it is.
func (d *tileState) treeValue(r *headerBits, tree, across, down, x, y, limit int32) (value int32, below bool) {
	var path [32]*node
	n := 0
	for at, w, h := tree, across, down; ; n++ {
		path[n] = &d.nodes[at+y*w+x]
		if w*h <= 1 {
			break
		}
		at += w * h
		x, y, w, h = x/2, y/2, (w+1)/2, (h+1)/2
	}
	low := int32(0)
	for ; n >= 0; n-- {
		p := path[n]
		p.low = max(p.low, low)
		for !p.known && p.low < limit {
			if r.bit() == 1 {
				p.known = true
			} else {
				p.low++
			}
		}
		low = p.low
	}
	return low, path[0].known && low < limit
}

// headerBits reads the bits of a packet's header. Behind a byte of 0xff a bit is stuffed (B.10.1). Behind the end it reads ones, which end
// every loop.
type headerBits struct {
	data    []byte
	at      int
	current byte
	left    uint
	lacks   bool
}

func (r *headerBits) bit() int {
	if r.left == 0 {
		r.left = 8
		if r.current == 0xff {
			r.left = 7
		}
		if r.at < len(r.data) {
			r.current = r.data[r.at]
		} else {
			r.current, r.left, r.lacks = 0x7f, 7, true
		}
		r.at++
	}
	r.left--
	return int(r.current>>r.left) & 1
}

func (r *headerBits) take(n int) (v int) {
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

// end skips what is left of the header's last byte, and the byte that must follow when that one is 0xff.
func (r *headerBits) end() int {
	if r.current == 0xff {
		r.left = 0
		r.bit()
	}
	return r.at
}

// passCount reads how many coding passes a packet adds to a code-block (table B.4).
func (r *headerBits) passCount() int {
	for _, code := range [...]struct{ bits, first int }{{1, 1}, {1, 2}, {2, 3}, {5, 6}, {7, 37}} {
		if v := r.take(code.bits); v != 1<<code.bits-1 || code.bits == 7 {
			return code.first + v
		}
	}
	return 0 // not reached: the last code takes any value
}

// packetPlace is where the order of packets comes to a precinct: a place of the reference grid, and a resolution.
type packetPlace struct {
	y, x     int64
	r        int
	precinct int
}

// chunk is what a packet adds to one codeword segment of a code-block.
type chunk struct {
	offset, length int
	passes         int
	begins         bool  // the segment
	next           int32 // in tileState.chunks; -1 for none
}

// readPackets reads all packets of a tile, in the order of its progression (B.12.1). With a single component CPRL is PCRL.
func (d *decoder) readPackets(t *tilePackets) error {
	d.chunks = d.chunks[:0]
	at := 0
	var err error
	packet := func(layer, r, precinct int) bool {
		at, err = d.packet(t, at, layer, &d.resolutions[r], precinct)
		return err == nil
	}
	all := func(layer, r int) bool {
		res := &d.resolutions[r]
		for k := range int(res.across * res.down) {
			if !packet(layer, r, res.first+k) {
				return false
			}
		}
		return true
	}
	switch t.order {
	case orderLRCP:
		for layer := range t.layers {
			for r := range t.levels + 1 {
				if !all(layer, r) {
					return err
				}
			}
		}
	case orderRLCP:
		for r := range t.levels + 1 {
			for layer := range t.layers {
				if !all(layer, r) {
					return err
				}
			}
		}
	default:
		for _, p := range d.places(t) {
			for layer := range t.layers {
				if !packet(layer, p.r, p.precinct) {
					return err
				}
			}
		}
	}
	return nil
}

// places returns all precincts in the order of a progression by places: within resolutions, or over all of them.
func (d *decoder) places(t *tilePackets) []packetPlace {
	d.order = d.order[:0]
	for r := range t.levels + 1 {
		res := &d.resolutions[r]
		for k := range res.across * res.down {
			// The first ones may begin before the tile does, and are met where that begins (B.12.1.3).
			d.order = append(d.order, packetPlace{
				y: max(t.y0, (res.top+k/res.across)<<res.ppy<<(t.levels-r)), x: max(t.x0, (res.left+k%res.across)<<res.ppx<<(t.levels-r)),
				r: r, precinct: res.first + int(k),
			})
		}
	}
	if t.order != orderRPCL { // where they are in order of their places anyway
		slices.SortStableFunc(d.order, func(a, b packetPlace) int {
			return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x))
		})
	}
	return d.order
}

// packet reads a packet (B.9 and B.10) that begins at a byte of the tile's data, and returns where it ends.
func (d *decoder) packet(t *tilePackets, at, layer int, res *resolution, precinct int) (int, error) {
	marker := func(m int) bool {
		return at+2 <= len(d.data) && int(d.data[at])<<8|int(d.data[at+1]) == m
	}
	if t.sop && marker(markerSOP) { // which may be left out (A.8.1)
		at += 6
	}
	if at >= len(d.data) {
		return 0, truncated("%d bytes of packets, and none of layer %d of a precinct", len(d.data), layer+1)
	}
	r := headerBits{data: d.data, at: at}
	first := len(d.chunks)
	if r.bit() == 1 {
		p := &d.precincts[precinct]
		for i := range res.bands {
			if err := d.packetHeader(&r, t, &p.parts[i], int32(layer)); err != nil {
				return 0, err
			}
		}
	}
	at = r.end()
	if r.lacks {
		return 0, truncated("in a packet's header")
	}
	if t.eph {
		if !marker(markerEPH) {
			return 0, malformed("a packet's header does not end where it must")
		}
		at += 2
	}
	for i := range d.chunks[first:] {
		c := &d.chunks[first+i]
		if c.length > len(d.data)-at {
			return 0, truncated("%d bytes of a code-block, %d are left", c.length, len(d.data)-at)
		}
		c.offset = at
		at += c.length
	}
	return at, nil
}

// packetHeader reads what a packet's header says of a precinct's code-blocks in one subband (B.10.3 to B.10.7).
func (d *decoder) packetHeader(r *headerBits, t *tilePackets, part *precinctBand, layer int32) error {
	for i := range part.across * part.down {
		b := &d.blocks[part.first+i]
		x, y := i%part.across, i/part.across
		if b.included {
			if r.bit() == 0 {
				continue
			}
		} else {
			if _, included := d.treeValue(r, part.included, part.across, part.down, x, y, layer+1); !included {
				continue
			}
			b.included = true
			zeros, ok := d.treeValue(r, part.zeros, part.across, part.down, x, y, int32(b.band.planes))
			if r.lacks {
				return truncated("in a packet's header")
			}
			if !ok {
				return malformed("a code-block without bit planes")
			}
			if b.band.planes-int(zeros) > maxPlanes {
				return unsupported("%d bit planes", b.band.planes-int(zeros))
			}
			b.zeros = uint8(zeros)
		}
		if err := d.contribution(r, t.style, b); err != nil {
			return err
		}
	}
	return nil
}

// contribution reads how many passes and bytes a packet has of a code-block.
func (d *decoder) contribution(r *headerBits, style uint8, b *block) error {
	passes := r.passCount()
	for r.bit() == 1 && !r.lacks {
		if b.lengthBits++; b.lengthBits > 31 {
			return malformed("a length of more than 31 bits")
		}
	}
	if most := 3*(b.band.planes-int(b.zeros)) - 2; b.passes+passes > most && !r.lacks {
		return malformed("%d coding passes, of at most %d", b.passes+passes, most)
	}
	for passes > 0 && !r.lacks {
		segment, begins := segmentAt(style, b.passes)
		n := min(passes, segment)
		width := int(b.lengthBits) + bits.Len(uint(n)) - 1
		if width > 31 {
			return malformed("a length of more than 31 bits")
		}
		d.chunks = append(d.chunks, chunk{length: r.take(width), passes: n, begins: begins, next: -1})
		last := int32(len(d.chunks) - 1)
		if b.first < 0 {
			b.first = last
		} else {
			d.chunks[b.last].next = last
		}
		b.last = last
		b.passes += n
		passes -= n
	}
	if r.lacks {
		return truncated("in a packet's header")
	}
	return nil
}

// segmentAt returns how many passes, from one on, the codeword segment has left that this pass is in, and whether it begins it (D.4.2 and D.6,
// table D.9): by default one segment has all.
func segmentAt(style uint8, pass int) (left int, begins bool) {
	switch {
	case style&styleTermAll != 0:
		return 1, true
	case style&styleBypass == 0:
		return 1 << 20, pass == 0
	case pass < firstRaw:
		return firstRaw - pass, pass == 0
	}
	switch kindOf(pass) {
	case significance:
		return 2, true
	case refinement:
		return 1, false
	}
	return 1, true
}
