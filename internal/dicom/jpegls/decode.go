package jpegls

import (
	"fmt"
	"math/bits"
)

// Decode decodes an image of one component into pix, [Rows, Columns], whose length must be that of the image. Samples are 0 to
// 2^Precision − 1.
func Decode(data []byte, pix []uint16) (Frame, error) {
	im, err := read(data)
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
	a int // the sum of the errors' sizes
	b int // the errors' bias
	c int // what predictions are corrected by
	n int // how many there were
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
		d.contexts[i] = context{a: first, n: 1}
	}
	for i := range d.runs {
		d.runs[i] = runContext{a: first, n: 1}
	}
	d.class = make([]int8, 2*im.maximum+1)
	for i := range d.class {
		v := i - im.maximum
		size := max(v, -v)
		var class int8
		switch {
		case size <= im.near:
		case size < im.t1:
			class = 1
		case size < im.t2:
			class = 2
		case size < im.t3:
			class = 3
		default:
			class = 4
		}
		if v < 0 {
			class = -class
		}
		d.class[i] = class
	}
	return d
}

// row decodes a row from its second element on.
func (d *decoder) row(row, above []int32) error {
	class, zero := d.class, d.maximum
	above = above[:len(row)]
	for x := 1; x < len(row)-1; {
		left, up, before, after := int(row[x-1]), int(above[x]), int(above[x-1]), int(above[x+1])
		q := int(class[zero+after-up])*81 + int(class[zero+up-before])*9 + int(class[zero+before-left])
		if q == 0 {
			n, interrupted, err := d.runOf(len(row) - 1 - x)
			if err != nil {
				return err
			}
			for i := range row[x : x+n] {
				row[x+i] = int32(left)
			}
			if x += n; interrupted {
				if row[x], err = d.interruption(left, int(above[x])); err != nil {
					return err
				}
				x++
			}
			continue
		}
		sign := 1
		if q < 0 {
			sign, q = -1, -q
		}
		c := &d.contexts[q]
		predicted := min(max(median(left, up, before)+sign*c.c, 0), d.maximum)
		k := 0
		for c.n<<k < c.a {
			k++
		}
		v := d.code(k, d.limit)
		if v > 2*d.values {
			return d.wrong()
		}
		e := v >> 1
		if v&1 != 0 {
			e = -e - 1
		}
		if k == 0 && d.near == 0 && 2*c.b <= -c.n {
			e = -e - 1
		}
		c.learn(e, d.step, d.reset)
		row[x] = d.restored(predicted + sign*e*d.step)
		x++
	}
	return nil
}

// median predicts a sample by its neighbours (A.4.1).
func median(left, up, before int) int {
	low, high := min(left, up), max(left, up)
	switch {
	case before >= high:
		return low
	case before <= low:
		return high
	}
	return left + up - before
}

// learn updates a context (A.6).
func (c *context) learn(e, step, reset int) {
	c.b += e * step
	c.a += max(e, -e)
	if c.n == reset {
		c.a >>= 1
		c.b >>= 1
		c.n >>= 1
	}
	c.n++
	switch {
	case c.b <= -c.n:
		c.b = max(c.b+c.n, 1-c.n)
		c.c = max(c.c-1, -128)
	case c.b > 0:
		c.b = min(c.b-c.n, 0)
		c.c = min(c.c+1, 127)
	}
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
