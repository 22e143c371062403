package phantom

import "math"

// thorax is what of the shoulder girdle and the chest a neck study shows: first ribs, collar bones, shoulder blades,
// manubrium, the tips of the lungs, and the cartilages of the throat.
type thorax struct {
	size    float64
	centre  vec // of T1
	ribs    []rib
	girdle  []bar // of the left side, about centre, not tilted
	shrug   float64
	hyoid   float64 // level
	voice   float64 // level of the top of the thyroid cartilage
	calcium float64 // HU of the cartilages
}

// rib is a chain of bars in the frame of its vertebra.
type rib struct {
	frame frame
	bars  []bar
}

// The courses of the first ribs of the left side, from the neck of the rib to the front.
var ribCourses = [][]vec{
	{{13, 8.5, 3}, {33, 16, 1}, {54, 9, -3}, {64, -10, -8}, {60, -33, -14}, {44, -50, -19}, {28, -57, -22}},
	{{14, 10, 5}, {34, 22, 1}, {60, 21, -4}, {80, 4, -12}, {86, -22, -22}, {76, -48, -32}},
	{{14, 11, 6}, {35, 25, 1}, {66, 27, -8}, {92, 8, -18}, {100, -20, -30}},
	{{14, 11, 6}, {35, 27, 0}, {70, 30, -10}, {100, 10, -24}},
	{{14, 11, 6}, {35, 28, 0}, {74, 32, -12}, {104, 12, -28}},
}

func chain(points []vec, radius, flat float64) []bar {
	var list []bar
	for i := 1; i < len(points); i++ {
		list = append(list, newBar(points[i-1], points[i], radius, radius, flat))
	}
	return list
}

func newThorax(d *dice, sp *spine) *thorax {
	t := &thorax{
		size: sp.size, centre: sp.frames[t1].origin, shrug: d.around(0, 7),
		hyoid: d.between(3.4, 3.8), calcium: d.between(120, 320),
	}
	t.voice = t.hyoid + d.between(0.55, 0.8)
	for i, course := range ribCourses {
		t.ribs = append(t.ribs, rib{sp.frames[t1+i], chain(course, 3.1+0.3*float64(min(i, 2)), 1.45)})
	}
	lift := func(points []vec) []vec {
		for i := range points {
			points[i].z += t.shrug * ramp(20, 120, points[i].x)
		}
		return points
	}
	collar := []vec{{14, -46, -46}, {32, -51, -40}, {62, -46, -24}, {92, -24, -8}, {122, -4, 4}, {150, 2, 8}}
	t.girdle = append(t.girdle, chain(lift(collar), 6, 0.9)...)
	t.girdle = append(t.girdle, chain(lift([]vec{{66, 56, -62}, {86, 54, -40}, {120, 34, -12}, {148, 12, 6}}), 4.2, 1.4)...)
	t.girdle = append(t.girdle, chain(lift([]vec{{66, 50, -90}, {64, 46, -40}, {72, 38, -26}, {104, 16, -20}}), 2.4, 1.6)...)
	t.girdle = append(t.girdle, newBar(vec{152, 4, -22}, vec{152, 6, -40}, 22, 20, 1))
	return t
}

// bones is the distance to the nearest rib, collar bone, shoulder blade or the manubrium.
func (t *thorax) bones(p vec) float64 {
	d := outside
	for i := range t.ribs {
		q := t.ribs[i].frame.local(p).scale(1 / t.size)
		q.x = math.Abs(q.x)
		if q.z < -60 || q.z > 25 { // too far to matter
			continue
		}
		for b := range t.ribs[i].bars {
			d = min(d, t.ribs[i].bars[b].distance(q))
		}
	}
	q := p.sub(t.centre).scale(1 / t.size)
	q.x = math.Abs(q.x)
	for b := range t.girdle {
		d = min(d, t.girdle[b].distance(q))
	}
	d = min(d, roundBox(q.sub(vec{0, -54, -78}), vec{27 - 0.3*(-50-q.z), 5.5, 28}, 4))
	return d * t.size
}

// lung is the distance to the lungs' tips.
func (t *thorax) lung(p vec) float64 {
	q := p.sub(t.centre).scale(1 / t.size)
	q.x = math.Abs(q.x)
	return ellipsoid(q.sub(vec{46, 5, -98}), vec{33, 43, 84}) * t.size
}

// paintChest paints lungs and the bones around them.
func (c *canvas) paintChest(s *Study) {
	t := s.thorax
	z := c.sec.z
	if z > t.centre.z+45*t.size {
		return
	}
	all := c.whole()
	solid := func(distance func(p vec) float64) {
		c.solve(2.5, func(x, y float64) float64 { return distance(vec{x, y, z}) })
	}
	solid(t.lung)
	c.paint(all, c.edge, func(i int, d float32) {
		x, y := c.x0+float64(i%c.size)*c.pixel, c.y0+float64(i/c.size)*c.pixel
		vessel := s.smooth.at(x/3.4, y/3.4, z/5)*0.6 + s.smooth.at(x/8, y/8, z/12)*0.7
		hu := float32(lungHU + 70*s.smooth.at(x/2, y/2, z/2) + 720*ramp(0.72, 0.86, vessel))
		c.hu[i] += (hu - c.hu[i]) * c.cover(d)
	})
	solid(t.bones)
	for k, skin := range c.skin {
		c.near[k] = max(c.near[k], skin+3)
	}
	c.paint(all, c.edge, func(i int, d float32) {
		x, y := c.x0+float64(i%c.size)*c.pixel, c.y0+float64(i/c.size)*c.pixel
		hu := float32(230 + 90*s.smooth.at(x/1.2, y/1.2, z/1.2) + 820*(1-ramp(0.9, 1.9, float64(-d))))
		c.hu[i] += (hu - c.hu[i]) * c.cover(d)
	})
}

// paintThroat paints hyoid bone, thyroid and cricoid cartilage.
func (c *canvas) paintThroat(s *Study) {
	t := s.thorax
	level := c.sec.level
	if level < t.hyoid-0.6 || level > t.voice+2.6 {
		return
	}
	w := c.ovalWindow(&oval{v: -36, reach: 30}, 0)
	rise := (level - t.hyoid) * 18
	c.measure(w, func(u, v float64) float64 {
		tip := rise + 0.25*(v+40) // the horns point up and back
		ring := ellipse(u, v+28, 19, 20)
		return max(math.Sqrt(ring*ring+tip*tip*0.5)-2.6, v+18)
	})
	c.paint(w, c.edge, func(i int, d float32) {
		hu := float32(300 + 600*(1-ramp(0.6, 1.4, float64(-d))))
		c.hu[i] += (hu - c.hu[i]) * c.cover(d)
	})
	top := (level - t.voice) * 18 // mm below the notch
	c.measure(w, func(u, v float64) float64 {
		side := math.Abs(u)
		// Two plates that meet in front at 90 degrees, and the ring below them, higher behind.
		plate := bar2(side, v, 0.8, -52, 17.5, -26) - 1.5
		plate = max(plate, -top-0.35*(v+50)*ramp(-30, -26, v), top-25, 6-top-side*1.5)
		ring := ellipse(u, v+34, 11.2, 12.2)
		ring = max(math.Abs(ring)-1.7, top-36, 28-top-0.55*max(0, v+38))
		return min(plate, ring)
	})
	hu := float32(t.calcium)
	c.fill(w, hu)
}

// bar2 is the distance in the plane from a line a–b.
func bar2(x, y, ax, ay, bx, by float64) float64 {
	x, y, bx, by = x-ax, y-ay, bx-ax, by-ay
	t := max(0, min(1, (x*bx+y*by)/(bx*bx+by*by)))
	return math.Hypot(x-bx*t, y-by*t)
}
