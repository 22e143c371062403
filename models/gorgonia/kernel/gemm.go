package kernel

import (
	"fmt"
	"unsafe"
)

// Gemm computes c = alpha·op(a)·op(b) + beta·c for row-major matrices: op(a) is m×k, op(b) is k×n, c is m×n, and ld… are the
// floats from row to row as the matrices lie in memory. With beta 0, c's old content is not read. It panics when a slice is too short.
func Gemm(w *Workers, transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	if m < 0 || n < 0 || k < 0 {
		panic(fmt.Sprintf("kernel: matrix product of sizes %d, %d, %d", m, n, k))
	}
	fits("a", a, m, k, lda, transA)
	fits("b", b, k, n, ldb, transB)
	fits("c", c, m, n, ldc, false)
	if m == 0 || n == 0 {
		return
	}
	p := product{level: best, transA: transA, transB: transB, m: m, n: n, k: k, alpha: alpha, beta: beta, a: a, b: b, c: c, lda: lda, ldb: ldb, ldc: ldc}
	w.turn.Lock()
	defer w.turn.Unlock()
	// A few rows are not worth turning b for: dot products read both as they are.
	if transB && !transA && m <= 12 && k >= p.level.lanes {
		p.runDots(w)
		return
	}
	p.run(w)
}

func fits(what string, s []float32, rows, cols, ld int, trans bool) {
	if trans {
		rows, cols = cols, rows
	}
	if rows > 0 && cols > 0 && (ld < cols || len(s) < (rows-1)*ld+cols) {
		panic(fmt.Sprintf("kernel: matrix %s of %d×%d with %d floats a row does not fit %d floats", what, rows, cols, ld, len(s)))
	}
}

// product is a matrix product with its operands.
type product struct {
	level          *level
	transA, transB bool
	m, n, k        int
	alpha, beta    float32
	a, b, c        []float32
	lda, ldb, ldc  int
}

const (
	panelVectors = 12  // of a piece
	panelTerms   = 240 // of a panel: it stays in the first- and second-level caches
)

// run cuts c into panels of columns and, where these are few, shares of rows.
func (p *product) run(w *Workers) {
	width := panelVectors * p.level.lanes
	panels := ceilDiv(p.n, width)
	share := p.m
	for w.n > 1 && panels*ceilDiv(p.m, share) < 2*w.n && share > 32 {
		share = roundUp(share/2, packedRows)
	}
	shares := ceilDiv(p.m, share)
	w.Do(panels*shares, func(worker, piece int) {
		j := productJob{product: p, s: &w.own[worker]}
		j.col0 = piece / shares * width
		j.cols = min(width, p.n-j.col0)
		j.row0 = piece % shares * share
		j.rows = min(share, p.m-j.row0)
		j.run()
	})
}

// productJob is a panel of columns of c for some rows.
type productJob struct {
	*product
	s                      *scratch
	row0, rows, col0, cols int
}

func (j *productJob) run() {
	lanes := j.level.lanes
	vectors := ceilDiv(j.cols, lanes)
	full := j.cols / lanes
	pitch := vectors * lanes
	most := len(j.level.tiles)
	panel := j.s.floats(panelPart, panelTerms*pitch)
	packed := j.s.floats(weightPart, roundUp(j.rows, packedRows)*panelTerms)
	// The columns after the last whole vector are summed aside.
	rest := j.s.floats(outPart, j.rows*lanes)
	tail := j.cols - full*lanes
	j.begin(rest, full*lanes, tail)
	if cap(j.s.ints) < panelTerms+2*vectors {
		j.s.ints = make([]int32, panelTerms+2*vectors)
	}
	off := j.s.ints[:panelTerms]
	from, to := j.s.ints[panelTerms:panelTerms+vectors], j.s.ints[panelTerms+vectors:panelTerms+2*vectors]
	for i := range off {
		off[i] = int32(4 * pitch * i)
	}
	for v := range from {
		from[v], to[v] = int32(4*lanes*v), int32(4*lanes*v)
	}
	var zeros [packedRows]float32
	start := j.s.floats(turnPart, packedRows)
	copy(start, zeros[:])
	t := &j.s.tile
	for k0 := 0; k0 < j.k || k0 == 0; k0 += panelTerms {
		terms := min(panelTerms, j.k-k0)
		j.packColumns(panel, pitch, k0, terms)
		j.packRows(packed, k0, terms)
		load := 1
		if k0 == 0 && j.beta == 0 {
			load = 0
		}
		for row := 0; row < j.rows; row += most {
			r := min(most, j.rows-row)
			*t = tileArgs{terms: terms, load: load, aRow: 4, aStep: 4 * packedRows, off: unsafe.Pointer(&off[0]),
				init: unsafe.Pointer(&start[0]), b: unsafe.Pointer(&panel[0])}
			if terms > 0 {
				t.a = unsafe.Pointer(&packed[row/packedRows*packedRows*terms+row%packedRows])
			}
			if full > 0 {
				t.from, t.to = unsafe.Pointer(&from[0]), unsafe.Pointer(&to[0])
				t.c, t.cRow = unsafe.Pointer(&j.c[(j.row0+row)*j.ldc+j.col0]), 4*j.ldc
				j.level.runTile(t, r, full)
			}
			if tail > 0 {
				t.from, t.to = unsafe.Pointer(&from[full]), unsafe.Pointer(&to[0])
				t.c, t.cRow = unsafe.Pointer(&rest[row*lanes]), 4*lanes
				j.level.runTile(t, r, 1)
			}
		}
	}
	*t = tileArgs{}
	for r := range j.rows {
		copy(j.c[(j.row0+r)*j.ldc+j.col0+full*lanes:][:tail], rest[r*lanes:])
	}
}

// begin makes beta·c of c, where that is needed, and copies the tail columns aside.
func (j *productJob) begin(rest []float32, at, tail int) {
	clear(rest)
	if j.beta == 0 {
		return
	}
	lanes := j.level.lanes
	for r := range j.rows {
		row := j.c[(j.row0+r)*j.ldc+j.col0:][:j.cols]
		if j.beta != 1 {
			Affine(row, row, j.beta, 0)
		}
		copy(rest[r*lanes:][:lanes], row[at:at+tail])
	}
}

// packColumns copies the panel's columns for some terms, zeros after the last.
func (j *productJob) packColumns(panel []float32, pitch, k0, terms int) {
	if terms == 0 {
		return
	}
	if j.transB {
		j.level.transpose(panel, pitch, j.b[j.col0*j.ldb+k0:], j.ldb, j.cols, terms)
	} else {
		for i := range terms {
			copy(panel[i*pitch:][:pitch], j.b[(k0+i)*j.ldb+j.col0:][:j.cols])
		}
	}
	if j.cols < pitch {
		for i := range terms {
			clear(panel[i*pitch:][j.cols:pitch])
		}
	}
}

// packRows copies alpha·a's rows for some terms in blocks of 8 side by side.
func (j *productJob) packRows(packed []float32, k0, terms int) {
	if terms == 0 {
		return
	}
	for row := 0; row < j.rows; row += packedRows {
		dst := packed[row*terms:][:terms*packedRows]
		n := min(packedRows, j.rows-row)
		if j.transA {
			src := j.a[k0*j.lda+j.row0+row:]
			for i := range terms {
				d, s := dst[i*packedRows:][:packedRows], src[i*j.lda:][:n]
				for x, v := range s { //nolint:staticcheck // so few that the call of copy costs more
					d[x] = v
				}
			}
		} else {
			j.level.transpose(dst, packedRows, j.a[(j.row0+row)*j.lda+k0:], j.lda, n, terms)
		}
		if j.alpha != 1 {
			if n < packedRows {
				for i := range terms {
					clear(dst[i*packedRows+n : (i+1)*packedRows])
				}
			}
			Affine(dst, dst, j.alpha, 0)
		}
	}
}

// runDots computes c from dot products of a's rows with b's rows.
func (p *product) runDots(w *Workers) {
	const share = 48 // a multiple of each tile's n
	l := p.level
	whole := p.k / l.lanes * l.lanes
	w.Do(ceilDiv(p.n, share), func(worker, piece int) {
		s := &w.own[worker]
		d := &s.dot
		sums := s.floats(outPart, len(l.dots)*maxDots)
		n0, n1 := piece*share, min(p.n, (piece+1)*share)
		for row := 0; row < p.m; row += len(l.dots) {
			height := min(len(l.dots), p.m-row)
			kind := &l.dots[height-1]
			for col := n0; col < n1; col += kind.n {
				clear(sums)
				*d = dotArgs{vectors: 4 * whole, rows: 1, a: unsafe.Pointer(&p.a[row*p.lda]), aRow: 4 * p.lda, c: unsafe.Pointer(&sums[0])}
				for i := range kind.n {
					d.b[i] = unsafe.Pointer(&p.b[min(col+i, n1-1)*p.ldb])
				}
				kind.run(d)
				for i := range height {
					a := p.a[(row+i)*p.lda:][:p.k]
					for x := 0; x < kind.n && col+x < n1; x++ {
						t := sums[i*kind.n+x]
						if whole < p.k {
							b := p.b[(col+x)*p.ldb:][:p.k]
							for k := whole; k < p.k; k++ {
								t += a[k] * b[k]
							}
						}
						at := &p.c[(row+i)*p.ldc+col+x]
						if p.beta == 0 {
							*at = p.alpha * t
						} else {
							*at = p.alpha*t + p.beta**at
						}
					}
				}
			}
		}
		*d = dotArgs{}
	})
}
