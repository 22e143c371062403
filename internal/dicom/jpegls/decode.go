package jpegls

import (
	"fmt"
	"math/bits"
)

// Decode decodes an image of one component. When its headers are read it asks for room, once: samples are written there, [Rows, Columns], 0 to
// 2^Precision − 1 each, and the caller keeps it. An error of room's is returned as it is; the room must be exactly that of the image. After any
// other error its contents are undefined.
func Decode(data []byte, room func(Frame) ([]uint16, error)) (Frame, error) {
	im, err := read(data)
	if err != nil {
		return im.Frame, err
	}
	pix, err := room(im.Frame)
	if err != nil {
		return im.Frame, err
	}
	if len(pix) != im.Rows*im.Columns {
		return im.Frame, fmt.Errorf("jpeg-ls: room for %d samples, the image has %d rows x %d columns", len(pix), im.Rows, im.Columns)
	}
	d := newDecoder(&im)
	width := im.Columns
	// A row with a sample before and one behind it (T.87, A.2.1).
	above, row := make([]int32, width+2), make([]int32, width+2)
	for y := range im.Rows {
		above[width+1] = above[width]
		row[0] = above[1]
		if err := d.row(row, above); err != nil {
			return im.Frame, fmt.Errorf("row %d: %w", y+1, err)
		}
		if d.bits.ended() {
			return im.Frame, fmt.Errorf("%w: in row %d of %d", ErrTruncated, y+1, im.Rows)
		}
		out := pix[y*width:][:width]
		for x := range out {
			out[x] = uint16(row[x+1])
		}
		above, row = row, above
	}
	return im.Frame, nil
}

// context is what was learned where samples had one kind of neighbours (T.87, A.2.1 and A.6).
type context struct {
	a int32 // the sum of the errors' sizes
	b int32 // the errors' bias
	n int32 // how many there were
	c int16 // what predictions are corrected by
	k uint8 // of the next error's code: the least for which n·2^k is not below a
}

// runContext is the same where a run was interrupted (A.7.2).
type runContext struct{ a, n, negative int }

// decoder is the state of a scan. Names are those of T.87, annex A, in words.
type decoder struct {
	bits      bitReader
	maximum   int
	near      int
	step      int // 2·near + 1
	values    int // RANGE: how many different errors there are
	quantised int // bits of an error
	limit     int // of a code's length
	reset     int
	class     []int8 // of a difference + maximum: −4 to 4
	contexts  [9 * 9 * 5]context
	runs      [2]runContext
	run       int // the place in runLengths
}

// runLengths are the logarithms of the lengths of run segments, J of A.2.1.
var runLengths = [32]int{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func newDecoder(im *image) *decoder {
	d := &decoder{bits: bitReader{data: im.scan}, maximum: im.maximum, near: im.near, step: 2*im.near + 1, reset: im.reset}
	d.values = (d.maximum+2*d.near)/d.step + 1
	d.quantised = bits.Len(uint(d.values - 1))
	sample := max(2, bits.Len(uint(im.maximum)))
	d.limit = 2 * (sample + max(8, sample))
	first := max(2, (d.values+32)/64)
	for i := range d.contexts {
		d.contexts[i] = context{a: int32(first), n: 1, k: uint8(bits.Len(uint(first - 1)))}
	}
	for i := range d.runs {
		d.runs[i] = runContext{a: first, n: 1}
	}
	d.classify(im)
	return d
}

// classify fills in the classes of differences (A.3.3).
func (d *decoder) classify(im *image) {
	d.class = make([]int8, 2*im.maximum+1)
	zero := im.maximum
	ends := [...]int{im.near + 1, im.t1, im.t2, im.t3, im.maximum + 1}
	for i, from := range ends[:4] {
		for size := from; size < ends[i+1]; size++ {
			d.class[zero+size], d.class[zero-size] = int8(i+1), -int8(i+1)
		}
	}
}

// row decodes a row from its second element on.
//
// Each sample waits for the one before it, so that everything else stands aside: what the row above says of the neighbours, the parameter of
// the context's code, which learn leaves there, and the bits, which are in variables of this function's own. Signs are taken by masks, since
// nothing foretells them.
func (d *decoder) row(row, above []int32) error {
	class, zero := d.class, d.maximum
	above = above[:len(row)]
	near, step, maximum, reset := d.near, d.step, d.maximum, int32(d.reset)
	most := d.limit - d.quantised - 1
	span := d.values * d.step
	contexts := &d.contexts
	acc, n := d.bits.acc, d.bits.n
	left, before, up := int(row[0]), int(above[0]), int(above[1])
	sloped := int(class[zero+up-before]) // of the two samples above
	for x := 1; x < len(row)-1; {
		after := int(above[x+1])
		next := int(class[zero+after-up])
		q := next*81 + sloped*9 + int(class[zero+before-left])
		if q == 0 {
			d.bits.acc, d.bits.n = acc, n
			run, interrupted, err := d.runOf(len(row) - 1 - x)
			if err != nil {
				return err
			}
			for i := range row[x : x+run] {
				row[x+i] = int32(left)
			}
			if x += run; interrupted {
				if row[x], err = d.interruption(left, int(above[x])); err != nil {
					return err
				}
				x++
			}
			acc, n = d.bits.acc, d.bits.n
			if x < len(row) {
				left, before, up = int(row[x-1]), int(above[x-1]), int(above[x])
				sloped = int(class[zero+up-before])
			}
			continue
		}
		sign := q >> 63
		c := &contexts[(q^sign)-sign]
		predicted := min(max(median(left, up, before)+((int(c.c)^sign)-sign), 0), maximum)
		k := int(c.k)
		if n < 32 {
			d.bits.acc, d.bits.n = acc, n
			d.bits.fill()
			acc, n = d.bits.acc, d.bits.n
		}
		var v int
		if z := bits.LeadingZeros64(acc); z < most && z+1+k <= n {
			// Neither shift reaches 64: at most 47 zeros precede a code, and 17 bits follow it.
			acc <<= uint(z+1) & 63
			v = z<<(uint(k)&63) | int(acc>>1>>(uint(63-k)&63))
			acc <<= uint(k) & 63
			n -= z + 1 + k
		} else {
			d.bits.acc, d.bits.n = acc, n
			if v = d.code(k, d.limit); v > 2*d.values {
				return d.wrong()
			}
			acc, n = d.bits.acc, d.bits.n
		}
		e := v>>1 ^ -(v & 1)
		if k == 0 && near == 0 && 2*c.b <= -c.n {
			e = ^e
		}
		c.learn(int32(e), int32(step), reset)
		e = (e ^ sign) - sign
		if near != 0 {
			e *= step
		}
		s := predicted + e
		if s < -near {
			s += span
		} else if s > maximum+near {
			s -= span
		}
		left = min(max(s, 0), maximum)
		row[x] = int32(left)
		before, up, sloped = up, after, next
		x++
	}
	d.bits.acc, d.bits.n = acc, n
	return nil
}

// median predicts a sample by its neighbours (A.4.1): the middle one of both, and of what a plane through all three would have.
func median(left, up, before int) int {
	less := (left - up) & ((left - up) >> 63) // 0, or how far left is below up
	low, high := up+less, left-less
	below := left + up - before - high
	mid := below&(below>>63) + high - low
	return mid&^(mid>>63) + low
}

// learn updates a context (A.6).
func (c *context) learn(e, step, reset int32) {
	minus := e >> 31
	a, b, n := c.a+(e^minus-minus), c.b+e*step, c.n
	if n == reset {
		a >>= 1
		b >>= 1
		n >>= 1
	}
	n++
	// Masks and bounds, since nothing foretells the bias: it stays above -n and at most 0, or else the correction moves.
	low, high := (b+n-1)>>31, -b>>31 // all ones if b <= -n, if b > 0
	c.b = min(max(b+n&low-n&high, 1-n), 0)
	c.c = int16(min(max(int32(c.c)+low-high, -128), 127))
	k := c.k
	for n<<(k&31) < a {
		k++
	}
	for k > 0 && n<<((k-1)&31) >= a {
		k--
	}
	c.a, c.n, c.k = a, n, k
}

// restored brings a sample back into its range (A.4.4).
func (d *decoder) restored(v int) int32 {
	if v < -d.near {
		v += d.values * d.step
	} else if v > d.maximum+d.near {
		v -= d.values * d.step
	}
	return int32(min(max(v, 0), d.maximum))
}

// code reads a Golomb code of limited length (A.5.3).
func (d *decoder) code(k, limit int) int {
	most := limit - d.quantised - 1
	if u := d.bits.zeros(most); u < most {
		return u<<k | d.bits.take(k)
	}
	return d.bits.take(d.quantised) + 1
}

// runOf reads the length of a run of at most so many samples, and whether another sample follows it in the row (A.7.1).
func (d *decoder) runOf(most int) (n int, interrupted bool, err error) {
	for d.bits.take(1) == 1 {
		segment := 1 << runLengths[d.run]
		if n+segment > most {
			return most, false, nil
		}
		n += segment
		d.run = min(d.run+1, len(runLengths)-1)
		if n == most {
			return n, false, nil
		}
	}
	n += d.bits.take(runLengths[d.run])
	if n >= most {
		return 0, false, d.wrong()
	}
	return n, true, nil
}

// wrong is the error about a code that no encoder writes, which may come of bits that are not there.
func (d *decoder) wrong() error {
	if d.bits.ended() {
		return ErrTruncated
	}
	return malformed("a code that stands for nothing")
}

// interruption reads the sample that ends a run (A.7.2).
func (d *decoder) interruption(left, up int) (int32, error) {
	kind, predicted, sign := 0, up, 1
	if diff := left - up; diff >= -d.near && diff <= d.near {
		kind, predicted = 1, left
	} else if left > up {
		sign = -1
	}
	c := &d.runs[kind]
	sum := c.a
	if kind == 1 {
		sum += c.n >> 1
	}
	k := 0
	for c.n<<k < sum {
		k++
	}
	v := d.code(k, d.limit-runLengths[d.run]-1)
	if v > 2*d.values {
		return 0, d.wrong()
	}
	d.run = max(d.run-1, 0)
	t := v + kind
	odd := t & 1
	e := (t + odd) / 2
	if (k != 0 || 2*c.negative >= c.n) == (odd == 1) {
		e = -e
	}
	if e < 0 {
		c.negative++
	}
	c.a += (v + 1 - kind) >> 1
	if c.n == d.reset {
		c.a >>= 1
		c.n >>= 1
		c.negative >>= 1
	}
	c.n++
	return d.restored(predicted + sign*e*d.step), nil
}
