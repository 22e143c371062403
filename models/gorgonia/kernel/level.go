package kernel

import (
	"fmt"
	"os"
	"unsafe"
)

// tileArgs are the operands of a register tile: rows of weights times vectors of positions,
//
//	c[row][j] = start[row] + Σ_k a[row·aRow + k·aStep] · b[j][off[k]], over the lanes of vector j.
//
// Each product is added to the last sum in the order of k, whatever the tile's size, so that a sum does not depend on how rows and
// positions are cut into tiles.
type tileArgs struct {
	terms int
	a     unsafe.Pointer // the first row's first factor
	aRow  int            // bytes from row to row
	aStep int            // bytes from term to term
	off   unsafe.Pointer // *int32: byte offsets of the terms in b
	init  unsafe.Pointer // *float32: a start for each row; used unless load is set
	load  int            // not 0: start from c
	cRow  int            // bytes from row to row
	b, c  [maxVectors]unsafe.Pointer
}

const maxVectors = 8

// dotArgs are the operands of a tile of dot products of m rows with n rows. Both walk over `rows` runs of `vectors` bytes
// each, a multiple of the vector's size and not 0:
//
//	c[i·n+j] += Σ a[i] · b[j]
type dotArgs struct {
	vectors, rows int
	a             unsafe.Pointer
	aRow          int // bytes from a's row i to row i+1
	aNext, bNext  int // bytes from run to run
	c             unsafe.Pointer
	b             [maxDots]unsafe.Pointer
}

const maxDots = 6

// The assembly relies on these places.
const (
	_ = -(unsafe.Offsetof(tileArgs{}.b) ^ 64)
	_ = -(unsafe.Offsetof(tileArgs{}.c) ^ 128)
	_ = -(unsafe.Offsetof(dotArgs{}.c) ^ 48)
	_ = -(unsafe.Offsetof(dotArgs{}.b) ^ 56)
)

// level is one set of hot loops.
type level struct {
	name  string
	lanes int // floats of a vector
	rows  []int
	tiles [9][]tile // by rows; wide ones first
	dots  [5]dot    // by rows of a
	// transpose8 turns 8 rows of 8·blocks columns; steps are in bytes. It may be nil.
	transpose8 func(blocks int, dst, src *float32, dstStep, srcStep int)
}

type tile struct {
	vectors int
	run     func(*tileArgs)
}

type dot struct {
	n   int // rows of b
	run func(*dotArgs)
}

// levels lists what this machine can do, the best first; portable is always last.
var levels = append(machineLevels(), portable)

// best is the level that new convolutions use.
var best = chosen()

// LevelVariable is the environment variable that forces a level: avx512, avx2 or portable.
const LevelVariable = "CSPINE_KERNEL"

func chosen() *level {
	want := os.Getenv(LevelVariable)
	for _, l := range levels {
		if want == "" || want == l.name {
			return l
		}
	}
	return levels[0]
}

// Level names the set of hot loops in use: avx512, avx2 or portable.
func Level() string { return best.name }

// Levels names the sets of hot loops that this machine can run, the best first.
func Levels() []string {
	var names []string
	for _, l := range levels {
		names = append(names, l.name)
	}
	return names
}

// SetLevel makes convolutions and vectors from now on use the named level. It is for tests and comparisons, and must not be
// called while kernels run.
func SetLevel(name string) error {
	for _, l := range levels {
		if l.name == name {
			best = l
			return nil
		}
	}
	return fmt.Errorf("kernel level %q is not one of %v, which this machine has", name, Levels())
}

// rowTile returns the rows of the tile to use when so many rows are left: the highest that is full, or one that is
// less than half empty.
func (l *level) rowTile(left int) int {
	for i, r := range l.rows {
		if left >= r || i+1 < len(l.rows) && left > l.rows[i+1] && 2*left > r {
			return r
		}
	}
	return l.rows[len(l.rows)-1]
}

// portable has the same loops in Go, with small tiles that a compiler can keep in registers.
var portable = &level{
	name:  "portable",
	lanes: 4,
	rows:  []int{4, 1},
	tiles: [9][]tile{4: {{1, portableTile(4)}}, 1: {{1, portableTile(1)}}},
	dots:  [5]dot{4: {3, portableDot(4, 3)}, 1: {6, portableDot(1, 6)}},
}

func floatAt(p unsafe.Pointer, bytes int) float32 { return *(*float32)(unsafe.Add(p, bytes)) }

func portableTile(rows int) func(*tileArgs) {
	return func(p *tileArgs) {
		var sums [4][4]float32
		for i := range rows {
			if p.load != 0 {
				sums[i] = *(*[4]float32)(unsafe.Add(p.c[0], i*p.cRow))
			} else {
				v := floatAt(p.init, 4*i)
				sums[i] = [4]float32{v, v, v, v}
			}
		}
		off := unsafe.Slice((*int32)(p.off), p.terms)
		for k, o := range off {
			b := (*[4]float32)(unsafe.Add(p.b[0], int(o)))
			for i := range rows {
				a := floatAt(p.a, i*p.aRow+k*p.aStep)
				s := &sums[i]
				s[0] += a * b[0]
				s[1] += a * b[1]
				s[2] += a * b[2]
				s[3] += a * b[3]
			}
		}
		for i := range rows {
			*(*[4]float32)(unsafe.Add(p.c[0], i*p.cRow)) = sums[i]
		}
	}
}

func portableDot(m, n int) func(*dotArgs) {
	return func(p *dotArgs) {
		c := unsafe.Slice((*float32)(p.c), m*n)
		for i := range m {
			for j := range n {
				var s [4]float32
				for r := range p.rows {
					a := unsafe.Slice((*float32)(unsafe.Add(p.a, i*p.aRow+r*p.aNext)), p.vectors/4)
					b := unsafe.Slice((*float32)(unsafe.Add(p.b[j], r*p.bNext)), p.vectors/4)
					for x := 0; x+4 <= len(a); x += 4 {
						a, b := a[x:x+4], b[x:x+4]
						s[0] += a[0] * b[0]
						s[1] += a[1] * b[1]
						s[2] += a[2] * b[2]
						s[3] += a[3] * b[3]
					}
				}
				c[i*n+j] += s[0] + s[2] + (s[1] + s[3])
			}
		}
	}
}
