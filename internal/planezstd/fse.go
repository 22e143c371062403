package planezstd

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// fseTable encodes one code of the sequences by finite state entropy (RFC 8878 4.1).
type fseTable struct {
	log    int      // Accuracy_Log; 0 where one symbol is all there is
	norm   [64]int  // shares of the symbols, summing to 1<<log
	top    int      // largest symbol present
	states []uint16 // next state, by symbol and then by position
	moves  [64]fseMove
}

// fseMove is a symbol's way through states: how many bits the present state gives off and where its
// successor lies.
type fseMove struct {
	bits  uint32 // (number of bits << 16) - least state that gives off that many
	start int32
}

// build makes the table for the given codes and reports whether there is only one symbol.
func (t *fseTable) build(codes []byte, maxLog int) (single bool) {
	var count [64]int
	for _, c := range codes {
		count[c&63]++
	}
	present := 0
	for s, n := range count {
		if n > 0 {
			t.top = s
			present++
		}
	}
	if present == 1 {
		t.log = 0
		t.norm[t.top] = 1
		t.moves[t.top] = fseMove{}
		t.states = append(t.states[:0], 0)
		return true
	}
	// Enough states for every symbol, not many more than there are codes.
	t.log = min(maxLog, max(5, bits.Len(uint(present))+1, bits.Len(uint(len(codes)))-2))
	t.share(&count, len(codes))
	t.spread()
	return false
}

// share rounds counts to shares of 1<<log, at least 1 for each symbol present.
func (t *fseTable) share(count *[64]int, total int) {
	left, largest := 1<<t.log, 0
	for s, n := range count {
		t.norm[s] = 0
		if n == 0 {
			continue
		}
		t.norm[s] = max(1, (n<<t.log+total/2)/total)
		left -= t.norm[s]
		if t.norm[s] > t.norm[largest] {
			largest = s
		}
	}
	// What rounding gave too little or too much is settled with the largest, where it weighs least.
	for left < 0 {
		for s := range t.norm {
			if t.norm[s] > t.norm[largest] {
				largest = s
			}
		}
		t.norm[largest]--
		left++
	}
	t.norm[largest] += left
}

// spread lays the symbols out over the states as RFC 8878 4.1.1 prescribes and derives the moves.
func (t *fseTable) spread() {
	size := 1 << t.log
	var symbols [512]byte
	step, at := size>>1+size>>3+3, 0
	for s, n := range t.norm[:t.top+1] {
		for range n {
			symbols[at] = byte(s)
			at = (at + step) & (size - 1)
		}
	}
	var next [64]int
	before := 0
	for s, n := range t.norm[:t.top+1] {
		next[s] = before
		if n > 0 {
			most := t.log - (bits.Len(uint(n-1)) - 1)
			if n == 1 {
				most = t.log
			}
			t.moves[s] = fseMove{bits: uint32(most<<16 - n<<most), start: int32(before - n)}
		}
		before += n
	}
	if cap(t.states) < size {
		t.states = make([]uint16, 512)
	}
	t.states = t.states[:size]
	for i, s := range symbols[:size] {
		t.states[next[s]] = uint16(size + i)
		next[s]++
	}
}

// first returns the state in which an encoder that begins with symbol s stands.
func (t *fseTable) first(s byte) uint32 {
	if t.log == 0 {
		return 0
	}
	m := t.moves[s&63]
	n := (m.bits + 1<<15) >> 16
	return uint32(t.states[int32((n<<16-m.bits)>>n)+m.start])
}

// step writes the bits that lead a decoder from s's state to the present one, and returns s's state.
func (t *fseTable) step(w *bitWriter, state uint32, s byte) uint32 {
	if t.log == 0 {
		return 0
	}
	m := t.moves[s&63]
	n := (state + m.bits) >> 16
	w.add(uint64(state)&(1<<(n&63)-1), uint8(n))
	return uint32(t.states[int32(state>>(n&31))+m.start])
}

// appendDescription writes the table: a single symbol's byte, or the shares in a variable number of bits
// each (RFC 8878 4.1.1).
func (t *fseTable) appendDescription(dst []byte) []byte {
	if t.log == 0 {
		return append(dst, byte(t.top))
	}
	w := newBitWriter(dst, 2*len(t.norm)+8)
	w.add(uint64(t.log-5), 4)
	remaining, threshold, width := 1<<t.log+1, 1<<t.log, uint8(t.log+1)
	for s := 0; s <= t.top; {
		share := t.norm[s]
		s++
		limit := 2*threshold - 1 - remaining
		remaining -= share
		v := share + 1
		if v >= threshold {
			v += limit
		}
		n := width
		if v < limit {
			n--
		}
		w.add(uint64(v), n)
		w.flush()
		for remaining < threshold {
			width--
			threshold >>= 1
		}
		if share > 0 {
			continue
		}
		// After a share of 0: how many more follow, three at a time.
		zeros := 0
		for s+zeros < t.top && t.norm[s+zeros] == 0 {
			zeros++
		}
		s += zeros
		for ; zeros >= 3; zeros -= 3 {
			w.add(3, 2)
			w.flush()
		}
		w.add(uint64(zeros), 2)
	}
	return w.close()
}

// bitWriter appends bits to a slice, the lowest first.
type bitWriter struct {
	out  []byte
	at   int // where the next whole byte goes
	held uint64
	n    uint8
}

// newBitWriter returns a writer behind dst with room for that many bytes.
func newBitWriter(dst []byte, most int) bitWriter {
	at := len(dst)
	dst = slices.Grow(dst, most+8)
	return bitWriter{out: dst[:at+most+8], at: at}
}

// add appends the low n bits of v, which must have no others; flush must come before 64 are held.
func (w *bitWriter) add(v uint64, n uint8) {
	w.held |= v << (w.n & 63)
	w.n += n
}

// flush moves whole bytes out; fewer than 8 bits stay.
func (w *bitWriter) flush() {
	binary.LittleEndian.PutUint64(w.out[w.at:], w.held)
	w.at += int(w.n >> 3)
	w.held >>= w.n & 56
	w.n &= 7
}

// close fills the last byte with zeros and returns the slice.
func (w *bitWriter) close() []byte {
	w.flush()
	if w.n > 0 {
		w.at++ // flush has written it
	}
	return w.out[:w.at]
}
