package kernel

import (
	"fmt"
	"os"
	"unsafe"
)

// tileArgs are the operands of register tiles: rows of weights times groups of vectors of positions,
//
//	c[row][to[j]] = start[row] + Σ_k a[row·aRow + k·aStep] · b[from[j] + off[k]], over the lanes of vector j,
//
// where a tile takes n vectors at a time. Each product is added to the last sum in the order of k, whatever the tile's size, so
// that a sum does not depend on how rows and positions are cut into tiles.
type tileArgs struct {
	terms  int
	a      unsafe.Pointer // the first row's first factor
	aRow   int            // bytes from row to row
	aStep  int            // bytes from term to term
	off    unsafe.Pointer // *int32: bytes by term
	init   unsafe.Pointer // *float32: a start for each row; used unless load is set
	load   int            // not 0: start from c
	cRow   int            // bytes from row to row
	b      unsafe.Pointer
	from   unsafe.Pointer // *int32: bytes by vector
	c      unsafe.Pointer
	to     unsafe.Pointer // *int32: bytes by vector
	groups int            // not 0; running counts it down
	at     int            // bytes into from and to; running moves it on
}

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
	_ = -(unsafe.Offsetof(tileArgs{}.at) ^ 104)
	_ = -(unsafe.Offsetof(dotArgs{}.c) ^ 48)
	_ = -(unsafe.Offsetof(dotArgs{}.b) ^ 56)
)

// level is one set of hot loops.
type level struct {
	name  string
	lanes int      // floats of a vector
	tiles [][]tile // by rows − 1; wide ones first
	dots  []dot    // by rows of a − 1
	vectorLoops
	// The rest may be nil.
	transpose8  func(blocks int, dst, src *float32, dstStep, srcStep int)
	gather      func(rows, vectors int, dst, src *float32, dstStep, srcStep int)
	everySecond func(blocks int, dst, src *float32)
	split       func(blocks int, even, odd, src *float32)
	interleave  func(blocks int, dst, even, odd *float32)
}

type tile struct {
	vectors int
	run     func(*tileArgs)
}

type dot struct {
	n   int // rows of b
	run func(*dotArgs)
}

// runTile computes some rows, no more than len(l.tiles), of the n vectors that p.from and p.to list.
func (l *level) runTile(p *tileArgs, rows, n int) {
	tiles := l.tiles[rows-1]
	p.at = 0
	for i := 0; n > 0; i++ {
		if p.groups = n / tiles[i].vectors; p.groups > 0 {
			n -= p.groups * tiles[i].vectors
			tiles[i].run(p)
		}
	}
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

// portable has the same loops in Go, with small tiles that a compiler can keep in registers.
var portable = &level{
	name:  "portable",
	lanes: 4,
	tiles: [][]tile{{{1, portableTile(1)}}, {{1, portableTile(2)}}, {{1, portableTile(3)}}, {{1, portableTile(4)}}},
	dots:  []dot{{1, portableDot(1)}, {1, portableDot(2)}, {1, portableDot(3)}, {1, portableDot(4)}},
}

func floatAt(p unsafe.Pointer, bytes int) float32 { return *(*float32)(unsafe.Add(p, bytes)) }

func portableTile(rows int) func(*tileArgs) {
	return func(p *tileArgs) {
		off := unsafe.Slice((*int32)(p.off), p.terms)
		for ; p.groups > 0; p.groups-- {
			c := unsafe.Add(p.c, int(*(*int32)(unsafe.Add(p.to, p.at))))
			from := unsafe.Add(p.b, int(*(*int32)(unsafe.Add(p.from, p.at))))
			var sums [4][4]float32
			for i := range rows {
				if p.load != 0 {
					sums[i] = *(*[4]float32)(unsafe.Add(c, i*p.cRow))
				} else {
					v := floatAt(p.init, 4*i)
					sums[i] = [4]float32{v, v, v, v}
				}
			}
			for k, o := range off {
				b := (*[4]float32)(unsafe.Add(from, int(o)))
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
				*(*[4]float32)(unsafe.Add(c, i*p.cRow)) = sums[i]
			}
			p.at += 4
		}
	}
}

func portableDot(m int) func(*dotArgs) {
	return func(p *dotArgs) {
		c := unsafe.Slice((*float32)(p.c), m)
		for i := range m {
			var s [4]float32
			for r := range p.rows {
				a := unsafe.Slice((*float32)(unsafe.Add(p.a, i*p.aRow+r*p.aNext)), p.vectors/4)
				b := unsafe.Slice((*float32)(unsafe.Add(p.b[0], r*p.bNext)), p.vectors/4)
				for x := 0; x+4 <= len(a); x += 4 {
					a, b := a[x:x+4], b[x:x+4]
					s[0] += a[0] * b[0]
					s[1] += a[1] * b[1]
					s[2] += a[2] * b[2]
					s[3] += a[3] * b[3]
				}
			}
			c[i] += s[0] + s[2] + (s[1] + s[3])
		}
	}
}
