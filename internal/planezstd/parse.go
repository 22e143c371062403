package planezstd

import (
	"encoding/binary"
	"math/bits"
)

// sequence is a run of literals and the match that follows it (RFC 8878 3.1.1.3.2).
type sequence struct {
	literalLength uint32
	matchLength   uint32
	offsetValue   uint32 // RFC 8878 3.1.1.3.2.1.1: 1 to 3 name a repeated offset, else distance + 3
}

// minMatch is the shortest match that is taken. Shorter ones save little and cost a decoder time: on crops of
// a noisy CT, 4 made 43.4 % of the size, 8 made 46.9 % and was read 1.4 times, written 1.25 times as fast.
// It must be a power of two (addRuns).
const minMatch = 8

// places is how many distances are looked at for matches.
const places = 3

// parser cuts a block into sequences and the literals between them.
//
// It looks for matches in few places only: to the left, one row up with a column to either side, and at
// the same spot of the plane that resembles this one most. In interpolated images that finds what a
// general search at its fastest finds, but a fixed place is compared eight bytes at a time into bit maps
// in which matches are runs of ones, while a search by hashes takes its time for every byte.
type parser struct {
	src       []byte
	row       int
	repeats   [3]int // Repeated_Offset1 to 3, RFC 8878 3.1.1.5
	literals  []byte
	sequences []sequence
	equal     [places]bitmap
	starts    bitmap // where a match begins in any place
}

// bitmap is a bit for each byte of a block, and a few zeros behind the last.
type bitmap [maxBlock/64 + 2]uint64

func (p *parser) reset(src []byte, row int) {
	p.src, p.row = src, row
	p.repeats = [3]int{1, 4, 8}
}

// parse fills sequences and literals for src[start:end], whose likeness lies at the distance like (0: has
// none). Matches end inside the block.
func (p *parser) parse(start, end, like int) {
	distances := [places]int{p.row, like, 1}
	words := (end - start + 63) / 64
	clear(p.starts[:words])
	for i, d := range distances {
		p.equal[i].compare(p.src, start, end, d)
		p.equal[i].addRuns(&p.starts, words)
	}
	if cap(p.literals) < maxBlock+8 {
		p.literals = make([]byte, 0, maxBlock+8)
		p.sequences = make([]sequence, 0, maxBlock/minMatch)
	}
	literals, n := p.literals[:maxBlock+8], 0
	sequences := p.sequences[:0]
	m0, m1, m2 := &p.equal[0], &p.equal[1], &p.equal[2]
	anchor, size := 0, end-start
	for at := p.starts.next(0, words); at < size; at = p.starts.next(anchor, words) {
		w, shift := at>>6, at&63
		// Length and place in one number. Of equal lengths the place that stands first wins.
		best := max(m0.ahead(w, shift)<<2|2, m1.ahead(w, shift)<<2|1, m2.ahead(w, shift)<<2)
		place, length := 2-best&3, best>>2
		if length == 64 {
			length += p.equal[place].run(at + 64)
		}
		n += p.copyLiterals(literals[n:], start+anchor, at-anchor)
		sequences = append(sequences, sequence{uint32(at - anchor), uint32(length), p.offsetValue(distances[place], at == anchor)})
		anchor = at + length
	}
	n += copy(literals[n:], p.src[start+anchor:end])
	p.literals, p.sequences = literals[:n], sequences
}

// ahead returns how many ones there are from bit shift of word w on, at most 64.
func (m *bitmap) ahead(w, shift int) int {
	return bits.TrailingZeros64(^(m[w]>>(shift&63) | m[w+1]<<1<<(^shift&63)))
}

// copyLiterals copies n bytes of src[at:], or a few more, to dst.
func (p *parser) copyLiterals(dst []byte, at, n int) int {
	if at+n+8 > len(p.src) || n+8 > len(dst) {
		return copy(dst, p.src[at:at+n])
	}
	src := p.src[at : at+n+8]
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(src[i:]))
	}
	return n
}

// compare sets the bits of the bytes in src[start:end] that equal the byte at distance before them. A
// distance of 0 or less has none.
func (m *bitmap) compare(src []byte, start, end, distance int) {
	n := end - start
	clear(m[:(n+63)/64+2])
	if distance <= 0 {
		return
	}
	i := max(0, distance-start)
	for ; i < n && i%64 != 0; i++ {
		m.setEqual(src, start+i, distance, i)
	}
	for ; i+64 <= n; i += 64 {
		m[i>>6] = equal64((*[64]byte)(src[start+i:]), (*[64]byte)(src[start+i-distance:]))
	}
	for ; i < n; i++ {
		m.setEqual(src, start+i, distance, i)
	}
}

// equal64 returns a bit for each byte that is equal.
func equal64(a, b *[64]byte) uint64 {
	return equal8(a[0:8], b[0:8]) | equal8(a[8:16], b[8:16])<<8 | equal8(a[16:24], b[16:24])<<16 | equal8(a[24:32], b[24:32])<<24 |
		equal8(a[32:40], b[32:40])<<32 | equal8(a[40:48], b[40:48])<<40 | equal8(a[48:56], b[48:56])<<48 | equal8(a[56:64], b[56:64])<<56
}

func equal8(a, b []byte) uint64 {
	const low7 = 0x7F7F7F7F7F7F7F7F
	x := binary.LittleEndian.Uint64(a) ^ binary.LittleEndian.Uint64(b)
	// The top bit of every byte that is 0 in x, and then these eight bits side by side.
	x = ^(x&low7 + low7 | x | low7)
	return x * 0x0002040810204081 >> 56
}

func (m *bitmap) setEqual(src []byte, at, distance, i int) {
	if src[at] == src[at-distance] {
		m[i>>6] |= 1 << (i & 63)
	}
}

// addRuns sets in starts where minMatch ones in a row begin.
func (m *bitmap) addRuns(starts *bitmap, words int) {
	for w := range words {
		// After each step a bit says that so many ones begin there: 2, 4, … minMatch, a power of two.
		run, next := m[w], m[w+1]
		for k := 1; k < minMatch; k *= 2 {
			run &= run>>k | next<<(64-k)
			next &= next >> k
		}
		starts[w] |= run
	}
}

// next returns the first bit set from i on, or one behind all words.
func (m *bitmap) next(i, words int) int {
	w := i >> 6
	if w >= words {
		return words * 64
	}
	x := m[w] >> (i & 63) << (i & 63)
	for x == 0 {
		if w++; w >= words {
			return words * 64
		}
		x = m[w]
	}
	return w<<6 + bits.TrailingZeros64(x)
}

// run returns how many ones there are from i on.
func (m *bitmap) run(i int) int {
	w, shift := i>>6, i&63
	n := bits.TrailingZeros64(^(m[w] >> shift))
	if n < 64-shift {
		return n
	}
	n = 64 - shift
	for w++; ; w++ {
		k := bits.TrailingZeros64(^m[w])
		n += k
		if k < 64 {
			return n
		}
	}
}

// offsetValue returns the shortest name of an offset and moves the repeated offsets as a decoder will
// (RFC 8878 3.1.1.5). After no literals the first repeated offset has no name but by itself.
func (p *parser) offsetValue(offset int, noLiterals bool) uint32 {
	r := &p.repeats
	shift := uint32(0)
	if noLiterals {
		shift = 1
	}
	switch {
	case offset == r[0] && !noLiterals:
		return 1
	case offset == r[1]:
		r[0], r[1] = r[1], r[0]
		return 2 - shift
	case offset == r[2]:
		r[0], r[1], r[2] = r[2], r[0], r[1]
		return 3 - shift
	}
	r[0], r[1], r[2] = offset, r[0], r[1]
	return uint32(offset) + 3
}

// likeness returns the distance to the plane before start that has the most bytes in common with
// src[start:end], judged by a sample, or 0 if none has a tenth in common.
func likeness(src []byte, start, end int) int {
	const every = 97
	size := end - start
	most, best := size/every/10, 0
	for k := 1; k <= reach && k*size <= min(start, maxOffset); k++ {
		equal := 0
		back := src[start-k*size : start-k*size+size]
		for i := 0; i < size; i += every {
			if back[i] == src[start+i] {
				equal++
			}
		}
		if equal > most {
			most, best = equal, k*size
		}
	}
	return best
}

// matchLength returns how many bytes from src[b] on, up to end, equal those from src[a] on, for a < b.
func matchLength(src []byte, a, b, end int) int {
	n := 0
	for b+n+8 <= end {
		if x := binary.LittleEndian.Uint64(src[a+n:]) ^ binary.LittleEndian.Uint64(src[b+n:]); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
		n += 8
	}
	for b+n < end && src[a+n] == src[b+n] {
		n++
	}
	return n
}
