package jpeg2000

import "slices"

// tileState is what is known of the tile at work. Its lists are used again for the next one.
type tileState struct {
	data        []byte // the packets
	stride      int    // of coefficients
	resolutions [33]resolution
	precincts   []precinct
	blocks      []block
	nodes       []node
	chunks      []chunk
	order       []packetPlace
}

// resolution is the tile at one of its sizes (T.800, B.5).
type resolution struct {
	rectangle
	bands        []band
	store        [3]band
	across, down int64 // precincts
	first        int   // of these, in tileState.precincts
	left, top    int64 // the first one's place, counted in precincts from the plane's origin
	ppx, ppy     uint8
	xcb, ycb     uint8 // logarithms of a code-block's size here
}

// band is a subband (B.5).
type band struct {
	rectangle
	kind   uint8
	planes int // bits of a coefficient's magnitude (E.1, equation E-2)
	at     int // where its first coefficient is in decoder.coefficients
}

// The subbands, by what they hold: the first letter is the horizontal filter's.
const (
	bandLL = iota
	bandHL
	bandLH
	bandHH
)

// precinct is a part of a resolution whose code-blocks share packets (B.6).
type precinct struct {
	parts [3]precinctBand
}

// precinctBand is a precinct's part of a subband: code-blocks, row by row, and what their packets' headers are read by.
type precinctBand struct {
	first        int32 // in tileState.blocks
	across, down int32
	included     int32 // tag trees, in tileState.nodes
	zeros        int32
}

// block is a code-block (B.7).
type block struct {
	at            int // where its first coefficient is in decoder.coefficients
	width, height int32
	band          *band
	included      bool
	lengthBits    uint8 // Lblock of B.10.7.1
	zeros         uint8 // planes that are missing from the top
	passes        int
	first, last   int32 // in tileState.chunks; -1 for none
}

func ceilShift(v int64, n int) int64 { return (v + 1<<n - 1) >> n }

// scaled returns the rectangle that a part of the plane becomes in a subband of so many levels (equation B-15), or in a resolution.
func (r rectangle) scaled(levels int, x, y int64) rectangle {
	if levels > 0 {
		x, y = x<<(levels-1), y<<(levels-1)
	}
	return rectangle{ceilShift(r.x0-x, levels), ceilShift(r.y0-y, levels), ceilShift(r.x1-x, levels), ceilShift(r.y1-y, levels)}
}

// tile decodes a tile.
func (d *decoder) tile(t *tilePackets) error {
	d.data = t.parts[0]
	if len(t.parts) > 1 {
		d.data = slices.Concat(t.parts...)
	}
	if err := d.layOut(t); err != nil {
		return err
	}
	// A packet may pass over all its code-blocks without a bit for any of them.
	if n, most := len(d.blocks)*t.layers, 16*t.width()*t.height()+64*len(d.data); n > most {
		return malformed("%d code-blocks in %d layers", len(d.blocks), t.layers)
	}
	if err := d.readPackets(t); err != nil {
		return err
	}
	d.stride = t.width()
	d.coefficients = sized(d.coefficients, d.stride*t.height())
	for i := range d.blocks {
		if err := d.decodeBlock(&d.blocks[i], t.style); err != nil {
			return err
		}
	}
	d.synthesise(t)
	return nil
}

// layOut finds resolutions, subbands, precincts and code-blocks. Each packet takes a byte, so that there are no more precincts than bytes;
// blocks have 16 coefficients or share a precinct with at most eleven others.
func (d *decoder) layOut(t *tilePackets) error {
	packets := int64(0)
	for r := range t.levels + 1 {
		res := &d.resolutions[r]
		*res = resolution{rectangle: t.scaled(t.levels-r, 0, 0), ppx: t.ppx[r], ppy: t.ppy[r]}
		res.bands = d.bandsOf(t, r)
		if !res.empty() {
			res.left, res.top = res.x0>>res.ppx, res.y0>>res.ppy
			res.across = ceilShift(res.x1, int(res.ppx)) - res.left
			res.down = ceilShift(res.y1, int(res.ppy)) - res.top
			if res.across > int64(len(d.data)) || res.down > int64(len(d.data))/res.across { // the product may not fit
				return truncated("%d bytes cannot hold packets of %d x %d precincts", len(d.data), res.down, res.across)
			}
			packets += res.across * res.down * int64(t.layers)
		}
		if packets > int64(len(d.data)) {
			return truncated("%d bytes cannot hold %d packets", len(d.data), packets)
		}
	}
	d.precincts, d.blocks, d.nodes = d.precincts[:0], d.blocks[:0], d.nodes[:0]
	for r := range t.levels + 1 {
		res := &d.resolutions[r]
		res.first = len(d.precincts)
		ppx, ppy := res.ppx, res.ppy
		if r > 0 { // of subbands: half as large
			ppx, ppy = ppx-1, ppy-1
		}
		res.xcb, res.ycb = min(t.xcb, ppx), min(t.ycb, ppy)
		for y := range res.down {
			for x := range res.across {
				corner := rectangle{x0: (res.left + x) << ppx, y0: (res.top + y) << ppy}
				corner.x1, corner.y1 = corner.x0+1<<ppx, corner.y0+1<<ppy
				d.precincts = append(d.precincts, precinct{})
				p := &d.precincts[len(d.precincts)-1]
				for i := range res.bands {
					p.parts[i] = d.blocksOf(t, res, &res.bands[i], corner)
				}
			}
		}
	}
	return nil
}

// bandsOf returns the subbands of a resolution, and their places: HL right of the resolution before, LH below it, HH below HL.
func (d *decoder) bandsOf(t *tilePackets, r int) []band {
	res := &d.resolutions[r]
	if r == 0 {
		res.store[0] = band{rectangle: t.scaled(t.levels, 0, 0), kind: bandLL, planes: t.planes(0)}
		return res.store[:1]
	}
	before := &d.resolutions[r-1]
	for i, kind := range []uint8{bandHL, bandLH, bandHH} {
		x, y := int64(kind&1), int64(kind>>1)
		b := band{rectangle: t.scaled(t.levels-r+1, x, y), kind: kind, planes: t.planes(3*r - 2 + i)}
		b.at = int(x)*before.width() + int(y)*before.height()*t.width()
		res.store[i] = b
	}
	return res.store[:]
}

// planes is the number of bit planes of a subband (equation E-2).
func (p *parameters) planes(subband int) int { return p.guard + int(p.exponents[subband]>>3) - 1 }

// blocksOf makes the code-blocks of a subband within a precinct, which lies at a place of the subband's plane.
func (d *decoder) blocksOf(t *tilePackets, res *resolution, b *band, place rectangle) precinctBand {
	area := b.intersect(place)
	part := precinctBand{first: int32(len(d.blocks))}
	if area.empty() {
		return part
	}
	x0, y0 := area.x0>>res.xcb, area.y0>>res.ycb
	x1, y1 := ceilShift(area.x1, int(res.xcb)), ceilShift(area.y1, int(res.ycb))
	part.across, part.down = int32(x1-x0), int32(y1-y0)
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			c := rectangle{x << res.xcb, y << res.ycb, (x + 1) << res.xcb, (y + 1) << res.ycb}.intersect(area)
			d.blocks = append(d.blocks, block{
				at:    b.at + int(c.y0-b.y0)*t.width() + int(c.x0-b.x0),
				width: int32(c.width()), height: int32(c.height()),
				band: b, lengthBits: 3, first: -1, last: -1,
			})
		}
	}
	part.included = d.newTree(part.across, part.down)
	part.zeros = d.newTree(part.across, part.down)
	return part
}
