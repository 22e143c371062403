package phantom

import "math"

// axis is C2: a body that carries the dens, sloping shoulders for the atlas, a stout forked spinous process.
// Its frame stands in the body; the dens rises 28 mm above. Sizes after Doggett and Heller, Xu et al. 1995 and
// Schaffler et al. 1992: dens 10–11 mm across, 38 mm from the lower endplate to its tip.
type axis struct {
	dens, neck, base        bar
	pars, lamina            bar
	spinous, fork           bar
	wing                    bar
	canalWidth, canalDepth  float64
	bodyWidth, bodyDepth, h float64
}

func newAxis(d *dice) *axis {
	a := &axis{
		canalWidth: 12 * d.around(1, 0.03), canalDepth: 16.5 * d.around(1, 0.04),
		bodyWidth: 8.8 * d.around(1, 0.04), bodyDepth: 7.6 * d.around(1, 0.04), h: 8.8,
	}
	lean, r := d.between(-0.04, 0.08), d.around(1, 0.04)
	a.neck = newBar(vec{0, -0.5, 3}, vec{0, 0.6 + 14*lean, 15.5}, 5.9*r, 4.7*r, 1)
	a.dens = newBar(vec{0, 0.2 + 15*lean, 16}, vec{0, 0.6 + 23*lean, 23.2}, 5.2*r, 4.2*r, 1)
	a.base = newBar(vec{7, 0, 3}, vec{14, 1, 2}, 5.0, 4.6, 1)
	rear := a.bodyDepth + a.canalDepth + 1.6
	length, droop := 17*d.around(1, 0.08), d.between(8, 24)*math.Pi/180
	sin, cos := math.Sincos(droop)
	a.pars = newBar(vec{11, 5, 2}, vec{17.5, 13, -5}, 4.0, 4.0, 1.15)
	a.lamina = newBar(vec{16, 17, -6}, vec{0.8, rear, -3}, 3.0, 2.6, 2.5)
	root, end := vec{0, rear, -3}, vec{0, rear + length*cos, -3 - length*sin}
	split := root.toward(end, 0.55)
	a.spinous = newBar(root, split, 3.6, 3.2, 1.9)
	a.fork = newBar(split, vec{6 * d.around(1, 0.12), end.y, end.z - 1.5}, 2.6, 2.8, 1.5)
	a.wing = newBar(vec{16, 6, -1}, vec{25.5 * d.around(1, 0.04), 5.5, -4}, 2.6, 2.4, 1.1)
	return a
}

func (a *axis) distance(q vec) float64 {
	x := q
	x.x = math.Abs(q.x)

	y := q.y
	if y > 0 {
		y += 0.8 * max(0, 1-x.x*x.x/(a.bodyWidth*a.bodyWidth))
	}
	dish := 1 - min(1, (x.x*x.x+y*y)/70)
	side := roundBox(vec{x: x.x, y: y}, vec{a.bodyWidth - 0.06*max(0, q.z), a.bodyDepth - 0.11*max(0, q.z+4), 50}, 5.6)
	bottom := -a.h + 2.6*ramp(0.5, 1, x.x/a.bodyWidth) + 1.2*dish - 1.6*ramp(0.3, 1, -q.y/a.bodyDepth)
	body := meet(side, 0.9*max(bottom-q.z, q.z-6), 2)

	// The shoulders fall to the side as the atlas' lower facets do.
	top := 10.6 - 0.42*(x.x-9)
	shoulder := meet(roundBox(vec{x: x.x - 15.2, y: q.y - 0.6}, vec{7.6, 8.2, 50}, 5.5), 0.9*max(q.z-top, top-10.5-q.z), 2)

	const slope = 0.84 // of the lower facets, 40 degrees
	rise := (q.z + 7.0 + (q.y-13.0)*slope) * 0.766
	pillar := roundBox(vec{x.x - 18.2, q.y - 13.0, rise}, vec{5.5, 6.0, 5.6 * 0.766}, 2.4)

	all := join(join(body, a.neck.distance(q), 3), a.dens.distance(q), 1.5)
	all = join(all, shoulder, 2.5)
	all = join(all, a.base.distance(x), 2)
	leaning := x
	leaning.y += 0.2 * (q.z + 3)
	arch := join(join(a.pars.distance(x), pillar, 2), a.lamina.distance(leaning), 2)
	arch = join(arch, join(a.spinous.distance(x), a.fork.distance(x), 1.5), 2)
	arch = join(arch, a.wing.distance(x), 2)
	all = join(all, arch, 2)
	hole := max(ellipse(x.x-18.4, q.y-2.0+0.25*q.z, 3.0, 3.0), q.z-7)
	all = carve(all, hole, 0.8)
	return carve(all, canalDistance(x.x, q.y-a.bodyDepth-a.canalDepth/2+0.12*max(0, q.z), a.canalWidth, a.canalDepth/2), 1.2)
}

func (a *axis) inner(q vec) float64 {
	return max(0.7*ramp(6, 12, q.z), ramp(5, 11, q.y), ramp(8, 12, math.Abs(q.x))*0.6)
}

func (a *axis) reach() (lo, hi vec) {
	return vec{-31, -13, -24}, vec{31, 52, 31}
}
