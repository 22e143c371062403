package jpegll

import "fmt"

// lookBits is the width of the lookup table's index. Most differences of a CT slice, code and extra bits
// together, fit into it; four of them fit into the 56 bits one refill of the bit reader guarantees.
const lookBits = 12

// huffman is one Huffman table in the form the reader needs. It is built when a scan first uses it.
type huffman struct {
	// look maps the next lookBits bits to a whole difference where code and extra bits fit:
	//   difference<<16 | bits of both
	// otherwise, if at least the code fits, to
	//   category<<16 | bits of the code<<8
	// and to 0 where not even the code does. The low byte is 0 exactly when the difference does not fit.
	look [1 << lookBits]uint32

	perLength [16]byte
	symbols   [categories]byte
	built     bool

	// For codes longer than lookBits, per length: the first code, the number of codes, and the place of
	// the first one's symbol.
	first, count, place [17]uint32
}

// set stores a table's definition (B.2.4.2).
func (h *huffman) set(perLength, symbols []byte) {
	copy(h.perLength[:], perLength)
	h.symbols = [categories]byte{}
	copy(h.symbols[:], symbols)
	h.built = false
}

// build fills the lookup table (C.2, F.2.2.3).
func (h *huffman) build() error {
	if h.built {
		return nil
	}
	code, place, filled := uint32(0), uint32(0), 0
	for length := 1; length <= 16; length++ {
		n := uint32(h.perLength[length-1])
		if code+n > 1<<length {
			return fmt.Errorf("%w: a Huffman table with more codes than its lengths allow", ErrMalformed)
		}
		h.first[length], h.count[length], h.place[length] = code, n, place
		for range n {
			symbol := h.symbols[place]
			if symbol >= categories {
				return fmt.Errorf("%w: difference category %d", ErrMalformed, symbol)
			}
			if length <= lookBits {
				at := int(code) << (lookBits - length)
				h.fill(h.look[at:at+1<<(lookBits-length)], length, int(symbol))
				filled = at + 1<<(lookBits-length)
			}
			code++
			place++
		}
		code <<= 1
	}
	clear(h.look[filled:])
	h.built = true
	return nil
}

// fill writes the entries of one code: their number is what the bits behind the code can be.
func (h *huffman) fill(entries []uint32, length, symbol int) {
	extra := symbol
	if symbol == 16 {
		extra = 0 // 32768 has no extra bits (table H.2)
	}
	if length+extra > lookBits {
		entry := uint32(symbol)<<16 | uint32(length)<<8
		for i := range entries {
			entries[i] = entry
		}
		return
	}
	same := len(entries) >> extra // entries that differ only in bits of the next difference
	for value := range 1 << extra {
		entry := uint32(difference(symbol, uint32(value)))<<16 | uint32(length+extra)
		part := entries[value*same : (value+1)*same]
		for i := range part {
			part[i] = entry
		}
	}
}

// difference is the value of a category's extra bits (EXTEND of F.2.2.1), modulo 2^16.
func difference(symbol int, extra uint32) uint16 {
	switch {
	case symbol == 0:
		return 0
	case symbol == 16:
		return 0x8000
	case extra < 1<<(symbol-1):
		extra += 1 - 1<<symbol
	}
	return uint16(extra)
}
