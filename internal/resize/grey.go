package resize

// Grey interpolates uint8 planes of one size to another (cv2.INTER_LINEAR). Preparing it costs about as
// much as a few rows; it is meant for many planes. It holds buffers and must not be used by two goroutines
// at once.
type Grey struct {
	rows, columns       int
	dstRows, dstColumns int
	// plan is nil where both axes shrink to half: OpenCV averages then.
	plan *fixed
	bufs [2][]uint8
}

// NewGrey prepares planes of rows x columns to become dstRows x dstColumns.
func NewGrey(rows, columns, dstRows, dstColumns int) *Grey {
	check(rows*columns, rows, columns)
	check(dstRows*dstColumns, dstRows, dstColumns)
	g := &Grey{rows: rows, columns: columns, dstRows: dstRows, dstColumns: dstColumns}
	for i := range g.bufs {
		g.bufs[i] = make([]uint8, columns)
	}
	y, x := newAxis(rows, dstRows), newAxis(columns, dstColumns)
	if y.whole != 2 || x.whole != 2 {
		g.plan = newFixed(y.rowTaps(y.linear), x.taps(x.linear))
	}
	return g
}

// Takes reports whether g is for planes of rows x columns.
func (g *Grey) Takes(rows, columns int) bool { return g.rows == rows && g.columns == columns }

// Cut resizes a part of a larger plane into dst, [dstRows, dstColumns], after replacing every value v of it
// by table[v+offset]. The part has the size that g takes and starts at pix[0]; its rows lie stride values
// apart. Values outside of the part are not looked up.
func (g *Grey) Cut(dst []uint8, pix []uint16, stride int, table []uint8, offset int) {
	check(len(dst), g.dstRows, g.dstColumns)
	g.run(dst, func(buf []uint8, row int) []uint8 {
		from := pix[row*stride:][:len(buf)]
		for i, p := range from {
			buf[i] = table[int(p)+offset]
		}
		return buf
	})
}

// rowSource returns a row of the source plane. It may fill and return buf, which is a row long.
type rowSource func(buf []uint8, row int) []uint8

func (g *Grey) run(dst []uint8, source rowSource) {
	if g.plan != nil {
		g.plan.run(dst, g.bufs[0], source)
		return
	}
	for r := range g.dstRows {
		p, q := source(g.bufs[0], 2*r), source(g.bufs[1], 2*r+1)
		out := dst[r*g.dstColumns:][:g.dstColumns]
		for k := range out {
			out[k] = uint8((int(p[2*k]) + int(p[2*k+1]) + int(q[2*k]) + int(q[2*k+1]) + 2) >> 2)
		}
	}
}
