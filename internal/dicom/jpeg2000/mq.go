package jpeg2000

import (
	"encoding/binary"
	"math/bits"
)

// arithmetic decodes the bits of a codeword segment (T.800, annex C).
//
// The standard's C is wider here, so that bytes are read by fours, and before they are needed: A and C are in units of 2^unit, and below C's lie
// the bits ahead, ended by a bit that is set. That changes no decision: the standard's C lacks what is behind it as long as that may still carry,
// but no comparison can turn out otherwise by the carry in a segment that an encoder wrote.
//
// A is kept less 0x8000: both are not negative as long as nothing has to be shifted.
type arithmetic struct {
	data []byte
	at   int
	ff   bool // the byte before was 0xff
	a, c int64
}

const (
	unit   = 47
	half   = 0x8000 << unit
	maskQe = 0xffff << unit
)

// begin starts with a segment (C.3.5).
func (m *arithmetic) begin(data []byte) {
	m.data, m.at, m.ff = data, 0, false
	m.a, m.c = 0, m.fill(1<<(unit+14))
}

// drained tells whether no bit is ahead any more, and C may lack some.
func drained(c int64) bool { return c<<(64-unit) == 0 }

// fill adds bytes behind the bits of C that are certain (C.3.4): 32 bits and more below the units. Behind the segment's end, and behind a marker,
// are ones.
func (m *arithmetic) fill(c int64) int64 {
	at := bits.TrailingZeros64(uint64(c)) + 1 // of the bits that are missing, the highest's place and one more
	c &= c - 1
	if !m.ff && m.at <= len(m.data)-4 {
		if w := binary.BigEndian.Uint32(m.data[m.at:]); (^w-0x01010101)&w&0x80808080 == 0 { // no byte is 0xff
			m.at += 4
			return c + int64(w)<<(uint(at-32)&63) + 1<<(uint(at-33)&63)
		}
	}
	for at > unit-32 {
		b := byte(0xff)
		if m.at < len(m.data) {
			b = m.data[m.at]
		}
		switch {
		case m.ff && b > 0x8f: // a marker: it is never passed
			at -= 8
			c += 0xff << (uint(at) & 63)
			continue
		case m.ff: // a bit is stuffed
			at -= 7
		default:
			at -= 8
		}
		c += int64(b) << (uint(at) & 63)
		m.ff = b == 0xff
		m.at++
	}
	return c + 1<<(uint(at-1)&63)
}

// A context's state is a row of table C.2 and what the more probable bit is. It holds Qe, in its place within A; by how much A is shifted when it
// becomes Qe; and the state's number, four times the row's and twice that bit, so that the state itself has that bit in bitMore.
const (
	bitMore    = 2
	stateShift = 24
)

// follow are the states that each state leads to, by its number: by the more probable bit, and, one further, by the less probable one.
var follow [256]int64

// begun are the states that contexts begin in (table D.7): most, that of no significant neighbour, that of a run, the uniform one.
var begun, begunZero, begunRun, begunUniform = func() (int64, int64, int64, int64) {
	rows := [...]struct {
		qe         int64
		more, less int64
		turn       int64
	}{
		{0x5601, 1, 1, 1}, {0x3401, 2, 6, 0}, {0x1801, 3, 9, 0}, {0x0ac1, 4, 12, 0}, {0x0521, 5, 29, 0}, {0x0221, 38, 33, 0}, {0x5601, 7, 6, 1},
		{0x5401, 8, 14, 0}, {0x4801, 9, 14, 0}, {0x3801, 10, 14, 0}, {0x3001, 11, 17, 0}, {0x2401, 12, 18, 0}, {0x1c01, 13, 20, 0},
		{0x1601, 29, 21, 0}, {0x5601, 15, 14, 1}, {0x5401, 16, 14, 0}, {0x5101, 17, 15, 0}, {0x4801, 18, 16, 0}, {0x3801, 19, 17, 0},
		{0x3401, 20, 18, 0}, {0x3001, 21, 19, 0}, {0x2801, 22, 19, 0}, {0x2401, 23, 20, 0}, {0x2201, 24, 21, 0}, {0x1c01, 25, 22, 0},
		{0x1801, 26, 23, 0}, {0x1601, 27, 24, 0}, {0x1401, 28, 25, 0}, {0x1201, 29, 26, 0}, {0x1101, 30, 27, 0}, {0x0ac1, 31, 28, 0},
		{0x09c1, 32, 29, 0}, {0x08a1, 33, 30, 0}, {0x0521, 34, 31, 0}, {0x0441, 35, 32, 0}, {0x02a1, 36, 33, 0}, {0x0221, 37, 34, 0},
		{0x0141, 38, 35, 0}, {0x0111, 39, 36, 0}, {0x0085, 40, 37, 0}, {0x0049, 41, 38, 0}, {0x0025, 42, 39, 0}, {0x0015, 43, 40, 0},
		{0x0009, 44, 41, 0}, {0x0005, 45, 42, 0}, {0x0001, 45, 43, 0}, {0x5601, 46, 46, 0},
	}
	state := func(row, bit int64) int64 {
		qe, shift := rows[row].qe, int64(0)
		for qe<<shift < 0x8000 {
			shift++
		}
		return qe<<unit | shift<<stateShift | 4*row | 2*bit
	}
	for i, row := range rows {
		for bit := range int64(2) {
			follow[4*i+2*int(bit)] = state(row.more, bit)
			follow[4*i+2*int(bit)+1] = state(row.less, bit^row.turn)
		}
	}
	return state(0, 0), state(4, 0), state(3, 0), state(46, 0)
}()

// decide decodes a bit after A or C has sunk below 0 by Qe, and shifts them (C.3.2 and C.3.3, figures C.15 to C.18). All is computed for both
// outcomes, and chosen by masks, since nothing foretells them. less is all ones for the less probable bit.
func decide(a, c, state, qe int64) (a2, c2, less int64) {
	lower := c >> 63              // all ones for the lower part of the interval, of the size Qe
	shift := 2 + a<<(49-unit)>>63 // 1 if A − Qe is 0x4000 or more
	shift ^= (shift ^ state>>stateShift) & lower
	a += half
	less = lower ^ (a-qe)>>63
	a ^= (a ^ qe) & lower
	c += qe & lower
	return a<<(uint(shift)&15) - half, c << (uint(shift) & 15), less
}

// next is the state that a decided bit leads to.
func next(state, less int64) int64 { return follow[uint8(state-less)] }

// bit decodes one bit. Where most are decoded, this function's body stands in its place, with A and C in variables: Go's compiler does not copy
// as much of it.
func (m *arithmetic) bit(context *int64) int {
	state := *context
	qe := state & maskQe
	m.a, m.c = m.a-qe, m.c-qe
	if m.a|m.c >= 0 {
		return int(state >> 1 & 1)
	}
	var less int64
	m.a, m.c, less = decide(m.a, m.c, state, qe)
	*context = next(state, less)
	if drained(m.c) {
		m.c = m.fill(m.c)
	}
	return int((state^less)>>1) & 1
}
