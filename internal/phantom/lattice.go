package phantom

import "math"

const latticeSize = 32 // a power of two: indices wrap by masking

// lattice is smooth 3-D noise: random values in -1 … 1 on a periodic cubic lattice, linear in between. It
// bends what would look drawn with a ruler and gives tissue its texture.
type lattice struct {
	v [latticeSize * latticeSize * latticeSize]float32
}

func newLattice(d *dice) *lattice {
	l := new(lattice)
	for i := range l.v {
		l.v[i] = float32(d.between(-1, 1))
	}
	return l
}

// at is the noise at a point in lattice units.
func (l *lattice) at(x, y, z float64) float64 {
	const m = latticeSize - 1
	fx, fy, fz := math.Floor(x), math.Floor(y), math.Floor(z)
	tx, ty, tz := float32(x-fx), float32(y-fy), float32(z-fz)
	x0, y0, z0 := int(fx)&m, int(fy)&m, int(fz)&m
	x1, y1, z1 := (x0+1)&m, (y0+1)&m, (z0+1)&m
	y0, y1 = y0*latticeSize, y1*latticeSize
	z0, z1 = z0*latticeSize*latticeSize, z1*latticeSize*latticeSize
	a := blend(l.v[z0+y0+x0], l.v[z0+y0+x1], tx)
	b := blend(l.v[z0+y1+x0], l.v[z0+y1+x1], tx)
	c := blend(l.v[z1+y0+x0], l.v[z1+y0+x1], tx)
	e := blend(l.v[z1+y1+x0], l.v[z1+y1+x1], tx)
	return float64(blend(blend(a, b, ty), blend(c, e, ty), tz))
}

// blend goes from a (t = 0) to b (t = 1).
func blend(a, b, t float32) float32 { return a + (b-a)*t }
