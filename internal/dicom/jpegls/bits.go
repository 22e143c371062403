package jpegls

import (
	"encoding/binary"
	"math/bits"
)

// bitReader reads the bits of a scan, the highest of a byte first. After a byte of 0xff only seven bits of the next one count, and one whose
// highest bit is set begins a marker, which ends the scan (T.87, A.1). Behind the end it reads zeros, and counts them.
//
// acc holds the bits ahead from its top. n of them are certain; those below are either zero or already right, so that filling may or them
// in again.
type bitReader struct {
	data  []byte
	at    int
	acc   uint64
	n     int
	ff    bool // the byte before was 0xff
	lacks int  // bits of acc that are not in the data
}

// fill has at least 48 bits ahead.
func (r *bitReader) fill() {
	if !r.ff && r.at <= len(r.data)-8 {
		if w := binary.BigEndian.Uint64(r.data[r.at:]); !hasFF(w) {
			r.acc |= w >> r.n
			whole := (64 - r.n) >> 3
			r.at += whole
			r.n += 8 * whole
			return
		}
	}
	r.acc = r.acc >> (64 - r.n) << (64 - r.n) // what is behind a 0xff may lie elsewhere
	for r.n <= 48 {
		if r.at >= len(r.data) || r.ff && r.data[r.at] >= 0x80 {
			r.at = len(r.data)
			r.lacks += 64 - r.n
			r.n = 64
			return
		}
		b := r.data[r.at]
		r.at++
		width := 8
		if r.ff {
			width = 7
		}
		r.acc |= uint64(b) << (64 - width - r.n)
		r.n += width
		r.ff = b == 0xff
	}
}

// hasFF tells whether one of eight bytes is 0xff.
func hasFF(w uint64) bool {
	w = ^w
	return (w-0x0101010101010101)&^w&0x8080808080808080 != 0
}

// ended tells whether bits were read that are not in the data.
func (r *bitReader) ended() bool { return r.lacks > r.n }

// take reads up to 32 bits.
func (r *bitReader) take(n int) int {
	if r.n < 32 {
		r.fill()
	}
	v := r.acc >> (64 - n) // 0 for none
	r.acc <<= n
	r.n -= n
	return int(v)
}

// zeros reads zeros up to and with the one that ends them, and returns how many they are; of more than `most` of them it
// reads some, and returns most.
func (r *bitReader) zeros(most int) int {
	count := 0
	for {
		if r.n < 32 {
			r.fill()
		}
		z := bits.LeadingZeros64(r.acc)
		if z < r.n {
			r.acc <<= z + 1
			r.n -= z + 1
			return min(count+z, most)
		}
		count += r.n
		r.acc, r.n = 0, 0
		if count > most || r.lacks > 0 {
			return most
		}
	}
}
