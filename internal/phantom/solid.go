package phantom

import "math"

// Solids are signed distances in millimetres: negative inside, positive outside, near enough to the true
// distance for edges a voxel wide and for a cortex a millimetre thick. They never grow faster than the true
// distance by much, which the rasteriser relies on when it skips what is far away.

// vec is a point or a direction: x to the patient's left, y to the back, z to the head, in mm.
type vec struct{ x, y, z float64 }

func (a vec) add(b vec) vec               { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) sub(b vec) vec               { return vec{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vec) scale(f float64) vec         { return vec{a.x * f, a.y * f, a.z * f} }
func (a vec) dot(b vec) float64           { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vec) length() float64             { return math.Sqrt(a.dot(a)) }
func (a vec) toward(b vec, t float64) vec { return a.add(b.sub(a).scale(t)) }

// frame is a place and an attitude: an origin and three orthonormal axes, given in world coordinates.
type frame struct {
	origin  vec
	x, y, z vec
}

// newFrame turns the world's axes: by tilt about x (the head end leans forward), by bend about y (the head end leans
// to the left), then by turn about z (the face turns to the left); radians.
func newFrame(origin vec, tilt, bend, turn float64) frame {
	st, ct := math.Sincos(tilt)
	sb, cb := math.Sincos(bend)
	su, cu := math.Sincos(turn)
	spin := func(v vec) vec {
		v = vec{cb*v.x + sb*v.z, v.y, cb*v.z - sb*v.x}
		v = vec{v.x, ct*v.y - st*v.z, st*v.y + ct*v.z}
		return vec{cu*v.x - su*v.y, su*v.x + cu*v.y, v.z}
	}
	return frame{origin, spin(vec{x: 1}), spin(vec{y: 1}), spin(vec{z: 1})}
}

func (f *frame) local(p vec) vec {
	d := p.sub(f.origin)
	return vec{d.dot(f.x), d.dot(f.y), d.dot(f.z)}
}

func (f *frame) world(q vec) vec {
	return f.origin.add(f.x.scale(q.x)).add(f.y.scale(q.y)).add(f.z.scale(q.z))
}

// bar is a rod with round ends whose radius goes from ra to rb; flat > 1 stretches it along z by that factor.
type bar struct {
	a, ab        vec // start, and way to the end, z already divided by flat
	ra, rb, flat float64
	inverse      float64 // 1 / |ab|²
}

func newBar(a, b vec, ra, rb, flat float64) bar {
	a.z, b.z = a.z/flat, b.z/flat
	ab := b.sub(a)
	return bar{a, ab, ra, rb, flat, 1 / max(1e-9, ab.dot(ab))}
}

func (b *bar) distance(q vec) float64 {
	q = vec{q.x - b.a.x, q.y - b.a.y, q.z/b.flat - b.a.z}
	t := max(0, min(1, q.dot(b.ab)*b.inverse))
	return q.sub(b.ab.scale(t)).length() - (b.ra + (b.rb-b.ra)*t)
}

// ellipsoid is the distance to an ellipsoid about the origin (first-order, exact on the surface).
func ellipsoid(q, r vec) float64 {
	a := vec{q.x / r.x, q.y / r.y, q.z / r.z}
	b := vec{a.x / r.x, a.y / r.y, a.z / r.z}
	k := a.length()
	return k * (k - 1) / max(1e-9, b.length())
}

// ellipse is ellipsoid's sister in the plane.
func ellipse(x, y, rx, ry float64) float64 {
	x, y = x/rx, y/ry
	k := math.Sqrt(x*x + y*y)
	x, y = x/rx, y/ry
	return k * (k - 1) / max(1e-9, math.Sqrt(x*x+y*y))
}

// roundBox is a box about the origin, half its size given, its edges rounded by r.
func roundBox(q, half vec, r float64) float64 {
	x, y, z := math.Abs(q.x)-half.x+r, math.Abs(q.y)-half.y+r, math.Abs(q.z)-half.z+r
	inside := min(max(x, y, z), 0)
	x, y, z = max(x, 0), max(y, 0), max(z, 0)
	return math.Sqrt(x*x+y*y+z*z) + inside - r
}

// join is the union of two solids with a fillet of about k mm.
func join(a, b, k float64) float64 {
	h := k - math.Abs(a-b)
	if h <= 0 {
		return min(a, b)
	}
	return min(a, b) - h*h/(4*k)
}

// meet is the intersection with an edge rounded by about k mm.
func meet(a, b, k float64) float64 { return -join(-a, -b, k) }

// carve takes b away from a, the rim rounded by about k mm.
func carve(a, b, k float64) float64 { return meet(a, -b, k) }

// ramp goes smoothly from 0 at x = a to 1 at x = b.
func ramp(a, b, x float64) float64 {
	t := max(0, min(1, (x-a)/(b-a)))
	return t * t * (3 - 2*t)
}
