package jpeg2000

import (
	"bytes"
	"encoding/binary"
)

// image is what the headers say, and where the tiles' packets are.
type image struct {
	Frame
	area, grid rectangle // on the reference grid: the image, and its first tile (T.800, B.2 and B.3)
	across     int64     // tiles in a row of them
	tiles      []tilePackets
}

// rectangle is a part of the plane, from a corner to before the other one.
type rectangle struct{ x0, y0, x1, y1 int64 }

func (r rectangle) width() int  { return int(r.x1 - r.x0) }
func (r rectangle) height() int { return int(r.y1 - r.y0) }
func (r rectangle) empty() bool { return r.x1 <= r.x0 || r.y1 <= r.y0 }

// intersect returns what two rectangles share, which may be empty.
func (r rectangle) intersect(o rectangle) rectangle {
	return rectangle{max(r.x0, o.x0), max(r.y0, o.y0), min(r.x1, o.x1), min(r.y1, o.y1)}
}

// tilePackets are the packets of a tile, of all its parts.
type tilePackets struct {
	rectangle
	*parameters
	parts [][]byte
}

// parameters are how a tile is coded (A.6.1 and A.6.4).
type parameters struct {
	coded, quantised bool // COD and QCD were there
	order            uint8
	layers           int
	sop, eph         bool
	levels           int
	xcb, ycb         uint8 // logarithms of a code-block's size
	style            uint8
	ppx, ppy         [33]uint8 // logarithms of the precincts' sizes, by resolution
	guard            int
	exponents        []byte // by subband: SPqcd
}

// The progression orders (table A.16).
const (
	orderLRCP = iota
	orderRLCP
	orderRPCL
	orderPCRL
	orderCPRL
)

// The styles of code-blocks (table A.19).
const (
	styleBypass = 1 << iota
	styleReset
	styleTermAll
	styleCausal
	stylePredictable
	styleSymbols
)

// The markers this package knows (table A.2).
const (
	markerSOC = 0xff4f
	markerCAP = 0xff50
	markerSIZ = 0xff51
	markerCOD = 0xff52
	markerCOC = 0xff53
	markerQCD = 0xff5c
	markerQCC = 0xff5d
	markerRGN = 0xff5e
	markerPOC = 0xff5f
	markerPPM = 0xff60
	markerPPT = 0xff61
	markerSOT = 0xff90
	markerSOP = 0xff91
	markerEPH = 0xff92
	markerSOD = 0xff93
	markerEOC = 0xffd9
)

// The boxes this package knows (I.4, table I.2).
var signature = []byte("\x00\x00\x00\x0cjP  \r\n\x87\n")

// codestream returns the codestream of a file of boxes, or the data themselves.
func codestream(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, signature) {
		if len(data) > 0 && bytes.HasPrefix(signature, data) {
			return nil, truncated("%d bytes", len(data))
		}
		return data, nil
	}
	for len(data) >= 8 {
		n, kind, head := uint64(binary.BigEndian.Uint32(data)), string(data[4:8]), uint64(8)
		switch {
		case n == 0: // to the end
			n = uint64(len(data))
		case n == 1 && len(data) >= 16:
			n, head = binary.BigEndian.Uint64(data[8:]), 16
		}
		if n < head {
			return nil, malformed("a box of %d bytes", n)
		}
		if kind == "jp2c" {
			return data[head:min(n, uint64(len(data)))], nil
		}
		if n > uint64(len(data)) {
			return nil, truncated("a box of %d bytes, %d are left", n, len(data))
		}
		if kind == "jp2h" && bytes.Contains(data[head:n], []byte("pclr")) {
			return nil, unsupported("a palette")
		}
		data = data[n:]
	}
	return nil, truncated("a file without a codestream")
}

// read reads the headers, and finds the parts of all tiles.
func read(data []byte) (im image, err error) {
	if data, err = codestream(data); err != nil {
		return im, err
	}
	start := []byte{0xff, 0x4f, 0xff, 0x51} // SOC and SIZ
	if !bytes.HasPrefix(data, start[:min(len(data), 4)]) {
		return im, malformed("no image begins here")
	}
	data = data[min(len(data), 2):]
	p := &parameters{}
	for {
		marker, segment, rest, err := nextSegment(data)
		if err != nil {
			return im, err
		}
		if marker == markerSOT {
			break
		}
		data = rest
		if marker == markerSIZ {
			err = im.size(segment)
		} else {
			err = p.segment(marker, segment)
		}
		if err != nil {
			return im, err
		}
	}
	if !p.coded || !p.quantised {
		return im, malformed("no coding or quantisation parameters")
	}
	return im, im.tileParts(data, p)
}

// nextSegment reads a marker and its segment (A.1.3); markers that have none are not in the headers.
func nextSegment(data []byte) (marker int, segment, rest []byte, err error) {
	if len(data) < 4 {
		return 0, nil, nil, truncated("in the headers")
	}
	be := binary.BigEndian
	marker = int(be.Uint16(data))
	if marker < 0xff00 {
		return 0, nil, nil, malformed("no marker where one must be")
	}
	if marker >= 0xff30 && marker <= 0xff3f { // without a segment, and without a meaning
		return marker, nil, data[2:], nil
	}
	if marker == markerSOD {
		return marker, nil, data[2:], nil
	}
	n := int(be.Uint16(data[2:]))
	if n < 2 {
		return 0, nil, nil, malformed("a segment of %d bytes", n)
	}
	if n > len(data)-2 {
		return 0, nil, nil, truncated("a segment of %d bytes, %d are left", n, len(data)-2)
	}
	return marker, data[4 : 2+n], data[2+n:], nil
}

// size reads the SIZ segment (A.5.1).
func (im *image) size(s []byte) error {
	if im.Components != 0 || len(s) < 39 {
		return malformed("image size")
	}
	be := binary.BigEndian
	at := func(i int) int64 { return int64(be.Uint32(s[2+4*i:])) }
	im.area = rectangle{at(2), at(3), at(0), at(1)}
	im.grid = rectangle{at(6), at(7), at(6) + at(4), at(7) + at(5)}
	im.Components = int(be.Uint16(s[34:]))
	im.Precision, im.Signed = int(s[36]&0x7f)+1, s[36]&0x80 != 0
	im.Rows, im.Columns = im.area.height(), im.area.width()
	switch {
	case im.Components == 0 || len(s) != 36+3*im.Components || im.area.empty():
		return malformed("%d rows x %d columns of %d components", im.Rows, im.Columns, im.Components)
	case im.grid.x0 > im.area.x0 || im.grid.y0 > im.area.y0 || im.grid.x1 <= im.area.x0 || im.grid.y1 <= im.area.y0:
		return malformed("the first tile is not where the image is")
	case be.Uint16(s)&0xc000 != 0:
		return unsupported("high throughput, or the second part of the standard")
	case im.Components != 1:
		return unsupported("%d components", im.Components)
	case s[37] != 1 || s[38] != 1:
		return unsupported("a subsampled component")
	case im.Precision > 16:
		return unsupported("%d bits a sample", im.Precision)
	}
	im.across = ceilDiv(im.area.x1-im.grid.x0, im.grid.x1-im.grid.x0)
	return nil
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// segment reads a segment of the main header or of a tile-part's.
func (p *parameters) segment(marker int, s []byte) error {
	switch marker {
	case markerCOD:
		return p.coding(s)
	case markerQCD:
		return p.quantisation(s)
	case markerCOC, markerQCC:
		return unsupported("parameters of a component's own")
	case markerRGN:
		return unsupported("a region of interest")
	case markerPOC:
		return unsupported("changes of the progression order")
	case markerPPM, markerPPT:
		return unsupported("packed packet headers")
	case markerCAP:
		return unsupported("capabilities of other parts of the standard")
	case markerSIZ, markerSOC, markerSOD, markerEOC, markerSOP, markerEPH:
		return malformed("a marker in a wrong place")
	}
	return nil // lengths and places of packets, comments, and what is to be ignored
}

// coding reads the COD segment (A.6.1).
func (p *parameters) coding(s []byte) error {
	if len(s) < 10 {
		return malformed("coding parameters of %d bytes", len(s))
	}
	p.coded = true
	own := s[0]&1 != 0 // precincts
	p.sop, p.eph = s[0]&2 != 0, s[0]&4 != 0
	p.order, p.layers = s[1], int(binary.BigEndian.Uint16(s[2:]))
	p.levels, p.xcb, p.ycb, p.style = int(s[5]), s[6]+2, s[7]+2, s[8]
	switch {
	case s[0]&^7 != 0 || p.style&0xc0 != 0:
		return unsupported("a coding style of another part of the standard")
	case p.order > orderCPRL || p.layers == 0 || p.levels > 32 || s[9] > 1 || s[4] > 1:
		return malformed("progression %d, %d layers, %d levels, transforms %d and %d", p.order, p.layers, p.levels, s[4], s[9])
	case s[9] != 1:
		return unsupported("the irreversible transform")
	case s[4] != 0:
		return unsupported("a transform of components")
	case s[6] > 8 || s[7] > 8 || p.xcb+p.ycb > 12:
		return malformed("code-blocks of 2^%d x 2^%d", p.xcb, p.ycb)
	case len(s) < 10 || own && len(s) < 11+p.levels:
		return malformed("coding parameters of %d bytes", len(s))
	}
	for r := range p.levels + 1 {
		p.ppx[r], p.ppy[r] = 15, 15
		if own {
			p.ppx[r], p.ppy[r] = s[10+r]&15, s[10+r]>>4
			if r > 0 && (p.ppx[r] == 0 || p.ppy[r] == 0) {
				return malformed("a precinct of one sample")
			}
		}
	}
	return nil
}

// quantisation reads the QCD segment (A.6.4). A reversible transform has none, but for the subbands' exponents.
func (p *parameters) quantisation(s []byte) error {
	if len(s) < 2 {
		return malformed("quantisation parameters of %d bytes", len(s))
	}
	p.quantised = true
	p.guard = int(s[0] >> 5)
	if s[0]&31 != 0 {
		return unsupported("quantisation")
	}
	p.exponents = s[1:]
	return nil
}

// tileParts walks the tile-parts (A.4.2) to the end of the codestream. A part takes 14 bytes and more, which bounds the number of tiles.
func (im *image) tileParts(data []byte, main *parameters) error {
	be := binary.BigEndian
	down := ceilDiv(im.area.y1-im.grid.y0, im.grid.y1-im.grid.y0)
	tiles := im.across * down
	if most := int64(len(data) / 14); im.across > most || down > most/im.across { // the product may not fit
		return truncated("%d bytes cannot hold %d x %d tiles", len(data), down, im.across)
	}
	im.tiles = make([]tilePackets, tiles)
	for len(data) >= 2 && be.Uint16(data) != markerEOC {
		_, s, rest, err := nextSegment(data)
		if err != nil {
			return err
		}
		if be.Uint16(data) != markerSOT || len(s) != 8 {
			return malformed("no tile-part where one must be")
		}
		index, length, part := int64(be.Uint16(s)), int64(be.Uint32(s[2:])), int(s[6])
		if length == 0 { // the last one, to the end
			length = int64(len(data))
		}
		if index >= tiles || length < 14 {
			return malformed("tile %d of %d, of %d bytes", index+1, tiles, length)
		}
		if length > int64(len(data)) {
			return truncated("a tile-part of %d bytes, %d are left", length, len(data))
		}
		t := &im.tiles[index]
		if part != len(t.parts) {
			return malformed("part %d of tile %d where part %d must be", part+1, index+1, len(t.parts)+1)
		}
		if part == 0 {
			t.rectangle, t.parameters = im.tileAt(index), main
		}
		body := rest[:length-12]
		for {
			marker, s, rest, err := nextSegment(body)
			if err != nil {
				if len(body) == 2 && be.Uint16(body) == markerSOD { // no packets
					t.parts = append(t.parts, nil)
					break
				}
				return err
			}
			body = rest
			if marker == markerSOD {
				t.parts = append(t.parts, body)
				break
			}
			if marker == markerCOD || marker == markerQCD {
				if part != 0 {
					return malformed("parameters in a later part of a tile")
				}
				own := *t.parameters
				t.parameters = &own
			}
			if err := t.segment(marker, s); err != nil {
				return err
			}
		}
		data = data[length:]
	}
	for i := range im.tiles {
		if t := &im.tiles[i]; len(t.parts) == 0 {
			return truncated("tile %d of %d is not there", i+1, tiles)
		} else if len(t.exponents) < 3*t.levels+1 {
			return malformed("exponents of %d subbands, and %d levels", len(t.exponents), t.levels)
		}
	}
	return nil
}

// tileAt returns a tile's place (B.3).
func (im *image) tileAt(index int64) rectangle {
	w, h := im.grid.x1-im.grid.x0, im.grid.y1-im.grid.y0
	x, y := im.grid.x0+index%im.across*w, im.grid.y0+index/im.across*h
	return rectangle{x, y, x + w, y + h}.intersect(im.area)
}
