package planezstd

import (
	"encoding/binary"
	"math/bits"
)

// entropy writes the body of a compressed block (RFC 8878 3.1.1.3): Huffman-coded literals, then
// sequences in three finite state codes, all with tables made for this block.
type entropy struct {
	huffman huffman
	codes   [3][]byte // per sequence: literal length, offset and match length code
	tables  [3]fseTable
}

// The order of the three codes in the format.
const (
	literalCode = iota
	offsetCode
	matchCode
)

// maxLog is the largest accuracy the format allows per code (RFC 8878 3.1.1.3.2.1).
var maxLog = [3]int{literalCode: 9, offsetCode: 8, matchCode: 9}

// literalBase and matchBase list the least value of each code; the extra bits fill the gap to the next
// (RFC 8878 3.1.1.3.2.1.1, tables 16 and 17).
var (
	literalBase = [36]uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48,
		64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}
	literalExtra = [36]uint8{16: 1, 17: 1, 18: 1, 19: 1, 20: 2, 21: 2, 22: 3, 23: 3, 24: 4, 25: 6, 26: 7, 27: 8, 28: 9,
		29: 10, 30: 11, 31: 12, 32: 13, 33: 14, 34: 15, 35: 16}
	matchBase = [53]uint32{3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
		28, 29, 30, 31, 32, 33, 34, 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195,
		16387, 32771, 65539}
	matchExtra = [53]uint8{32: 1, 33: 1, 34: 1, 35: 1, 36: 2, 37: 2, 38: 3, 39: 3, 40: 4, 41: 4, 42: 5, 43: 7, 44: 8,
		45: 9, 46: 10, 47: 11, 48: 12, 49: 13, 50: 14, 51: 15, 52: 16}
	literalCodes = shortCodes(literalBase[:], 64)
	matchCodes   = shortCodes(matchBase[:], 131)
)

// shortCodes returns the code of every value below limit.
func shortCodes(base []uint32, limit uint32) []byte {
	codes := make([]byte, limit)
	c := byte(0)
	for v := base[0]; v < limit; v++ {
		for int(c)+1 < len(base) && base[c+1] <= v {
			c++
		}
		codes[v] = c
	}
	return codes
}

func literalLengthCode(n uint32) byte {
	if n < 64 {
		return literalCodes[n]
	}
	return byte(bits.Len32(n)) + 18
}

func matchLengthCode(n uint32) byte {
	if n < 131 {
		return matchCodes[n]
	}
	return byte(bits.Len32(n-3)) + 35
}

func (e *entropy) appendCompressed(dst, literals []byte, sequences []sequence) []byte {
	dst = e.appendLiterals(dst, literals)
	return e.appendSequences(dst, sequences)
}

// appendLiterals writes a Literals_Section (RFC 8878 3.1.1.3.1).
func (e *entropy) appendLiterals(dst, literals []byte) []byte {
	const raw, rle, compressed = 0, 1, 2
	if len(literals) < 64 {
		return append(appendSize(dst, raw, len(literals)), literals...)
	}
	h := &e.huffman
	if !h.build(literals) {
		return append(appendSize(dst, rle, len(literals)), literals[0])
	}
	// Size_Format 3: four streams, both sizes in 18 bits.
	head := len(dst)
	packed := h.appendPacked(append(dst, 0, 0, 0, 0, 0), literals)
	if packed == nil {
		return append(appendSize(dst, raw, len(literals)), literals...)
	}
	v := uint64(compressed|3<<2|len(literals)<<4) | uint64(len(packed)-head-5)<<22
	binary.LittleEndian.PutUint32(packed[head:], uint32(v))
	packed[head+4] = byte(v >> 32)
	return packed
}

// appendSize writes the header of raw or run-length literals.
func appendSize(dst []byte, kind, size int) []byte {
	switch {
	case size < 1<<5:
		return append(dst, byte(kind|size<<3))
	case size < 1<<12:
		return append(dst, byte(kind|1<<2|size<<4), byte(size>>4))
	}
	return append(dst, byte(kind|3<<2|size<<4), byte(size>>4), byte(size>>12))
}

// appendSequences writes a Sequences_Section (RFC 8878 3.1.1.3.2).
func (e *entropy) appendSequences(dst []byte, sequences []sequence) []byte {
	n := len(sequences)
	switch {
	case n < 128:
		dst = append(dst, byte(n))
	case n < 0x7F00:
		dst = append(dst, byte(n>>8)+128, byte(n))
	default:
		dst = append(dst, 255, byte(n-0x7F00), byte((n-0x7F00)>>8))
	}
	if n == 0 {
		return dst
	}
	e.fillCodes(sequences)
	modes := len(dst)
	dst = append(dst, 0)
	const rle, compressed = 1, 2
	for i := range e.tables {
		mode := byte(compressed)
		if e.tables[i].build(e.codes[i], maxLog[i]) {
			mode = rle
		}
		dst[modes] |= mode << (6 - 2*i)
		dst = e.tables[i].appendDescription(dst)
	}
	return e.appendBits(dst, sequences)
}

func (e *entropy) fillCodes(sequences []sequence) {
	for i := range e.codes {
		if cap(e.codes[i]) < len(sequences) {
			e.codes[i] = make([]byte, maxBlock/3)
		}
		e.codes[i] = e.codes[i][:len(sequences)]
	}
	ll, of, ml := e.codes[literalCode], e.codes[offsetCode], e.codes[matchCode]
	for i, s := range sequences {
		ll[i] = literalLengthCode(s.literalLength)
		of[i] = byte(bits.Len32(s.offsetValue)) - 1
		ml[i] = matchLengthCode(s.matchLength)
	}
}

// appendBits writes the sequences' bit stream, which a decoder reads from its end: the last sequence
// first, and the first states last (RFC 8878 3.1.1.3.2.1.2).
func (e *entropy) appendBits(dst []byte, sequences []sequence) []byte {
	ll, of, ml := e.codes[literalCode], e.codes[offsetCode], e.codes[matchCode]
	n := len(sequences) - 1
	tl, to, tm := &e.tables[literalCode], &e.tables[offsetCode], &e.tables[matchCode]
	sl, so, sm := tl.first(ll[n]), to.first(of[n]), tm.first(ml[n])
	// A sequence takes at most 78 bits, the states at the end 26 and the end mark 1.
	w := newBitWriter(dst, 10*len(sequences)+8)
	for i := n; i >= 0; i-- {
		s := &sequences[i]
		l, o, m := ll[i], of[i], ml[i]
		if i < n {
			so = to.step(&w, so, o)
			sm = tm.step(&w, sm, m)
			sl = tl.step(&w, sl, l)
			w.flush()
		}
		w.add(uint64(s.literalLength-literalBase[l]), literalExtra[l])
		w.add(uint64(s.matchLength-matchBase[m]), matchExtra[m])
		w.add(uint64(s.offsetValue)-1<<o, o)
		w.flush()
	}
	w.add(uint64(sm)&(1<<tm.log-1), uint8(tm.log))
	w.add(uint64(so)&(1<<to.log-1), uint8(to.log))
	w.add(uint64(sl)&(1<<tl.log-1), uint8(tl.log))
	w.add(1, 1)
	return w.close()
}
