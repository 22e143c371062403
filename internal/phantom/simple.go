package phantom

import "math"

// simple is how much of the anatomy a study leaves out: what a plainer generator of phantoms might draw. Its zero value
// leaves out nothing.
type simple struct {
	on     bool
	head   int  // noHead, shellHead or fullHead
	tissue bool // muscles, organs, what is in the canal
	airway bool
	chest  bool
	last   int  // the lowest vertebra
	even   bool // bone is of one density
	bodyHU float32
	boneHU float64
	style  blobStyle
}

const (
	noHead = iota
	shellHead
	fullHead
)

func drawSimple(d *dice) simple {
	p := simple{
		on: true, head: d.pick(3), tissue: d.chance(0.3), airway: d.chance(0.6), chest: d.chance(0.3),
		last: c7 + d.pick(vertebrae-c7), even: d.chance(0.6), bodyHU: float32(d.between(-20, 90)), boneHU: d.between(180, 1300),
	}
	if d.chance(0.5) {
		p.last = vertebrae - 1
	}
	p.style = drawBlobStyle(d)
	return p
}

// blobStyle is the shape that all vertebrae of a simple study have in common.
type blobStyle struct {
	body                   int // roundBody, drumBody or boxBody
	width, depth, height   float64
	ringed                 bool // an arch behind the body
	canalWidth, canalDepth float64
	arch, flat             float64 // radius of the arch, and how much higher it is
	spinous, droop         float64 // length, 0: none
	wings                  float64 // reach of the transverse processes, 0: none
	atlas                  bool    // C1 is a ring without a body
	dens                   bool    // C2 has a peg
	growth                 float64 // of the vertebrae from C2 to T1
	spinousRadius          float64
}

const (
	roundBody = iota
	drumBody
	boxBody
)

func drawBlobStyle(d *dice) blobStyle {
	b := blobStyle{
		body: d.pick(3), width: d.between(7, 13), depth: d.between(6, 10), height: d.between(5.6, 8.4),
		ringed: d.chance(0.8), canalWidth: d.between(8, 13), canalDepth: d.between(6, 9), arch: d.between(1.8, 3.6), flat: d.between(1, 2.2),
		atlas: d.chance(0.6), dens: d.chance(0.5), growth: d.between(0, 0.3), spinousRadius: d.between(1.8, 3.6),
	}
	if d.chance(0.7) {
		b.spinous, b.droop = d.between(8, 30), d.between(0, 0.8)
	}
	if d.chance(0.6) {
		b.wings = d.between(14, 30)
	}
	return b
}

// blob is a vertebra of plain solids.
type blob struct {
	blobStyle
	level int
	back  float64 // centre of the canal
	tail  bar
	wing  bar
	peg   bar
}

func newBlob(d *dice, style blobStyle, level int) *blob {
	b := &blob{blobStyle: style, level: level}
	grown := (1 + b.growth*(float64(min(level, t1))-3)/4) * d.around(1, 0.03)
	b.width, b.depth = b.width*grown, b.depth*grown
	if level == c1 {
		b.canalWidth, b.canalDepth = b.canalWidth+5, b.canalDepth+3
		b.spinous *= 0.2
		b.height *= 0.8
	}
	if level >= c6 {
		b.spinous *= 1.3
	}
	b.back = b.depth + b.canalDepth
	rear := b.back + b.canalDepth
	sin, cos := math.Sincos(b.droop)
	b.tail = newBar(vec{0, rear, -1}, vec{0, rear + b.spinous*cos, -1 - b.spinous*sin}, b.spinousRadius, b.spinousRadius*0.8, 1.5)
	b.wing = newBar(vec{b.width - 2, b.depth * 0.5, 0}, vec{max(b.wings, b.width), b.depth * 0.7, -1}, 3, 2.6, 1.2)
	b.peg = newBar(vec{0, 0, 4}, vec{0, 0, 21}, 5, 4, 1)
	return b
}

func (b *blob) distance(q vec) float64 {
	x := q
	x.x = math.Abs(q.x)
	all := outside
	if b.level != c1 || !b.atlas {
		switch b.body {
		case roundBody:
			all = ellipsoid(q, vec{b.width, b.depth, b.height})
		case drumBody:
			all = meet(ellipse(q.x, q.y, b.width, b.depth), math.Abs(q.z)-b.height, 1)
		default:
			all = roundBox(q, vec{b.width, b.depth, b.height}, 2.5)
		}
	}
	if b.ringed || b.level == c1 && b.atlas {
		centre := b.back
		if b.level == c1 && b.atlas {
			centre = 7
		}
		side := ellipse(q.x, q.y-centre, b.canalWidth+b.arch, b.canalDepth+b.arch)
		z := q.z / b.flat
		all = join(all, math.Sqrt(side*side+z*z)-b.arch, 1)
		if b.spinous > 0 {
			all = join(all, b.tail.distance(q), 1)
		}
	}
	if b.wings > 0 {
		all = join(all, b.wing.distance(x), 1)
	}
	if b.level == c2 && b.dens {
		all = join(all, b.peg.distance(q), 1)
	}
	return all
}

func (b *blob) inner(vec) float64 { return 0.3 }

func (b *blob) reach() (lo, hi vec) {
	side := max(b.width, b.canalWidth+2*b.arch, b.wings+4) + 4
	return vec{-side, -max(b.depth, b.canalDepth+2*b.arch) - 4, -b.height*2 - b.spinous - 4},
		vec{side, b.back + b.canalDepth + 2*b.arch + b.spinous + 6, b.height + 18}
}

// paintShell paints a head that is an empty shell.
func (c *canvas) paintShell(s *Study) {
	k := s.skull
	z := c.sec.z
	if !k.reaches(z) {
		return
	}
	c.solve(2, func(x, y float64) float64 {
		q := k.local(vec{x, y, z})
		shell := math.Abs(ellipsoid(vec{q.x, q.y + 8, q.z - 78}, vec{68, 86, 64})) - 3
		return shell * k.size
	})
	c.fill(c.whole(), float32(s.simple.boneHU))
}
