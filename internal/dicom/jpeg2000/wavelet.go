package jpeg2000

// synthesise makes the tile's samples of its subbands (T.800, F.3): of each resolution and three subbands the next one, of twice the size.
//
// A row is made of its two halves, and then lifted down the columns while it is near. Of the last resolution only four rows are kept, for its
// rows go where the samples go.
func (d *decoder) synthesise(t *tilePackets) {
	low, lowStride := d.coefficients, t.width()
	if t.levels == 0 {
		for y := range t.height() {
			d.samples(t, y, low[y*lowStride:][:t.width()])
		}
	}
	for r := 1; r <= t.levels; r++ {
		res := &d.resolutions[r]
		if res.empty() {
			continue
		}
		w, h := res.width(), res.height()
		left, above := d.resolutions[r-1].width(), d.resolutions[r-1].height()
		kept, last := h, r == t.levels
		if last {
			kept = min(h, 4)
		}
		out := sized(d.low[r&1], w*kept)
		d.low[r&1] = out
		l := lifting{height: h, parity: int(res.y0 & 1)}
		l.row = func(y int) []int32 {
			if last {
				y &= 3
			}
			return out[y*w:][:w]
		}
		l.make = func(y int) {
			at := y / 2
			if y&1 == l.parity {
				horizontal(l.row(y), low[at*lowStride:][:left], d.coefficients[at*d.stride+left:][:w-left], int(res.x0&1))
			} else {
				both := d.coefficients[(above+at)*d.stride:][:w]
				horizontal(l.row(y), both[:left], both[left:], int(res.x0&1))
			}
		}
		l.done = func(y int) {
			if last {
				d.samples(t, y, l.row(y))
			}
		}
		l.run()
		low, lowStride = out, w
	}
}

// samples shifts the tile's row of samples to where they were before the transform (G.1.2), and bounds them as OpenJPEG does: those of a lossy
// image may lie outside.
func (d *decoder) samples(t *tilePackets, y int, row []int32) {
	im := d.image
	to := d.pix[(int(t.y0-im.area.y0)+y)*im.Columns+int(t.x0-im.area.x0):][:len(row)]
	middle := int32(1) << (im.Precision - 1)
	if im.Signed {
		for x, v := range row {
			to[x] = uint16(min(max(v, -middle), middle-1))
		}
		return
	}
	for x, v := range row {
		to[x] = uint16(min(max(v+middle, 0), 2*middle-1))
	}
}

// lifting is the vertical half of a resolution's synthesis. It asks for rows from the first to the last, needs them until the one behind the next
// is made, and says when each is done.
type lifting struct {
	height, parity int // the first row is a high one where parity is 1
	make           func(y int)
	row            func(y int) []int32
	done           func(y int)
}

// run lifts the rows (equations F-5 and F-6). Beyond the first and the last they are mirrored.
func (l *lifting) run() {
	if l.height == 1 {
		l.make(0)
		if l.parity == 1 {
			halve(l.row(0))
		}
		l.done(0)
		return
	}
	made, y := 0, l.parity
	for ; y < l.height; y += 2 {
		for ; made < min(y+2, l.height); made++ {
			l.make(made)
		}
		up, down := y-1, y+1
		if up < 0 {
			up = down
		}
		if down == l.height {
			down = up
		}
		lower(l.row(y), l.row(up), l.row(down))
		if y > 0 {
			before := y - 2
			if before < 0 {
				before = y
			}
			raise(l.row(y-1), l.row(before), l.row(y))
			l.done(y - 1)
		}
		l.done(y)
	}
	if y--; y < l.height {
		raise(l.row(y), l.row(y-1), l.row(y-1))
		l.done(y)
	}
}

// lower lifts a low row by the high ones beside it.
func lower(row, up, down []int32) {
	up, down = up[:len(row)], down[:len(row)]
	for x := range row {
		row[x] -= (up[x] + down[x] + 2) >> 2
	}
}

// raise lifts a high row by the low ones beside it, which are done.
func raise(row, up, down []int32) {
	up, down = up[:len(row)], down[:len(row)]
	for x := range row {
		row[x] += (up[x] + down[x]) >> 1
	}
}

// halve is the synthesis of a single high sample (F.3.6). The encoder doubled it; of a lossy image it may be odd.
func halve(row []int32) {
	for x := range row {
		row[x] /= 2
	}
}

// horizontal synthesises a row of its low and its high half, of which the high one comes first where parity is 1.
func horizontal(row, low, high []int32, parity int) {
	switch {
	case len(row) == 1 && parity == 0:
		row[0] = low[0]
		return
	case len(row) == 1:
		row[0] = high[0]
		halve(row)
		return
	}
	// From a high sample on: before is what is left of it, the low one there being done.
	var before int32
	if parity == 0 {
		before = low[0] - (2*high[0]+2)>>2
		row[0] = before
		row, low = row[1:], low[1:]
	} else {
		before = low[0] - (high[0]+high[min(1, len(high)-1)]+2)>>2 // as on its other side
	}
	// Each high sample but the last has a low one behind it, and that another high one.
	n := min(len(high)-1, len(low))
	pairs, highs := row[:2*n], high[:n+1]
	low, rest := low[:n], low[n:]
	at := highs[0]
	for i, v := range low {
		after := highs[i+1]
		v -= (at + after + 2) >> 2
		pairs[2*i] = at + (before+v)>>1
		pairs[2*i+1] = v
		before, at = v, after
	}
	switch row = row[2*n:]; len(row) {
	case 1:
		row[0] = at + before
	case 2:
		v := rest[0] - (2*at+2)>>2
		row[0], row[1] = at+(before+v)>>1, v
	}
}
