package phantom

import "math"

// skull is the base of the skull, the face and the lower jaw, in the head's frame: origin at the centre of the
// atlas, x left, y back, z up, mm of a head of size 1. The hard palate lies about level with the atlas' arch.
type skull struct {
	frame    frame
	size     float64
	petrous  bar
	zygoma   bar
	temple   bar
	condyle  vec
	plates   [2]bar // of the pterygoid
	ramus    [2]bar // angle to condyle, angle to coronoid
	styloid  bar
	crest    bar     // outer occipital protuberance
	open     float64 // mm the mouth is open
	toothed  bool
	jawWidth float64
}

func newSkull(d *dice, f frame, size float64) *skull {
	k := &skull{
		frame: f, size: size * d.around(1, 0.02),
		open: d.between(0, 9), toothed: d.chance(0.85), jawWidth: d.around(44, 1.5),
	}
	k.petrous = newBar(vec{12, -10, 31}, vec{48, 12, 30}, 7, 11, 0.8)
	k.zygoma = newBar(vec{62, -6, 26}, vec{50, -68, 20}, 2.6, 5, 1.4)
	k.temple = newBar(vec{58, 4, 26}, vec{62, -18, 27}, 5, 4, 1)
	k.condyle = vec{15.5, -3.5, 9}
	k.plates[0] = newBar(vec{13, -36, 30}, vec{15, -40, 2}, 1.4, 1.0, 1)
	k.plates[1] = newBar(vec{16, -35, 30}, vec{23, -34, 6}, 1.4, 1.0, 1)
	drop := -k.open
	k.ramus[0] = newBar(vec{47, -27, -30 + drop}, vec{50, -15 - 0.5*k.open, 22}, 4.2, 4.6, 1)
	k.ramus[1] = newBar(vec{47, -33, -28 + drop}, vec{47, -46 - 0.5*k.open, 14}, 3.6, 2.0, 1)
	k.styloid = newBar(vec{40, 2, 14}, vec{33, -14, -14}, 1.8, 1.0, 1)
	k.crest = newBar(vec{0, 70, 24}, vec{0, 78, 38}, 6, 7, 1)
	return k
}

func (k *skull) local(p vec) vec { return k.frame.local(p).scale(1 / k.size) }

// reaches says whether a slice can cut anything of the head; the chin hangs lowest.
func (k *skull) reaches(z float64) bool { return z > k.frame.origin.z-85*k.size }

// skin is the head's outline.
func (k *skull) skin(q vec) float64 {
	cranium := ellipsoid(vec{q.x, q.y + 8, q.z - 72}, vec{78, 97, 80})
	face := ellipsoid(vec{q.x, q.y + 40, q.z + 2 + k.open/2}, vec{65, 66, 56})
	chin := ellipsoid(vec{q.x, q.y + 44, q.z + 27 + k.open}, vec{59, 61, 24})
	nose := ellipsoid(vec{q.x, q.y + 104, q.z - 8}, vec{14, 14, 16})
	return join(join(join(cranium, face, 24), chin, 14), nose, 8)
}

// cavity is the inside of the skull: the posterior fossa, the middle fossae, what lies above.
func (k *skull) cavity(q vec) float64 {
	rear := ellipsoid(vec{q.x, q.y - 32, q.z - 51}, vec{50, 43, 36})
	side := ellipsoid(vec{math.Abs(q.x) - 38, q.y + 34, q.z - 57}, vec{25, 32, 27})
	top := ellipsoid(vec{q.x, q.y + 8, q.z - 90}, vec{66, 83, 50})
	return join(join(rear, side, 4), top, 10)
}

// sinus is the air of the nose and the sinuses.
func (k *skull) sinus(q vec) float64 {
	x := math.Abs(q.x)
	maxillary := ellipsoid(vec{x - 28, q.y + 66, q.z - 20}, vec{13, 16, 17})
	sphenoid := ellipsoid(vec{x - 7, q.y + 38, q.z - 39}, vec{7, 12, 8})
	nose := roundBox(vec{x, q.y + 66, q.z - 20}, vec{12, 31, 17}, 8)
	return min(maxillary, sphenoid, nose)
}

// conchae are the mucosa within the nose: the lower and the middle turbinate, and the septum's.
func (k *skull) conchae(q vec) float64 {
	x := math.Abs(q.x)
	lower := ellipsoid(vec{x - 8.5 + 0.3*(q.z-12), q.y + 68, q.z - 12}, vec{3.2, 19, 6})
	middle := ellipsoid(vec{x - 7 + 0.2*(q.z-25), q.y + 64, q.z - 25}, vec{2.6, 16, 6})
	return min(lower, middle, max(x-1.7, math.Abs(q.y+68)-24, math.Abs(q.z-20)-16))
}

// mastoid is the part behind the ear that is full of air cells.
func (k *skull) mastoid(q vec) float64 {
	return ellipsoid(vec{math.Abs(q.x) - 53, q.y - 15, q.z - 14}, vec{10, 15, 21})
}

// bone is everything of the skull but the teeth and the lower jaw.
func (k *skull) bone(q vec) float64 {
	x := vec{math.Abs(q.x), q.y, q.z}
	cavity := k.cavity(q)
	thick := 5.5 + 2.5*ramp(55, 75, q.y)
	shell := max(cavity-thick, -cavity)
	// The floor is open at the foramen magnum.
	shell = carve(shell, max(ellipse(q.x, q.y-13, 14.5, 17.5), q.z-34), 2)

	all := join(shell, k.petrous.distance(x), 3)
	all = join(all, k.mastoid(q), 3)
	all = join(all, ellipsoid(x.sub(k.condyle), vec{6, 11, 5.5}), 2.5)
	all = join(all, k.crest.distance(q), 9)
	all = join(all, k.clivus(q), 3)
	all = min(all, k.zygoma.distance(x), k.temple.distance(x), k.styloid.distance(x))
	all = min(all, k.plates[0].distance(x), k.plates[1].distance(x))
	// Ear canals.
	all = carve(all, max(math.Hypot(q.y-3, q.z-27)-3.6, 44-x.x), 1)
	if q.y > -15 {
		return all
	}
	return min(all, k.midface(q, x))
}

func (k *skull) clivus(q vec) float64 {
	y, z := q.y+15, q.z-29
	along, through := -0.6*y+0.8*z, 0.8*y+0.6*z
	return roundBox(vec{q.x, through, along}, vec{13, 4.5, 18}, 3)
}

// midface is the thin walls round nose and sinuses, the palate and the upper jaw.
func (k *skull) midface(q, x vec) float64 {
	walls := math.Abs(k.sinus(q)) - 0.6
	walls = max(walls, min(q.y+42, 30-q.z)) // the choanae are open to the throat
	palate := roundBox(vec{q.x, q.y + 68, q.z - 1}, vec{20, 22, 1.5}, 1)
	ridge := max(math.Abs(archCurve(q, 0))-5, math.Abs(q.z+4)-6, q.y+40)
	septum := max(x.x-0.5, math.Abs(q.y+68)-22, math.Abs(q.z-20)-15)
	return min(walls, palate, ridge, septum)
}

// archCurve is the signed distance from the curve on which the teeth stand.
func archCurve(q vec, wider float64) float64 { return ellipse(q.x, q.y+52, 25+wider, 40+wider) }

// jaw is the mandible.
func (k *skull) jaw(q vec) float64 {
	x := vec{math.Abs(q.x), q.y, q.z}
	plate := roundBox(vec{x.x - 48, q.y + 31 + 0.18*(q.z+12), q.z + 12 + k.open*0.7}, vec{3, 14, 20}, 2.8)
	ramus := join(join(k.ramus[0].distance(x), k.ramus[1].distance(x), 5), plate, 5)
	if q.y > -15 {
		return ramus
	}
	curve := ellipse(q.x, q.y+36, k.jawWidth+2.5, 55)
	z := q.z + 34 + k.open*(0.4+0.6*ramp(-20, -90, q.y)) - 3*ramp(-60, -30, q.y)
	body := roundBox(vec{x: curve, z: z}, vec{5.2, 50, 12.5}, 4.5)
	body = max(body, q.y+30)
	return join(ramus, body, 6)
}

// teeth stand in both jaws, one every 12 degrees of the arch.
func (k *skull) teeth(q vec) float64 {
	if !k.toothed || q.y > -44 {
		return outside
	}
	angle := math.Atan2(q.x/25, -(q.y+52)/40)
	gap := 0.8 + 0.55*math.Cos(angle*30)
	low := q.z + 25 + k.open*0.9
	upper := max(math.Abs(archCurve(q, 0))-3.4-0.06*(-q.z-12), math.Abs(q.z+11)-8.8)
	lower := max(math.Abs(archCurve(q, -0.5))-3.3, math.Abs(low+2)-8.2)
	return min(upper, lower) + gap
}

// fillings are the world's places of a few crowns of metal.
func (k *skull) fillings(d *dice) []vec {
	if !k.toothed {
		return nil
	}
	var list []vec
	for range 1 + d.pick(5) {
		angle := d.sign() * d.between(0.5, 1.35)
		height := -14.0
		if d.chance(0.5) {
			height = -24 - k.open*0.9
		}
		list = append(list, k.frame.world(vec{25 * math.Sin(angle), -52 - 40*math.Cos(angle), height}.scale(k.size)))
	}
	return list
}

// paintHead paints brain, skull, sinuses, jaw and teeth.
func (c *canvas) paintHead(s *Study) {
	k := s.skull
	z := c.sec.z
	if !k.reaches(z) {
		return
	}
	all := c.whole()
	solid := func(distance func(q vec) float64) {
		c.solve(2, func(x, y float64) float64 { return distance(k.local(vec{x, y, z})) * k.size })
	}
	solid(k.cavity)
	c.paint(all, c.edge, func(i int, d float32) {
		hu := float32(brainHU)
		if d > -2 {
			hu = fluidHU
		}
		c.hu[i] += (hu - c.hu[i]) * c.cover(d)
	})
	c.paintTube(&s.organs.sac, fluidHU, 0)
	c.paintTube(&s.organs.cord, cordHU, 0)
	solid(k.sinus)
	c.fill(all, -985)
	solid(k.conchae)
	c.fill(all, mucosaHU)
	solid(k.bone)
	c.paint(all, c.edge, func(i int, d float32) {
		p := vec{c.x0 + float64(i%c.size)*c.pixel, c.y0 + float64(i/c.size)*c.pixel, z}
		c.hu[i] += (k.density(s, p, d) - c.hu[i]) * c.cover(d)
	})
	solid(k.jaw)
	c.paint(all, c.edge, func(i int, d float32) {
		hu := float32(450 + 950*(1-ramp(1.6, 3.2, float64(-d))))
		c.hu[i] += (hu - c.hu[i]) * c.cover(d)
	})
	solid(k.teeth)
	c.fill(all, toothHU)
}

// density is dense outside, spongy within, and full of air behind the ear.
func (k *skull) density(s *Study, p vec, d float32) float32 {
	depth := float64(-d)
	hu := 520 + 110*s.smooth.at(p.x/1.3, p.y/1.3, p.z/1.3) + 750*(1-ramp(0.9, 2.2, depth))
	q := k.local(p)
	if m := k.mastoid(q); m < 1 {
		cell := s.smooth.at(p.x/2.6, p.y/2.6, p.z/2.6)
		air := ramp(0.05, 0.25, cell) * ramp(0, -2.2, m)
		hu += (-750 - hu) * air
		return float32(hu)
	}
	x := math.Abs(q.x)
	hu += 500 * ramp(50, 32, x) * ramp(1, -3, k.petrous.distance(vec{x, q.y, q.z}))
	return float32(hu)
}
