package jpegll

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
)

// EncodeOptions say how an image is coded. The zero value is what DICOM's transfer syntax .70 asks for:
// one component, 16 bits, predictor 1, no restart markers.
type EncodeOptions struct {
	Precision      int // bits a sample, 2 to 16; 0 is 16
	Predictor      int // 1 to 7; 0 is 1
	Components     int // 1 to 4, interleaved by pixel; 0 is 1
	PointTransform int // low bits dropped from every sample (lossy), 0 to Precision-1
	RestartRows    int // rows between restart markers; 0 writes none
}

// Encode appends the JPEG Lossless image of pix, which is [rows, columns, components], to dst and returns
// the extended slice. The Huffman table is the best one for the image (T.81, K.2), shared by all
// components. Samples must not need more than Precision bits.
func Encode(dst []byte, pix []uint16, rows, columns int, opts *EncodeOptions) ([]byte, error) {
	o := EncodeOptions{}
	if opts != nil {
		o = *opts
	}
	o.Precision = orDefault(o.Precision, 16)
	o.Predictor = orDefault(o.Predictor, 1)
	o.Components = orDefault(o.Components, 1)
	switch {
	case rows < 1 || columns < 1 || rows > 65535 || columns > 65535:
		return dst, fmt.Errorf("jpeg lossless: %d rows x %d columns cannot be coded, both must be 1 to 65535", rows, columns)
	case o.Precision < 2 || o.Precision > 16 || o.Predictor < 1 || o.Predictor > 7 || o.Components < 1 || o.Components > 4:
		return dst, fmt.Errorf("jpeg lossless: precision %d, predictor %d, components %d are not all in range", o.Precision, o.Predictor, o.Components)
	case o.PointTransform < 0 || o.PointTransform >= o.Precision:
		return dst, fmt.Errorf("jpeg lossless: point transform %d at precision %d", o.PointTransform, o.Precision)
	case o.RestartRows < 0 || o.RestartRows*columns > 65535:
		return dst, fmt.Errorf("jpeg lossless: a restart interval of %d rows does not fit its 16-bit field", o.RestartRows)
	case len(pix) != rows*columns*o.Components:
		return dst, fmt.Errorf("jpeg lossless: %d samples for %d x %d x %d", len(pix), rows, columns, o.Components)
	}

	residuals := getResiduals(len(pix))
	defer residualPool.Put(residuals)
	if all := o.differences((*residuals)[:len(pix)], pix, rows, columns); all>>o.Precision != 0 {
		return dst, fmt.Errorf("jpeg lossless: a sample needs more than %d bits", o.Precision)
	}
	var counts [categories]uint32
	countCategories(&counts, *residuals)
	table := bestTable(&counts)

	dst = o.appendHeaders(dst, rows, columns, table)
	w := bitWriter{dst: dst}
	if o.RestartRows == 0 {
		w.residuals(*residuals, table)
		w.flush()
	} else {
		step := o.RestartRows * columns * o.Components
		for at, n := 0, 0; at < len(*residuals); at, n = at+step, n+1 {
			if at > 0 {
				w.dst = append(w.dst, 0xff, markerRST0+byte((n-1)&7))
			}
			w.residuals((*residuals)[at:min(at+step, len(*residuals))], table)
			w.flush()
		}
	}
	return append(w.dst, 0xff, markerEOI), nil
}

func orDefault(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

// residualPool holds the differences of one image between its two passes (count, then write).
var residualPool sync.Pool

func getResiduals(n int) *[]uint16 {
	if p, ok := residualPool.Get().(*[]uint16); ok && cap(*p) >= n {
		*p = (*p)[:n]
		return p
	}
	s := make([]uint16, n)
	return &s
}

// differences fills dst with sample minus prediction, modulo 2^16, and returns all samples or-ed.
func (o *EncodeOptions) differences(dst, pix []uint16, rows, columns int) (all uint16) {
	stride := columns * o.Components
	for y := range rows {
		row := pix[y*stride : (y+1)*stride]
		out := dst[y*stride : (y+1)*stride]
		fresh := y == 0 || o.RestartRows > 0 && y%o.RestartRows == 0
		var up []uint16
		if !fresh {
			up = pix[(y-1)*stride : y*stride]
		}
		if o.PointTransform == 0 && o.Components == 1 && o.Predictor == 1 {
			all |= differenceLeft(out, row, o.start(up))
			continue
		}
		for i, v := range row {
			all |= v
			out[i] = v>>o.PointTransform - o.predict(row, up, i)
		}
	}
	return all
}

// differenceLeft is predictor 1 for one row of one component, first being the prediction of its first
// sample. It returns all samples or-ed.
func differenceLeft(out, row []uint16, first uint16) (all uint16) {
	out = out[:len(row)]
	left := first
	for i, v := range row {
		out[i] = v - left
		left = v
		all |= v
	}
	return all
}

// start is the prediction of a row's first sample (H.1.2.1): the one above, or half the range.
func (o *EncodeOptions) start(up []uint16) uint16 {
	if up == nil {
		return 1 << (o.Precision - o.PointTransform - 1)
	}
	return up[0]
}

// predict is the prediction for sample i of a row, any predictor; up is nil in the first row and after a
// restart.
func (o *EncodeOptions) predict(row, up []uint16, i int) uint16 {
	n, pt := o.Components, o.PointTransform
	switch {
	case i < n && up == nil:
		return o.start(nil)
	case i < n:
		return up[i] >> pt
	case up == nil:
		return row[i-n] >> pt
	}
	a, b, c := int(row[i-n]>>pt), int(up[i]>>pt), int(up[i-n]>>pt)
	switch o.Predictor {
	case 1:
		return uint16(a)
	case 2:
		return uint16(b)
	case 3:
		return uint16(c)
	case 4:
		return uint16(a + b - c)
	case 5:
		return uint16(a + (b-c)>>1)
	case 6:
		return uint16(b + (a-c)>>1)
	}
	return uint16((a + b) >> 1)
}

// category is SSSS of table H.2: the bits of the difference's magnitude.
func category(d uint16) int {
	s := int32(int16(d))
	m := s >> 31
	return bits.Len32(uint32((s ^ m) - m))
}

// countCategories counts in four interleaved tables, so that runs of one category do not wait for their
// own counter.
func countCategories(counts *[categories]uint32, residuals []uint16) {
	var c [4][32]uint32
	i := 0
	for ; i+4 <= len(residuals); i += 4 {
		r := residuals[i : i+4 : i+4]
		c[0][category(r[0])&31]++
		c[1][category(r[1])&31]++
		c[2][category(r[2])&31]++
		c[3][category(r[3])&31]++
	}
	for ; i < len(residuals); i++ {
		c[0][category(residuals[i])&31]++
	}
	for k := range counts {
		counts[k] = c[0][k] + c[1][k] + c[2][k] + c[3][k]
	}
}

// appendHeaders writes everything before the entropy-coded bits.
func (o *EncodeOptions) appendHeaders(dst []byte, rows, columns int, table *encodeTable) []byte {
	be := binary.BigEndian
	dst = append(dst, 0xff, markerSOI, 0xff, markerSOF3)
	dst = be.AppendUint16(dst, uint16(8+3*o.Components))
	dst = append(dst, byte(o.Precision))
	dst = be.AppendUint16(dst, uint16(rows))
	dst = be.AppendUint16(dst, uint16(columns))
	dst = append(dst, byte(o.Components))
	for c := range o.Components {
		dst = append(dst, byte(c+1), 0x11, 0)
	}

	dst = append(dst, 0xff, markerDHT)
	dst = be.AppendUint16(dst, uint16(2+17+len(table.symbols)))
	dst = append(dst, 0) // class 0 (lossless), destination 0
	dst = append(dst, table.perLength[:]...)
	dst = append(dst, table.symbols...)

	if o.RestartRows > 0 {
		dst = append(dst, 0xff, markerDRI, 0, 4)
		dst = be.AppendUint16(dst, uint16(o.RestartRows*columns))
	}

	dst = append(dst, 0xff, markerSOS)
	dst = be.AppendUint16(dst, uint16(6+2*o.Components))
	dst = append(dst, byte(o.Components))
	for c := range o.Components {
		dst = append(dst, byte(c+1), 0)
	}
	return append(dst, byte(o.Predictor), 0, byte(o.PointTransform))
}

// bitWriter appends bits, most significant first, with a zero byte stuffed behind every 0xff.
type bitWriter struct {
	dst []byte
	acc uint64 // the n low bits are still to be written
	n   uint   // less than 32 between symbols
}

// residuals writes the code and the extra bits of every difference.
func (w *bitWriter) residuals(rs []uint16, table *encodeTable) {
	// In the worst case a difference takes 31 bits and every byte is stuffed: grown in blocks, so that
	// the loop writes without asking.
	const block = 4096
	acc, n := w.acc, w.n
	for len(rs) > 0 {
		part := rs[:min(block, len(rs))]
		rs = rs[len(part):]
		at := len(w.dst)
		w.grow(8*len(part) + 16)
		out := w.dst[at:cap(w.dst)]
		at = 0
		for _, d := range part {
			s := int32(int16(d))
			sign := s >> 31
			ssss := uint(bits.Len32(uint32((s^sign)-sign))) & 31
			code := table.codes[ssss]
			extra := uint32(s+sign) & code.mask
			length := uint(code.length) & 63
			acc = acc<<length | uint64(code.bits|extra)
			n += length
			if n < 32 {
				continue
			}
			n -= 32
			word := uint32(acc >> (n & 63))
			if hasByteFF(word) {
				at += putStuffed(out[at:], word)
				continue
			}
			binary.BigEndian.PutUint32(out[at:], word)
			at += 4
		}
		w.dst = w.dst[:len(w.dst)+at]
	}
	w.acc, w.n = acc, n
}

// grow makes room for n more bytes behind dst's length.
func (w *bitWriter) grow(n int) {
	if cap(w.dst)-len(w.dst) < n {
		w.dst = append(w.dst, make([]byte, max(n, len(w.dst)/2))...)[:len(w.dst)]
	}
}

// flush pads the last byte with ones, as F.1.2.3 asks.
func (w *bitWriter) flush() {
	for w.n > 0 {
		var b byte
		if w.n >= 8 {
			b = byte(w.acc >> (w.n - 8))
			w.n -= 8
		} else {
			b = byte(w.acc<<(8-w.n)) | 0xff>>w.n
			w.n = 0
		}
		w.dst = append(w.dst, b)
		if b == 0xff {
			w.dst = append(w.dst, 0)
		}
	}
	w.acc = 0
}

func hasByteFF(w uint32) bool {
	inv := ^w
	return (inv-0x01010101)&^inv&0x80808080 != 0
}

func putStuffed(out []byte, w uint32) int {
	at := 0
	for shift := 24; shift >= 0; shift -= 8 {
		b := byte(w >> shift)
		out[at] = b
		at++
		if b == 0xff {
			out[at] = 0
			at++
		}
	}
	return at
}
