package phantom

import "math"

// outline is the skin: a neck that widens into shoulders below and meets the head above.
type outline struct {
	width, front, back         *profile // of the neck, by level: half width, and v of both ends
	shoulder, shoulderV, depth *profile // half width, centre and half depth of the shoulders
	fat                        *profile // mm under the skin
	stout                      float64
}

func newOutline(d *dice, v *variety) *outline {
	o := &outline{stout: v.stout.draw(d)}
	table := func(rows [][2]float64, f float64) *profile {
		x, y := make([]float64, len(rows)), make([]float64, len(rows))
		for i, r := range rows {
			x[i], y[i] = r[0], r[1]*f
		}
		return newProfile(x, y)
	}
	o.width = table([][2]float64{{-3, 62}, {0, 63}, {2, 61}, {4, 58}, {6, 60}, {7, 66}, {8, 74}, {10, 90}, {14, 120}}, o.stout)
	o.front = table([][2]float64{
		{-2, -30}, {1, -40}, {3, -52}, {4, -55}, {5, -56}, {7, -54}, {8, -58}, {9, -68}, {10, -78}, {11, -86}, {14, -102},
	}, 0.5+0.5*o.stout)
	o.back = table([][2]float64{{-2, 66}, {0, 76}, {2, 71}, {4, 67}, {6, 68}, {8, 72}, {11, 76}, {14, 80}}, 0.5+0.5*o.stout)
	o.shoulder = table([][2]float64{{5.6, 20}, {6.3, 62}, {7, 105}, {8, 160}, {9, 190}, {10, 205}, {14, 225}}, 0.6+0.4*o.stout)
	o.shoulderV = table([][2]float64{{6, 34}, {8, 20}, {9, 10}, {10, 4}, {14, -8}}, 1)
	o.depth = table([][2]float64{{5.6, 12}, {6.3, 20}, {7, 30}, {8, 48}, {9, 64}, {10, 76}, {14, 96}}, 0.4+0.6*o.stout)
	under := v.fat.draw(d)
	o.fat = table([][2]float64{{-1, 3}, {2, 3.5}, {4, 3 + under*0.6}, {7, 4 + under}, {14, 5 + under*1.5}}, 1)
	return o
}

// distance from the skin at u, v in a slice.
func (o *outline) at(level float64) func(u, v float64) float64 {
	w, f, b := o.width.at(level), o.front.at(level), o.back.at(level)
	sw, sv, sd := o.shoulder.at(level), o.shoulderV.at(level), o.depth.at(level)
	middle, half := (f+b)/2, (b-f)/2
	return func(u, v float64) float64 {
		// A little more square than an ellipse.
		d := ellipse(u, v-middle, w, half)
		if level > 5.6 {
			d = join(d, roundBox(vec{x: u, y: v - sv}, vec{sw, sd, 500}, sd*0.96), 30)
		}
		return d
	}
}

// paintBody paints skin, fat and muscles.
func (c *canvas) paintBody(s *Study) {
	level := c.sec.level
	skin := s.outline.at(level)
	face := s.skull.reaches(c.sec.z) && !(s.simple.on && s.simple.head == noHead)
	all := c.whole()
	for j := range c.nodes {
		for i := range c.nodes {
			k := j*c.nodes + i
			if i&1|j&1 != 0 && i < c.nodes-1 && j < c.nodes-1 {
				continue // filled in below
			}
			d := skin(c.u[k], c.v[k])
			if face {
				x, y := c.place(i, j)
				d = join(d, s.skull.skin(s.skull.local(vec{x, y, c.sec.z})), 12)
			}
			c.near[k] = d * c.sec.size
		}
	}
	c.halve(all)
	copy(c.skin, c.near)
	fat := float32(fatHU)
	if s.simple.on {
		fat = s.simple.bodyHU
	}
	depth := s.outline.fat.at(level) * c.sec.size
	c.paint(all, c.edge, func(i int, d float32) {
		hu := fat
		if d > -1.9 {
			hu = skinHU
		}
		c.hu[i] += (hu - c.hu[i]) * c.cover(d)
	})
	if !s.simple.on || s.simple.tissue {
		c.paintMuscles(s, depth)
	}
}

// halve fills in the nodes between every second node, linearly.
func (c *canvas) halve(w window) {
	n := c.nodes
	last := (n - 1) &^ 1
	for j := 0; j <= last; j += 2 {
		for i := 1; i < last; i += 2 {
			k := j*n + i
			c.near[k] = 0.5 * (c.near[k-1] + c.near[k+1])
		}
	}
	for j := 1; j < last; j += 2 {
		for i := 0; i <= last; i++ {
			k := j*n + i
			c.near[k] = 0.5 * (c.near[k-n] + c.near[k+n])
		}
	}
}

// paintMuscles packs the muscles: each node belongs to the nearest, bulging into the free space around it, with
// a thin plane of fat where two meet.
func (c *canvas) paintMuscles(s *Study, fat float64) {
	const (
		plane  = 1.0 // mm of fat between two
		inside = 3.0
	)
	level := c.sec.level
	var sides [2][]oval
	for i := range s.muscles {
		for side := range sides {
			if o, ok := s.muscles[i][side].cut(level); ok {
				sides[side] = append(sides[side], o)
			}
		}
	}
	all := c.whole()
	for k, skin := range c.skin {
		if skin > -fat*0.5 {
			c.near[k] = outside
			continue
		}
		u, v := c.u[k], c.v[k]
		list := sides[0]
		if u < 0 {
			list = sides[1]
		}
		// By so many mm a muscle fills the room between its neighbours: at the nape they are packed.
		bulge := 1.8 + 3*ramp(2, 16, v)
		first, second := outside, outside
		for i := range list {
			o := &list[i]
			reach := o.reach + inside + bulge
			if math.Abs(u-o.u) > reach || math.Abs(v-o.v) > reach {
				continue
			}
			if d := o.distance(u, v); d < first {
				first, second = d, first
			} else if d < second {
				second = d
			}
		}
		c.near[k] = max(first-bulge, 0.5*(plane-(second-first)), (skin+fat)*0.6) * c.sec.size
	}
	c.paint(all, c.edge, func(i int, d float32) {
		row, column := i/c.size, i%c.size
		k := (row/nodeStep)*c.nodes + column/nodeStep
		grain := float32(s.smooth.at(c.u[k]/1.7, c.v[k]/1.7, c.sec.level*3) + s.smooth.at(c.u[k]/4.1, c.v[k]/4.1, c.sec.level*1.3))
		hu := muscleHU - 26*max(0, grain-0.35)*s.marbling
		c.hu[i] += (hu - c.hu[i]) * c.cover(d)
	})
}

// paintOrgans paints what runs along the neck between muscles and spine.
func (c *canvas) paintOrgans(s *Study) {
	o := &s.organs
	c.paintTube(&o.tongue, 48, 0)
	c.paintTube(&o.larynx, 50, 0)
	for side := range 2 {
		c.paintTube(&o.parotid[side], parotidHU, 0)
		c.paintTube(&o.submandibular[side], glandHU, 0)
		c.paintTube(&o.thyroid[side], thyroidHU+s.contrast*0.3, 0)
	}
	c.paintTube(&o.isthmus, thyroidHU+s.contrast*0.3, 0)
	c.paintTube(&o.esophagus, 40, 0)
	for side := range 2 {
		c.paintTube(&o.jugular[side], fatHU, 1.5)
		c.paintTube(&o.carotid[side], fatHU, 1.6)
	}
	for side := range 2 {
		c.paintTube(&o.axillary[side], bloodHU+s.contrast*0.8, 0)
		c.paintTube(&o.subclavian[side], bloodHU+s.contrast, 0)
		c.paintTube(&o.jugular[side], bloodHU+s.contrast*0.75, 0)
		c.paintTube(&o.superficial[side], bloodHU+s.contrast*0.5, 0)
		c.paintTube(&o.externalCarotid[side], bloodHU+s.contrast, 0)
		c.paintTube(&o.carotid[side], bloodHU+s.contrast, 0)
	}
	for i := range o.nodes {
		c.paintTube(&o.nodes[i], 40, 0)
	}
	c.paintTube(&o.ligament, ligamentHU, 0)
}

// paintAirway paints the air in the throat, its mucosa, and the rings of the windpipe.
func (c *canvas) paintAirway(s *Study) {
	o := &s.organs
	level := c.sec.level
	ring := float32(mucosaHU + 20 + 60*ramp(5.6, 6.2, level)*(0.5+0.5*math.Cos(level*24)))
	c.paintTube(&o.trachea, ring, 1.8)
	c.paintTube(&o.pharynx, mucosaHU, 2.4)
	c.paintTube(&o.nasopharynx, mucosaHU, 2.8)
	c.paintTube(&o.trachea, airHU, 0)
	c.paintTube(&o.nasopharynx, airHU, 0)
	c.paintTube(&o.pharynx, airHU, 0)
	c.paintTube(&o.palate, mucosaHU+8, 0)
	for side := range 2 {
		c.paintTube(&o.piriform[side], airHU, 0)
		c.paintTube(&o.vallecula[side], airHU, 0)
	}
	c.paintTube(&o.epiglottis, mucosaHU, 0)
}

// paintCanal paints what is in and between the vertebrae: discs, the dural sac, the cord, the vertebral arteries.
func (c *canvas) paintCanal(s *Study) {
	o := &s.organs
	c.paintTube(&o.discs, discHU, 0)
	c.paintTube(&o.sac, 25, 0.9)
	c.paintTube(&o.sac, fluidHU, 0)
	c.paintTube(&o.cord, cordHU, 0)
	for side := range 2 {
		c.paintTube(&o.vertebral[side], bloodHU+s.contrast*0.9, 0)
	}
}

// organs is one patient's version of the tubes of anatomy.go, left and right.
type organs struct {
	tongue, palate, epiglottis, larynx, isthmus, esophagus, trachea, pharynx, nasopharynx, ligament, discs, sac, cord tube

	parotid, submandibular, thyroid, piriform, vallecula                            [2]tube
	carotid, externalCarotid, jugular, subclavian, axillary, vertebral, superficial [2]tube

	nodes []tube
}

func newOrgans(d *dice) organs {
	var o organs
	for _, p := range []struct {
		to   *tube
		from tube
	}{
		{&o.tongue, tongue}, {&o.palate, palate}, {&o.epiglottis, epiglottis}, {&o.larynx, larynx}, {&o.isthmus, isthmus},
		{&o.esophagus, esophagus}, {&o.trachea, trachea},
		{&o.pharynx, pharynx}, {&o.nasopharynx, nasopharynx}, {&o.ligament, ligament},
	} {
		*p.to = p.from.vary(d, d.sign())
	}
	o.discs, o.sac, o.cord = discs, sac, cord // they must fit the vertebrae
	for _, p := range []struct {
		to   *[2]tube
		from tube
	}{
		{&o.parotid, parotid}, {&o.submandibular, submandibular}, {&o.thyroid, thyroidLobe}, {&o.carotid, carotid},
		{&o.externalCarotid, externalCarotid}, {&o.jugular, jugular}, {&o.subclavian, subclavian}, {&o.axillary, axillary},
		{&o.superficial, superficial}, {&o.piriform, piriform}, {&o.vallecula, vallecula},
	} {
		p.to[0], p.to[1] = p.from.vary(d, 1), p.from.vary(d, -1)
	}
	o.vertebral[0], o.vertebral[1] = vertebral, vertebral
	o.vertebral[1].u = newProfile(vertebral.u.x, negated(vertebral.u.y))
	for range 14 + d.pick(14) {
		level, side := d.between(2, 8), d.sign()
		u, v := d.between(30, 52), d.between(-30, 22)
		r, long := d.between(1.6, 3.6), d.between(0.12, 0.4)
		o.nodes = append(o.nodes, newTube(
			station{level - long, side * u, v, r, r * 1.2, 0},
			station{level, side * (u + 1), v, r, r * 1.3, 0},
			station{level + long, side * u, v - 2, r, r * 1.2, 0},
		))
	}
	return o
}

func negated(list []float64) []float64 {
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = -v
	}
	return out
}
