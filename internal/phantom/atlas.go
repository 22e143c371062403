package phantom

import "math"

// atlas is C1: two lateral masses on a ring, no body, no spinous process. Its frame stands where the dens does.
// Sizes after Doherty and Heggeness 1994 and Tan et al. 2003: inside the ring about 32 mm deep and 29 wide,
// 78 mm from tip to tip of the transverse processes.
type atlas struct {
	ringY, ringWidth, ringDepth float64 // centre and half axes of the arches' centre line
	front, back                 float64 // radii of the arches
	tubercle, nub               bar     // in front and behind
	upper, lower                bar     // the bars round the transverse foramen
	foramen                     float64
	massX, tip                  float64
}

func newAtlas(d *dice) *atlas {
	a := &atlas{
		ringY: 7.6, ringWidth: 18.5 * d.around(1, 0.03), ringDepth: 18.6 * d.around(1, 0.03),
		front: 2.6 * d.around(1, 0.06), back: 2.4 * d.around(1, 0.08),
		foramen: 3.2 * d.around(1, 0.06), massX: 17.6, tip: 37.5 * d.around(1, 0.04),
	}
	front, rear := a.ringY-a.ringDepth, a.ringY+a.ringDepth
	a.tubercle = newBar(vec{0, front - 0.6, 0}, vec{0, front - 1.6, -1}, 2.6, 2.0, 1.5)
	a.nub = newBar(vec{0, rear, 0}, vec{0, rear + 1.8, -1}, 2.4, 1.8, 1.3)
	a.upper = newBar(vec{20, -2, -1}, vec{a.tip - 4, 2.0, -2.5}, 2.0, 1.8, 1)
	a.lower = newBar(vec{20, 7.5, -1}, vec{a.tip, 5.5, -3.0}, 2.2, 3.0, 1.1)
	return a
}

func (a *atlas) distance(q vec) float64 {
	x := q
	x.x = math.Abs(q.x)
	side := ellipse(x.x, q.y-a.ringY, a.ringWidth, a.ringDepth)
	radius, flat := a.front, 0.5
	if q.y > a.ringY {
		// Behind the lateral mass the vertebral artery lies on the arch and thins it.
		radius, flat = a.back*(1-0.22*ramp(8, 15, x.x)), 0.56
	}
	z := q.z * flat
	arch := math.Sqrt(side*side+z*z) - radius

	// A wedge, higher outside; its axis turns inward to the front.
	m := vec{x.x - a.massX, q.y - 1.0, q.z}
	m.x, m.y = m.x*0.96-m.y*0.28, m.y*0.96+m.x*0.28
	top := 3.6 + 0.42*m.x + 0.02*m.y*m.y
	bottom := -6.6 - 0.42*m.x
	mass := meet(roundBox(vec{x: m.x, y: m.y}, vec{6.6, 9.6, 50}, 5.2), 0.9*max(q.z-top, bottom-q.z), 2)

	wing := join(a.upper.distance(x), a.lower.distance(x), 1.5)
	all := join(join(arch, mass, 2.2), wing, 2)
	all = join(all, a.tubercle.distance(x), 1.5)
	all = join(all, a.nub.distance(x), 1.5)
	all = carve(all, ellipse(x.x-27.2, q.y-2.6, a.foramen, a.foramen), 0.8)
	// Room for the dens, its ligament and the cord.
	return carve(all, min(math.Hypot(q.x, q.y)-7.3, ellipse(q.x, q.y-14, 12.2, 9.2)), 1)
}

func (a *atlas) inner(vec) float64 { return 0.85 }

func (a *atlas) reach() (lo, hi vec) {
	return vec{-a.tip - 5, -17, -15}, vec{a.tip + 5, 34, 11}
}
