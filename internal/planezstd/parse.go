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

// minMatch is the shortest match that is taken. Shorter ones save hardly a bit and cost a decoder time.
const minMatch = 5

// parser cuts a block into sequences and the literals between them.
//
// It looks for matches in two places only: one row up, and at the same spot of the plane that resembles
// this one most. Interpolated images have nearly all their matches there, and two known places are
// compared eight bytes at a time, while a search by hashes looks at every byte; and what lies between
// such matches keeps a decoder at its fastest.
type parser struct {
	src       []byte
	row       int
	repeats   [3]int // Repeated_Offset1 to 3, RFC 8878 3.1.1.5
	literals  []byte
	sequences []sequence
}

func (p *parser) reset(src []byte, row int) {
	p.src, p.row = src, row
	p.repeats = [3]int{1, 4, 8}
}

// parse fills sequences and literals for src[start:end], whose likeness lies at the distance like (0: has
// none). Matches end inside the block.
func (p *parser) parse(start, end, like int) {
	src := p.src
	p.literals, p.sequences = p.literals[:0], p.sequences[:0]
	anchor, at := start, max(start, p.row)
	if like == 0 {
		like = p.row
	}
	for at < end-8 {
		word := binary.LittleEndian.Uint64(src[at:])
		up := binary.LittleEndian.Uint64(src[at-p.row:]) ^ word
		same := binary.LittleEndian.Uint64(src[at-like:]) ^ word
		const low = 64 - 8*minMatch
		if up<<low != 0 && same<<low != 0 {
			// The last difference among the first bytes is where the next match can begin at the earliest.
			at += minMatch - max(bits.LeadingZeros64(up<<low), bits.LeadingZeros64(same<<low))>>3
			continue
		}
		length, offset := matchLength(src, at-p.row, at, end), p.row
		if n := matchLength(src, at-like, at, end); n > length {
			length, offset = n, like
		}
		p.literals = append(p.literals, src[anchor:at]...)
		p.sequences = append(p.sequences, sequence{uint32(at - anchor), uint32(length), p.offsetValue(offset, at == anchor)})
		at += length
		anchor = at
	}
	p.literals = append(p.literals, src[anchor:end]...)
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
