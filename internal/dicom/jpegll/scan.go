package jpegll

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// decodeScan decodes the entropy-coded segments that follow a scan's header. A scan of all components
// is decoded in place; any other goes through two rows of its own and is scattered into dst.
func (d *decoder) decodeScan(sc *scan, dst []uint16) error {
	n, total := len(sc.components), d.frame.Components
	width := d.frame.Columns * n
	inPlace := n == total
	for i, c := range sc.components {
		inPlace = inPlace && i == c
	}
	if !inPlace && cap(d.rows) < 2*width {
		d.rows = make([]uint16, 2*width)
	}

	interval := d.frame.Rows
	if d.restart > 0 {
		interval = d.restart / d.frame.Columns
	}
	var r bitReader
	var up []uint16
	for y := range d.frame.Rows {
		if y%interval == 0 {
			if err := d.startInterval(&r, y/interval); err != nil {
				return err
			}
			up = nil
		}
		var row []uint16
		if inPlace {
			row = dst[y*width : (y+1)*width]
		} else {
			row = d.rows[y%2*width:][:width]
		}
		ok := sc.decodeRow(&r, row, up, d.frame.Precision)
		if r.overrun() {
			return fmt.Errorf("%w: the bits end in row %d of %d", ErrTruncated, y, d.frame.Rows)
		}
		if !ok {
			return fmt.Errorf("%w: a code that is in no Huffman table, row %d", ErrMalformed, y)
		}
		if !inPlace {
			sc.scatter(dst[y*d.frame.Columns*total:(y+1)*d.frame.Columns*total], row, total)
		}
		up = row
	}
	if inPlace && sc.shift > 0 {
		for i := range dst {
			dst[i] <<= sc.shift
		}
	}
	return nil
}

// scatter puts a row of the scan's components to their places among the frame's, total in number.
func (sc *scan) scatter(dst, row []uint16, total int) {
	n := len(sc.components)
	for i, c := range sc.components {
		for from, to := i, c; from < len(row); from, to = from+n, to+total {
			dst[to] = row[from] << sc.shift
		}
	}
}

// startInterval points r at the scan's next entropy-coded segment, the number-th, and moves past it.
func (d *decoder) startInterval(r *bitReader, number int) error {
	if number > 0 {
		if d.at+2 > len(d.data) {
			return fmt.Errorf("%w: %d restart intervals, more are missing", ErrTruncated, number)
		}
		if want := markerRST0 + byte((number-1)&7); d.data[d.at] != 0xff || d.data[d.at+1] != want {
			return fmt.Errorf("%w: no restart marker %02x at byte %d", ErrMalformed, want, d.at)
		}
		d.at += 2
	}
	d.bits, d.at = unstuff(d.bits[:0], d.data, d.at)
	*r = bitReader{buf: d.bits}
	return nil
}

// tail is how many zero bytes follow the bits, so that the reader may load eight bytes at any place up to
// eight bytes behind the end.
const tail = 16

// unstuff appends the entropy-coded bytes of data from at on, without the zero byte behind every 0xff,
// and tail zeros. It returns the place of the marker that ends them, or the end of data.
func unstuff(bits, data []byte, at int) ([]byte, int) {
	if need := len(data) - at + tail; cap(bits) < need {
		bits = make([]byte, 0, need)
	}
	for {
		n := bytes.IndexByte(data[at:], 0xff)
		if n < 0 {
			bits = append(bits, data[at:]...)
			at = len(data)
			break
		}
		bits = append(bits, data[at:at+n]...)
		at += n
		if at+1 == len(data) {
			at++
			break
		}
		if data[at+1] == 0xff { // a fill byte before a marker (B.1.1.2)
			at++
			continue
		}
		if data[at+1] != 0 {
			break
		}
		bits = append(bits, 0xff)
		at += 2
	}
	return append(bits, make([]byte, tail)...), at
}

// decodeRow decodes one row of the scan, row being [columns, components of the scan]; up is the row
// above, nil at the start of a restart interval. It reports whether all codes were in their tables.
func (sc *scan) decodeRow(r *bitReader, row, up []uint16, precision int) bool {
	n := len(sc.components)
	if n == 1 {
		start := uint16(1) << (precision - sc.shift - 1)
		if up != nil {
			start = up[0]
		}
		if up == nil || sc.predictor == 1 {
			return r.sums(row, sc.tables[0], start)
		}
		if !r.differences(row, sc.tables[0]) {
			return false
		}
		row[0] += start
		undo(sc.predictor, row, up)
		return true
	}

	for at := 0; at < len(row); at += n {
		for i, t := range sc.tables {
			if !r.differences(row[at+i:at+i+1], t) {
				return false
			}
		}
	}
	for i := range n {
		if up == nil {
			row[i] += 1 << (precision - sc.shift - 1)
		} else {
			row[i] += up[i]
		}
	}
	if up == nil {
		undoInterleaved(1, row, row, n)
	} else {
		undoInterleaved(sc.predictor, row, up, n)
	}
	return true
}

// undo adds the predictions (table H.1) to the differences of a row of one component, all but the first
// sample, which the caller has done. The neighbours are kept in variables: through memory each sample
// would wait for the store of the one before.
func undo(predictor int, row, up []uint16) {
	up = up[:len(row)]
	left, corner := row[0], up[0]
	row, up = row[1:], up[1:]
	switch predictor {
	case 1:
		for i, d := range row {
			left += d
			row[i] = left
		}
	case 2:
		for i := range row {
			row[i] += up[i]
		}
	case 3:
		for i, above := range up {
			row[i] += corner
			corner = above
		}
	case 4:
		for i, above := range up {
			left += row[i] + above - corner
			row[i], corner = left, above
		}
	case 5:
		for i, above := range up {
			left += row[i] + uint16((int32(above)-int32(corner))>>1)
			row[i], corner = left, above
		}
	case 6:
		for i, above := range up {
			left = row[i] + above + uint16((int32(left)-int32(corner))>>1)
			row[i], corner = left, above
		}
	case 7:
		for i, above := range up {
			left = row[i] + uint16((uint32(left)+uint32(above))>>1)
			row[i] = left
		}
	}
}

// undoInterleaved is undo for a row of n components, all but the first n samples.
func undoInterleaved(predictor int, row, up []uint16, n int) {
	for i := n; i < len(row); i++ {
		a, b, c := int32(row[i-n]), int32(up[i]), int32(up[i-n])
		switch predictor {
		case 1:
			b = a
		case 3:
			b = c
		case 4:
			b += a - c
		case 5:
			b = a + (b-c)>>1
		case 6:
			b += (a - c) >> 1
		case 7:
			b = (a + b) >> 1
		}
		row[i] += uint16(b)
	}
}

// bitReader reads bits from a segment without stuffing that ends with tail zeros.
//
// acc holds the next bits from its top; n of them, counted down as they are used, are certain, and those
// below are either zero or already right, so that a refill may or them in again.
type bitReader struct {
	buf []byte
	at  int
	acc uint64
	n   uint
}

// overrun says whether more bits were used than there are.
func (r *bitReader) overrun() bool {
	return r.at*8-int(r.n) > (len(r.buf)-tail)*8
}

// sums decodes differences and adds each to the sample before it, first being the one before the row.
func (r *bitReader) sums(row []uint16, t *huffman, first uint16) bool {
	return r.decode(row, t, uint32(first), 0xffff)
}

// differences decodes differences as they are.
func (r *bitReader) differences(row []uint16, t *huffman) bool {
	return r.decode(row, t, 0, 0)
}

// decode fills row with sums of differences: before each addition, the sum so far is masked by keep. It
// returns false at a code that is not in the table, or well behind the end of the bits.
func (r *bitReader) decode(row []uint16, t *huffman, sum, keep uint32) bool {
	buf, at, acc, n := r.buf, r.at, r.acc, r.n
	look := &t.look
	for len(row) >= 4 {
		if at > len(buf)-8 {
			break // one knows what to do behind the end
		}
		acc |= binary.BigEndian.Uint64(buf[at:]) >> (n & 63)
		at += int((63 - n) >> 3)
		n |= 56

		// Four differences without a question in between: one that is not in the table moves by no bit,
		// and so makes all behind it the same.
		a0 := acc
		e0 := look[a0>>(64-lookBits)]
		a1 := a0 << (e0 & 63)
		e1 := look[a1>>(64-lookBits)]
		a2 := a1 << (e1 & 63)
		e2 := look[a2>>(64-lookBits)]
		a3 := a2 << (e2 & 63)
		e3 := look[a3>>(64-lookBits)]
		if e3&0xff != 0 {
			acc = a3 << (e3 & 63)
			n -= uint(e0&63 + e1&63 + e2&63 + e3&63)
			s0 := sum&keep + e0>>16
			s1 := s0&keep + e1>>16
			s2 := s1&keep + e2>>16
			sum = s2&keep + e3>>16
			row[0], row[1], row[2], row[3] = uint16(s0), uint16(s1), uint16(s2), uint16(sum)
			row = row[4:]
			continue
		}
		r.at, r.acc, r.n = at, acc, n
		for i := range 4 {
			d, ok := r.one(t)
			if !ok {
				return false
			}
			sum = sum&keep + uint32(d)
			row[i] = uint16(sum)
		}
		row = row[4:]
		at, acc, n = r.at, r.acc, r.n
	}
	r.at, r.acc, r.n = at, acc, n
	for i := range row {
		d, ok := r.one(t)
		if !ok {
			return false
		}
		sum = sum&keep + uint32(d)
		row[i] = uint16(sum)
	}
	return true
}

// one decodes a single difference of any length.
func (r *bitReader) one(t *huffman) (uint16, bool) {
	if r.n < 32 {
		if r.at > len(r.buf)-8 {
			return 0, true // behind the end; overrun says so to the caller
		}
		r.acc |= binary.BigEndian.Uint64(r.buf[r.at:]) >> (r.n & 63)
		r.at += int((63 - r.n) >> 3)
		r.n |= 56
	}
	e := t.look[r.acc>>(64-lookBits)]
	if length := uint(e & 63); length != 0 {
		r.acc <<= length
		r.n -= length
		return uint16(e >> 16), true
	}
	length, symbol := uint(e>>8&63), int(e>>16)
	if length == 0 {
		for length = lookBits + 1; ; length++ {
			if length > 16 {
				return 0, false
			}
			if code := uint32(r.acc>>(64-length)) - t.first[length]; code < t.count[length] {
				symbol = int(t.symbols[t.place[length]+code])
				break
			}
		}
	}
	r.acc <<= length
	r.n -= length
	if symbol == 0 || symbol == 16 {
		return difference(symbol, 0), true
	}
	extra := uint32(r.acc >> (64 - uint(symbol)))
	r.acc <<= uint(symbol)
	r.n -= uint(symbol)
	return difference(symbol, extra), true
}
