package resize

import (
	"encoding/binary"
	"fmt"
)

// Blocks writes the mean of each block of by x by pixels of src, rows of columns pixels, into dst, rounded half up. By divides both sides, and 1
// copies. Planes that lie one after the other are planes still. OpenCV rounds so in blocks of 2 x 2 alone: others half to even.
func Blocks(src []uint8, columns, by int, dst []uint8) {
	if columns < 1 || by < 1 || columns%by != 0 || len(src)%(columns*by) != 0 || len(dst) != len(src)/(by*by) {
		panic(fmt.Sprintf("resize: %d pixels in rows of %d do not make %d, a block of %d x %d each", len(src), columns, len(dst), by, by))
	}
	width := columns / by
	for len(dst) > 0 {
		band, out := src[:columns*by], dst[:width]
		src, dst = src[columns*by:], dst[width:]
		done := 0
		switch by {
		case 1:
			copy(out, band)
			continue
		case 2:
			done = pairs(out, band[:columns], band[columns:])
		case 4:
			done = fours(out, band, columns)
		}
		for k := done; k < width; k++ {
			sum := by * by / 2
			for r := range by {
				for _, v := range band[r*columns+k*by:][:by] {
					sum += int(v)
				}
			}
			out[k] = uint8(sum / (by * by))
		}
	}
}

// In a word of 8 pixels every second one, with room for sums; and of these every second one.
const (
	evens  = 0x00ff00ff_00ff00ff
	fourth = 0x0000ffff_0000ffff
)

// pairs averages 2 x 2, eight columns at a time, and returns how many means it wrote.
func pairs(out, a, b []uint8) int {
	n := len(out) &^ 3
	a, b = a[:2*n], b[:2*n]
	for i := 0; i < n; i += 4 {
		x, y := binary.LittleEndian.Uint64(a[2*i:]), binary.LittleEndian.Uint64(b[2*i:])
		s := x&evens + x>>8&evens + y&evens + y>>8&evens + 0x00020002_00020002
		s = s >> 2 & evens
		s = (s | s>>8) & fourth
		binary.LittleEndian.PutUint32(out[i:], uint32(s|s>>16))
	}
	return n
}

// fours averages 4 x 4, eight columns at a time, and returns how many means it wrote.
func fours(out, band []uint8, columns int) int {
	n := len(out) &^ 1
	a, b, c, d := band[:4*n], band[columns:][:4*n], band[2*columns:][:4*n], band[3*columns:][:4*n]
	for i := 0; i < n; i += 2 {
		x, y := binary.LittleEndian.Uint64(a[4*i:]), binary.LittleEndian.Uint64(b[4*i:])
		z, w := binary.LittleEndian.Uint64(c[4*i:]), binary.LittleEndian.Uint64(d[4*i:])
		s := x&evens + x>>8&evens + y&evens + y>>8&evens + z&evens + z>>8&evens + w&evens + w>>8&evens
		s = s&fourth + s>>16&fourth + 0x00000008_00000008
		binary.LittleEndian.PutUint16(out[i:], uint16(s>>4&0xff|s>>28&0xff00))
	}
	return n
}
