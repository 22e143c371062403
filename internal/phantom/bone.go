package phantom

import "math"

// solid is a vertebra's shape in its own frame, mm of the tables.
type solid interface {
	distance(q vec) float64
	inner(q vec) float64 // 0: cancellous bone of a body … 1: dense bone of an arch
	reach() (lo, hi vec) // a box around it
}

// bone is a vertebra of one patient in its place.
type bone struct {
	frame  frame
	size   float64
	shape  solid
	breaks []fracture

	skew                             float64 // share by which the left half is wider
	cortexHU, cancellousHU, cortexMM float64
	even                             bool // of one density, but for its breaks
	lo, hi                           vec  // world box
}

func newBone(f frame, size float64, shape solid) bone {
	b := bone{frame: f, size: size, shape: shape}
	lo, hi := shape.reach()
	b.lo, b.hi = vec{math.Inf(1), math.Inf(1), math.Inf(1)}, vec{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for corner := range 8 {
		q := lo
		if corner&1 != 0 {
			q.x = hi.x
		}
		if corner&2 != 0 {
			q.y = hi.y
		}
		if corner&4 != 0 {
			q.z = hi.z
		}
		p := f.world(q.scale(size))
		b.lo = vec{min(b.lo.x, p.x), min(b.lo.y, p.y), min(b.lo.z, p.z)}
		b.hi = vec{max(b.hi.x, p.x), max(b.hi.y, p.y), max(b.hi.z, p.z)}
	}
	return b
}

// local is a point in the millimetres of the shape.
func (b *bone) local(p vec) vec {
	q := b.frame.local(p).scale(1 / b.size)
	if q.x > 0 {
		q.x /= 1 + b.skew
	}
	return q
}

// distance in mm of the world.
func (b *bone) distance(p vec) float64 {
	q := b.local(p)
	for i := range b.breaks {
		q = b.breaks[i].displace(q)
	}
	return b.shape.distance(q) * b.size
}

// jointMM is the least gap between two vertebrae: cartilage and the joint's space.
const jointMM = 1.1

// paintSpine paints the vertebrae and their labels. Where two would touch, both give way to a joint.
func (c *canvas) paintSpine(s *Study) {
	z := c.sec.z
	var all window
	active := make([]int, 0, 4)
	for i := range s.bones {
		b := &s.bones[i]
		if z < b.lo.z || z > b.hi.z {
			continue
		}
		w := c.around(b.lo.x, b.lo.y, b.hi.x, b.hi.y)
		if w.empty() {
			continue
		}
		if len(active) == 0 {
			all = w
		}
		all = window{min(all.i0, w.i0), max(all.i1, w.i1), min(all.j0, w.j0), max(all.j1, w.j1)}
		active = append(active, i)
	}
	if len(active) == 0 {
		return
	}
	for j := all.j0; j < all.j1; j++ {
		for k := j*c.nodes + all.i0; k < j*c.nodes+all.i1; k++ {
			c.near[k], c.far[k] = outside, outside
		}
	}
	for _, i := range active {
		b := &s.bones[i]
		distance := func(x, y float64) float64 { return b.distance(vec{x, y, z}) }
		c.survey(c.around(b.lo.x, b.lo.y, b.hi.x, b.hi.y), 3, distance, func(k int, d float64) {
			switch {
			case d < c.near[k]:
				c.far[k], c.near[k], c.owner[k] = c.near[k], d, uint8(i)
			case d < c.far[k]:
				c.far[k] = d
			}
		})
	}
	for j := all.j0; j < all.j1; j++ {
		for i := all.i0; i < all.i1; i++ {
			k := j*c.nodes + i
			if c.near[k] > 4 {
				continue
			}
			c.near[k] = max(c.near[k], 0.5*(jointMM-(c.far[k]-c.near[k])))
			x, y := c.place(i, j)
			c.near[k] += 0.28 * s.smooth.at(x/3.1, y/3.1, z/3.1)
		}
	}
	c.paint(all, c.edge, func(i int, d float32) {
		row, column := i/c.size, i%c.size
		k := (row+nodeStep/2)/nodeStep*c.nodes + (column+nodeStep/2)/nodeStep
		b := &s.bones[c.owner[k]]
		cover := c.cover(d)
		p := vec{c.x0 + float64(column)*c.pixel, c.y0 + float64(row)*c.pixel, z}
		density := b.density(s, p, float64(-d))
		c.hu[i] += (density - c.hu[i]) * cover
		if d < 0 {
			c.label[i] = c.owner[k] + 1
		}
	})
}

// density is the bone's HU at a point depth mm below its surface.
func (b *bone) density(s *Study, p vec, depth float64) float32 {
	q := b.local(p)
	if b.even {
		return b.broken(q, b.cancellousHU)
	}
	dense := b.shape.inner(q)
	thick := b.cortexMM * (0.75 + 0.3*s.smooth.at(p.x/4, p.y/4, p.z/4) + 0.45*dense)
	mesh := s.smooth.at(p.x/1.1, p.y/1.1, p.z/1.5) + 0.6*s.smooth.at(p.x/0.6+9, p.y/0.6, p.z/0.8)
	inner := b.cancellousHU*(1+0.45*dense) + 95*mesh + 60*s.smooth.at(p.x/7, p.y/7, p.z/7)
	hu := inner + (b.cortexHU-inner)*(1-ramp(thick*0.6, thick*1.5, depth))
	return b.broken(q, hu)
}

// broken is a density where clefts may be.
func (b *bone) broken(q vec, hu float64) float32 {
	for i := range b.breaks {
		hu += (fractureHU - hu) * b.breaks[i].lucency(q)
	}
	return float32(hu)
}
