package jpeg2000

import (
	"encoding/binary"
	"math/bits"
)

// maxPlanes is how many bit planes a code-block may have: so many and one bit more fit a magnitude. OpenJPEG has one less.
const maxPlanes = 31

// The coding passes (T.800, D.3), and the first that is not arithmetically coded where the style says so (D.6).
const (
	significance = iota
	refinement
	cleanup
)

const firstRaw = 10

// kindOf returns what a code-block's pass is: the first plane has a cleanup pass alone.
func kindOf(pass int) int { return (pass + 2) % 3 }

// The contexts (table D.7): nine for significance and five for signs, three for refinement.
const (
	contextSign    = 9
	contextRefine  = 14
	contextRun     = 17
	contextUniform = 18
)

// coder decodes code-blocks.
//
// A stripe of four rows has a word of flags for each column, and rows of words lie above the first stripe and below the last, columns beside
// the first and the last. A word knows the significance of the column's four coefficients and of all their neighbours, six rows of three
// columns, and the signs, so that a coefficient's context is a part of its column's word, three bits further up for each row:
//
//	bits 0 to 17   significance, from the row above on; 4, 7, 10 and 13 are the column's own
//	32 to 49       signs, as the significances
//
// Magnitudes lie four to a word of flags, and have a bit more below: half of the last plane that was decoded.
type coder struct {
	mq            arithmetic
	contexts      [32]int64
	width, height int
	rowWords      int        // words of a stripe
	zero          [512]uint8 // contexts of significance
	reach         [16]int    // where a row's significance must also be known: to the words above or below
	reached       [16]uint64 // and to which row there
	flags         [mostWords]uint64
	magnitudes    [4 * mostWords]uint32

	// What a significance pass leaves to the two behind it: places of magnitudes, of 16 bits each, and places of words, with rows from bit 16 on.
	toRefine [8192 + 8]byte
	toClean  [2048]uint32
	refined  int // bytes
	cleaned  int
	segment  []byte // where it lies in several packets
}

const (
	mostWords = 4096 // of 1024 x 4 coefficients there are 3078

	allRows    = 0o1111 // a bit for each row of a stripe, three apart
	neighbours = 1<<18 - 1
	shiftOwn   = 4
	shiftSigns = 32
)

// zeroContexts are the contexts of table D.1, by the significance of three rows of three, for each kind of subband.
var zeroContexts = func() (all [4][512]uint8) {
	for i := range 512 {
		at := func(bit int) int { return i >> bit & 1 }
		h, v, d := at(3)+at(5), at(1)+at(7), at(0)+at(2)+at(6)+at(8)
		all[bandLL][i] = zeroContext(h, v, d)
		all[bandLH][i] = zeroContext(h, v, d)
		all[bandHL][i] = zeroContext(v, h, d)
		all[bandHH][i] = diagonalContext(h+v, d)
	}
	return all
}()

func zeroContext(h, v, d int) uint8 {
	switch {
	case h == 2:
		return 8
	case h == 1 && v >= 1:
		return 7
	case h == 1 && d >= 1:
		return 6
	case h == 1:
		return 5
	case v > 0:
		return uint8(2 + v)
	}
	return uint8(min(d, 2))
}

func diagonalContext(hv, d int) uint8 {
	switch {
	case d >= 3:
		return 8
	case d == 2:
		return uint8(6 + min(hv, 1))
	case d == 1:
		return uint8(3 + min(hv, 2))
	}
	return uint8(min(hv, 2))
}

// signContexts are those of tables D.2 and D.3, by the significance of the neighbours above, left, right and below, in bits 1, 3, 5 and 7, and
// by their signs in the bit below each. The highest bit tells that the sign is coded the other way round.
var signContexts = func() (all [256]uint8) {
	for i := range all {
		at := func(bit int) int { return (i >> bit & 1) * (1 - 2*(i>>(bit-1)&1)) }
		h, v := min(max(at(3)+at(5), -1), 1), min(max(at(1)+at(7), -1), 1)
		turned := uint8(0)
		if h < 0 || h == 0 && v < 0 {
			h, v, turned = -h, -v, 0x80
		}
		all[i] = uint8(contextSign+3*h+v) | turned
	}
	return all
}()

// rowLists are the rows of a stripe, of 16 bits each, that a mask of allRows has, by its bits in reverse order; rowBytes are how long the lists are.
var rowLists, rowBytes = func() (lists [16]uint64, n [16]int) {
	for i := range lists {
		for row := range uint64(4) {
			if i>>(3-row)&1 != 0 {
				lists[i] |= row << (8 * n[i])
				n[i] += 2
			}
		}
	}
	return lists, n
}()

// refineContexts are those of table D.4, by the neighbours' significance, and by bit 9 whether it is not the first refinement.
var refineContexts = func() (all [1024]uint8) {
	for i := range all {
		switch {
		case i&512 != 0:
			all[i] = contextRefine + 2
		case i&0o757 != 0:
			all[i] = contextRefine + 1
		default:
			all[i] = contextRefine
		}
	}
	return all
}()

// reset sets all contexts to their first states (table D.7).
func (k *coder) reset() {
	for i := range k.contexts {
		k.contexts[i] = begun
	}
	k.contexts[0], k.contexts[contextRun], k.contexts[contextUniform] = begunZero, begunRun, begunUniform
}

// decodeBlock decodes a code-block, and puts its coefficients where they belong.
func (d *decoder) decodeBlock(b *block, style uint8) error {
	k := &d.coder
	k.width, k.height = int(b.width), int(b.height)
	k.rowWords = k.width + 2
	if b.first < 0 {
		for y := range k.height {
			clear(d.coefficients[b.at+y*d.stride:][:k.width])
		}
		return nil
	}
	k.zero = zeroContexts[b.band.kind]
	words := k.rowWords * ((k.height+3)/4 + 2)
	clear(k.flags[:words])
	clear(k.magnitudes[:4*words])
	k.reach = [16]int{0: -k.rowWords, 9: k.rowWords}
	k.reached = [16]uint64{0: 1 << 15, 9: 1}
	if style&styleCausal != 0 {
		k.reached[0] = 0
	}
	k.cleaned = 0
	for n := range (k.height + 3) / 4 { // before the first pass, which is a cleanup pass
		i := (n+1)*k.rowWords + 1
		for end := i + k.width; i < end; i++ {
			k.toClean[k.cleaned] = uint32(i) | uint32(k.rowsOf(n))<<16
			k.cleaned++
		}
	}
	k.reset()
	pass := 0
	for i := b.first; i >= 0; {
		// A segment has the bytes of its chunks.
		c := &d.chunks[i]
		data, passes := d.data[c.offset:][:c.length], c.passes
		i = c.next
		for whole := false; i >= 0 && !d.chunks[i].begins; i = c.next {
			c = &d.chunks[i]
			if !whole {
				k.segment, whole = append(k.segment[:0], data...), true
			}
			k.segment = append(k.segment, d.data[c.offset:][:c.length]...)
			data, passes = k.segment, passes+c.passes
		}
		if err := k.segmentPasses(data, pass, passes, b.band.planes-int(b.zeros), style); err != nil {
			return err
		}
		pass += passes
	}
	k.store(d.coefficients[b.at:], d.stride)
	return nil
}

// segmentPasses decodes the passes of a codeword segment.
func (k *coder) segmentPasses(data []byte, pass, passes, planes int, style uint8) error {
	raw := style&styleBypass != 0 && pass >= firstRaw && kindOf(pass) != cleanup
	plain := rawBits{data: data}
	if !raw {
		k.mq.begin(data)
	}
	for ; passes > 0; passes-- {
		plane := uint(planes - 1 - (pass+2)/3)
		switch kind := kindOf(pass); {
		case raw && kind == significance:
			k.rawSignificance(&plain, plane)
		case raw:
			k.rawRefinement(&plain, plane)
		case kind == significance:
			k.significance(plane)
		case kind == refinement:
			k.refinement(plane)
		default:
			k.cleanup(plane)
			if style&styleSymbols != 0 && k.symbol() != 0b1010 { // D.5
				return malformed("a code-block's bits are damaged")
			}
		}
		if style&styleReset != 0 {
			k.reset()
		}
		pass++
	}
	return nil
}

// symbol reads a segmentation symbol.
func (k *coder) symbol() (v int) {
	for range 4 {
		v = v<<1 | k.mq.bit(&k.contexts[contextUniform])
	}
	return v
}

// rowsOf returns a bit for each row that a stripe has.
func (k *coder) rowsOf(stripe int) uint64 {
	return allRows >> max(0, 3*(4*stripe+4-k.height))
}

// significance decodes a significance propagation pass (D.3.1 and D.3.2).
func (k *coder) significance(plane uint) {
	a, c, refine, clean := k.mq.a, k.mq.c, 0, 0
	for n := range (k.height + 3) / 4 {
		rows := k.rowsOf(n)
		i := (n+1)*k.rowWords + 1
		for end := i + k.width; i < end; i++ {
			f := k.flags[i&(mostWords-1)]
			if f&neighbours == 0 {
				k.toClean[clean&2047] = uint32(i) | uint32(rows)<<16
				clean++
				continue
			}
			significant := f >> shiftOwn & allRows
			rest := rows &^ significant
			m := f | f>>1 | f>>2
			m = (m | m>>3 | m>>6) & rest
			left := rest &^ m
			for m != 0 {
				s := uint(bits.TrailingZeros64(m)) & 63
				m &= m - 1
				context := &k.contexts[k.zero[f>>s&511]&31]
				state := *context
				bit := state
				qe := state & maskQe
				a, c = a-qe, c-qe
				if a|c < 0 {
					var less int64
					a, c, less = decide(a, c, state, qe)
					*context = next(state, less)
					bit = state ^ less
					if drained(c) {
						c = k.mq.fill(c)
					}
				}
				if bit&bitMore == 0 {
					continue
				}
				sign := signContexts[uint8(f>>s&0xaa|f>>(shiftSigns+1)>>s&0x55)]
				context = &k.contexts[sign&31]
				state = *context
				bit = state
				qe = state & maskQe
				a, c = a-qe, c-qe
				if a|c < 0 {
					var less int64
					a, c, less = decide(a, c, state, qe)
					*context = next(state, less)
					bit = state ^ less
					if drained(c) {
						c = k.mq.fill(c)
					}
				}
				bit = (bit>>1 ^ int64(sign>>7)) & 1
				f |= k.near(i, s, uint64(bit))
				k.far(i, s, uint64(bit))
				k.magnitudes[(4*i+int(s*11>>5))&(4*mostWords-1)] = 3 << (plane & 31)
				m |= 8 << s & rest // has a neighbour now
				left &^= m
			}
			k.flags[i&(mostWords-1)] = f
			k.toClean[clean&2047] = uint32(i) | uint32(left)<<16
			clean += int((left + 1023) >> 10) // if any
			significant = significant * 0x1111 >> 9 & 15
			binary.LittleEndian.PutUint64(k.toRefine[refine&8191:], rowLists[significant]+uint64(4*i)*0x0001_0001_0001_0001)
			refine += rowBytes[significant]
		}
	}
	k.mq.a, k.mq.c, k.refined, k.cleaned = a, c, refine, clean
}

// near tells the words beside a coefficient's that it is significant, and its sign; what its own must be told is returned.
func (k *coder) near(i int, s uint, sign uint64) uint64 {
	u := (1 | sign<<shiftSigns) << s
	k.flags[(i-1)&(mostWords-1)] |= u << 5
	k.flags[(i+1)&(mostWords-1)] |= u << 3
	return u << 4
}

// far tells the words above or below, of a coefficient in a stripe's first or last row. For the others it changes nothing: a jump that nothing
// foretells would take longer.
func (k *coder) far(i int, s uint, sign uint64) {
	u := k.reached[s&15] * (1 | sign<<shiftSigns)
	i += k.reach[s&15]
	k.flags[(i-1)&(mostWords-1)] |= u << 2
	k.flags[i&(mostWords-1)] |= u << 1
	k.flags[(i+1)&(mostWords-1)] |= u
}

// refinement decodes a magnitude refinement pass (D.3.3) of the coefficients that the significance pass before it has listed.
func (k *coder) refinement(plane uint) {
	a, c := k.mq.a, k.mq.c
	half := uint32(1) << (plane & 31)
	for n := 0; n < k.refined; n += 2 {
		e := binary.LittleEndian.Uint16(k.toRefine[n&8191:])
		at := &k.magnitudes[e&(4*mostWords-1)]
		magnitude := *at
		// What was not refined before has two bits: that of the plane above, and a half of it.
		again := uint32(int32(7-magnitude>>(plane&31)) >> 31)
		context := &k.contexts[refineContexts[uint32(k.flags[e>>2&(mostWords-1)]>>(3*(e&3)))&511|again&512]&31]
		state := *context
		bit := state
		qe := state & maskQe
		a, c = a-qe, c-qe
		if a|c < 0 {
			var less int64
			a, c, less = decide(a, c, state, qe)
			*context = next(state, less)
			bit = state ^ less
			if drained(c) {
				c = k.mq.fill(c)
			}
		}
		*at = magnitude + uint32(bit&bitMore)<<(plane&31) - half // the bit that was set stood for half of it
	}
	k.mq.a, k.mq.c = a, c
}

// cleanup decodes a cleanup pass (D.3.4).
func (k *coder) cleanup(plane uint) {
	a, c := k.mq.a, k.mq.c
	for _, e := range k.toClean[:k.cleaned&2047] {
		i, m := int(e&(mostWords-1)), uint64(e>>16)
		f := k.flags[i&(mostWords-1)]
		significant := false // the next one is, without a bit of its own
		if f&neighbours == 0 && m == allRows {
			state := k.contexts[contextRun]
			bit := state
			qe := state & maskQe
			a, c = a-qe, c-qe
			if a|c < 0 {
				var less int64
				a, c, less = decide(a, c, state, qe)
				k.contexts[contextRun] = next(state, less)
				bit = state ^ less
				if drained(c) {
					c = k.mq.fill(c)
				}
			}
			if bit&bitMore == 0 {
				continue
			}
			k.mq.a, k.mq.c = a, c
			at := k.mq.bit(&k.contexts[contextUniform]) << 1
			at |= k.mq.bit(&k.contexts[contextUniform])
			a, c = k.mq.a, k.mq.c
			m = allRows << (3 * uint(at)) & allRows
			significant = true
		}
		for m != 0 {
			s := uint(bits.TrailingZeros64(m)) & 63
			m &= m - 1
			if !significant {
				context := &k.contexts[k.zero[f>>s&511]&31]
				state := *context
				bit := state
				qe := state & maskQe
				a, c = a-qe, c-qe
				if a|c < 0 {
					var less int64
					a, c, less = decide(a, c, state, qe)
					*context = next(state, less)
					bit = state ^ less
					if drained(c) {
						c = k.mq.fill(c)
					}
				}
				if bit&bitMore == 0 {
					continue
				}
			}
			significant = false
			sign := signContexts[uint8(f>>s&0xaa|f>>(shiftSigns+1)>>s&0x55)]
			context := &k.contexts[sign&31]
			state := *context
			bit := state
			qe := state & maskQe
			a, c = a-qe, c-qe
			if a|c < 0 {
				var less int64
				a, c, less = decide(a, c, state, qe)
				*context = next(state, less)
				bit = state ^ less
				if drained(c) {
					c = k.mq.fill(c)
				}
			}
			bit = (bit>>1 ^ int64(sign>>7)) & 1
			f |= k.near(i, s, uint64(bit))
			k.far(i, s, uint64(bit))
			k.magnitudes[(4*i+int(s*11>>5))&(4*mostWords-1)] = 3 << (plane & 31)
		}
		k.flags[i&(mostWords-1)] = f
	}
	k.mq.a, k.mq.c = a, c
}

// rawBits reads the bits of a segment that is not arithmetically coded (D.6). Behind its end are ones.
type rawBits struct {
	data    []byte
	at      int
	current byte
	left    uint
}

func (r *rawBits) bit() uint64 {
	if r.left == 0 {
		r.left = 8
		if r.current == 0xff {
			r.left = 7
		}
		r.current = 0xff
		if r.at < len(r.data) {
			r.current = r.data[r.at]
		}
		r.at++
	}
	r.left--
	return uint64(r.current>>r.left) & 1
}

// rawSignificance is significance, of bits as they are.
func (k *coder) rawSignificance(r *rawBits, plane uint) {
	k.refined, k.cleaned = 0, 0
	for n := range (k.height + 3) / 4 {
		rows := k.rowsOf(n)
		i := (n+1)*k.rowWords + 1
		for end := i + k.width; i < end; i++ {
			left := uint32(0)
			for s := uint(0); s < 12; s += 3 {
				f := k.flags[i]
				switch {
				case rows>>s&1 == 0:
				case f>>(s+shiftOwn)&1 != 0:
					binary.LittleEndian.PutUint16(k.toRefine[k.refined:], uint16(4*i+int(s/3)))
					k.refined += 2
				case f>>s&511 == 0:
					left |= 1 << s
				case r.bit() == 1:
					sign := r.bit()
					k.flags[i] |= k.near(i, s, sign)
					k.far(i, s, sign)
					k.magnitudes[4*i+int(s/3)] = 3 << plane
				}
			}
			if left != 0 {
				k.toClean[k.cleaned] = uint32(i) | left<<16
				k.cleaned++
			}
		}
	}
}

// rawRefinement is refinement, of bits as they are.
func (k *coder) rawRefinement(r *rawBits, plane uint) {
	for n := 0; n < k.refined; n += 2 {
		k.magnitudes[binary.LittleEndian.Uint16(k.toRefine[n:])] += uint32(r.bit())<<(plane+1) - 1<<plane
	}
}

// store writes the coefficients, rows so far apart.
func (k *coder) store(to []int32, stride int) {
	for y := 0; y < k.height; y += 4 {
		first := (y/4+1)*k.rowWords + 1
		flags, magnitudes := k.flags[first:][:k.width], k.magnitudes[4*first:][:4*k.width]
		for row := range min(4, k.height-y) {
			out, column := to[(y+row)*stride:][:k.width], magnitudes[row:]
			sign := uint(shiftSigns+shiftOwn+3*row) & 63
			for x := range out {
				minus := -int32(flags[x] >> sign & 1)
				out[x] = (int32(column[4*x]>>1) ^ minus) - minus
			}
		}
	}
}
