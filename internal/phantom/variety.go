package phantom

import "math"

// variety says how far the studies of a data set differ: a spread for each thing that is drawn.
type variety struct {
	wide bool
	salt uint64 // keeps the draws of two varieties apart

	size               normal // of the patient
	t1Slope, lordosis  normal // degrees
	balance            float64
	sideways, turn     normal // degrees, of the head
	nod                normal // degrees the head leans forward of the atlas
	stack, bone        normal // heights of vertebrae with their discs, sizes of vertebrae
	shape              float64
	density            normal // of cancellous bone
	cortexHU, cortexMM normal
	stout              normal
	fat                uniform // mm, beyond the least
	contrasted         float64 // share of patients with a contrast agent
	contrast           uniform // HU
	fillings           float64 // share of patients with dental metal
	narrowMM           uniform // deviation of the kernel
	overshoot          uniform
	noiseHU            logUniform
	streakHU           uniform
	tableR             uniform // mm
}

// normal, uniform and logUniform are spreads.
type (
	normal     struct{ mean, deviation float64 } // cut off at two and a half deviations
	uniform    struct{ lo, hi float64 }
	logUniform struct {
		lo, hi float64
		even   bool // uniform after all
	}
)

func (n normal) draw(d *dice) float64  { return d.around(n.mean, n.deviation) }
func (u uniform) draw(d *dice) float64 { return d.between(u.lo, u.hi) }

func (u logUniform) draw(d *dice) float64 {
	if u.even {
		return d.between(u.lo, u.hi)
	}
	return u.lo * math.Pow(u.hi/u.lo, d.unit())
}

// usual are adults in the same sort of scanner, as the data set's. Its draws must never change: seeds stand for
// files.
var usual = variety{
	size:    normal{0.98, 0.05},
	t1Slope: normal{22, 5}, lordosis: normal{18, 9},
	sideways: normal{0, 3.5}, turn: normal{0, 8}, nod: normal{8, 4},
	stack: normal{1, 0.02}, bone: normal{1, 0.012}, shape: 1,
	density: normal{1, 0.18}, cortexHU: normal{1180, 80}, cortexMM: normal{0.75, 0.08},
	stout: normal{1, 0.06}, fat: uniform{2, 9},
	contrasted: 0.25, contrast: uniform{140, 300}, fillings: 0.45,
	narrowMM: uniform{0.24, 0.33}, overshoot: uniform{0.18, 0.42},
	noiseHU: logUniform{15, 30, true}, streakHU: uniform{15, 45}, tableR: uniform{380, 700},
}

// wide are children and adults of all builds, lying as they can, in scanners of many makes: what a network should
// have seen that is to work on studies which this package did not make.
var wide = variety{
	wide: true, salt: 0x77696465 << 8,
	size:    normal{0.97, 0.08},
	t1Slope: normal{22, 8}, lordosis: normal{17, 11}, balance: 0.6,
	sideways: normal{0, 7}, turn: normal{0, 14}, nod: normal{8, 8},
	stack: normal{1, 0.035}, bone: normal{1, 0.022}, shape: 1.5,
	density: normal{1, 0.34}, cortexHU: normal{1180, 200}, cortexMM: normal{0.78, 0.18},
	stout: normal{1.02, 0.12}, fat: uniform{1, 20},
	contrasted: 0.4, contrast: uniform{60, 420}, fillings: 0.55,
	narrowMM: uniform{0.22, 0.75}, overshoot: uniform{0, 0.6},
	noiseHU: logUniform{lo: 5, hi: 60}, streakHU: uniform{0, 110}, tableR: uniform{260, 1600},
}

// placeWide chooses the field of view and the range of slices, and the scanner.
func (s *Study) placeWide(d *dice) {
	round := func(f, to float64) float64 { return math.Round(f*to) / to }
	field := 130 * math.Pow(350.0/130, d.unit())
	s.pixelMM = round(field/float64(s.size), 1e6)
	above, below := heights(d, [3]uniform{{3, 20}, {25, 70}, {70, 140}}), heights(d, [3]uniform{{-9, 12}, {20, 60}, {60, 88}})
	top := s.spine.frames[c1].origin.z + above*s.spine.size
	bottom := s.spine.frames[t1].origin.z - below*s.spine.size
	s.sliceMM = round((top-bottom)/float64(s.count), 1000)
	// The spine stays in the picture: its middle at least 45 mm from the edge.
	y := (s.spine.frames[c1].origin.y+s.spine.frames[c4].origin.y+s.spine.frames[c7].origin.y)/3 + 4
	x := (s.spine.frames[c1].origin.x + s.spine.frames[c4].origin.x + s.spine.frames[c7].origin.x) / 3
	aside := min(0.08*field, (field/2-45)/2.5)
	half := s.pixelMM * float64(s.size-1) / 2
	s.corner = vec{round(x+d.around(0, aside)-half, 1000), round(y+d.around(0, aside)-half, 1000), round(top, 1000)}
	s.mount(d)
	if d.chance(0.1) {
		s.scanner.tableR = 0
	}
	if s.simple.on && s.simple.head == noHead {
		s.scanner.metal = nil
	}
}

// heights draws how much is scanned beyond the neck: hardly anything, as usual, or much.
func heights(d *dice, of [3]uniform) float64 {
	u := d.unit()
	switch {
	case u < 0.15:
		return of[0].draw(d)
	case u < 0.7:
		return of[1].draw(d)
	}
	return of[2].draw(d)
}

// storing is how a study of wide variety is written.
type storing struct {
	signed            bool
	intercept         float64
	bits              int
	padding           int // HU outside the circle of reconstruction, 0: none
	radius            float64
	halved, from, gap int // every second slice is left out from here to there; where slices are missing
	to                int
}

// equip draws what is in the patient, and how the study is stored.
func (s *Study) equip(d *dice) {
	if d.chance(0.12) {
		s.implants = newImplants(d, s)
	}
	s.intubated = d.chance(0.2)
	if d.chance(0.25) { // stored with fewer values, or more
		s.floor = []float64{-1024, -1000, -500, -250}[d.pick(4)]
		s.ceiling = []float64{1200, 1800, 2400, 3071, 6000, 10000}[d.pick(6)]
	}
	f := &s.storing
	f.signed = d.chance(0.5)
	f.bits = 12
	if f.signed || d.chance(0.4) || s.ceiling > 3071 {
		f.bits = 16
	}
	f.intercept = []float64{-1024, -1024, -1000, -8192}[d.pick(4)]
	if f.signed {
		f.intercept = []float64{0, 0, -1024}[d.pick(3)]
	}
	if f.intercept == -8192 {
		f.bits = 16
	}
	if f.intercept == -1000 {
		s.floor = max(s.floor, -1000)
	}
	if d.chance(0.45) {
		f.radius = d.between(0.92, 1.02)
		f.padding = []int{-2000, -2000, -1024, -3024}[d.pick(4)]
		if !f.signed {
			f.padding = max(f.padding, int(f.intercept))
		}
	}
	f.halved, f.from, f.to = 1, s.count, s.count
	if d.chance(0.12) { // two scans in one series, one of them coarse
		f.halved = 2 + d.pick(2)
		f.from = int(d.between(0.2, 0.8) * float64(s.count))
		if d.chance(0.5) {
			f.from, f.to = 0, f.from
		}
	}
	f.gap = -1
	if d.chance(0.1) {
		f.gap = 1 + d.pick(max(1, s.count-2))
	}
}

// written says whether a slice is part of the study.
func (s *Study) written(z int) bool {
	f := &s.storing
	if !s.variety.wide || s.count < 30 {
		return true
	}
	return z != f.gap && (z < f.from || z >= f.to || (z-f.from)%f.halved == 0)
}

// implant is metal in a vertebra: a screw, a plate.
type implant struct {
	shape  bar
	frame  frame
	size   float64
	lo, hi float64 // world z it may be met between
}

const implantHU = 9000

// newImplants screws a plate to the front of two or three vertebrae.
func newImplants(d *dice, s *Study) []implant {
	first := c3 + d.pick(4)
	last := min(c7, first+1+d.pick(2))
	var list []implant
	add := func(i int, a, b vec, r, flat float64) {
		m := implant{shape: newBar(a, b, r, r, flat), frame: s.spine.frames[i], size: s.spine.size}
		za, zb := m.frame.world(a.scale(m.size)).z, m.frame.world(b.scale(m.size)).z
		margin := (r*flat + 1) * m.size
		m.lo, m.hi = min(za, zb)-margin, max(za, zb)+margin
		list = append(list, m)
	}
	for i := first; i <= last; i++ {
		b := builds[i]
		front, deep := -b.bodyHalfDepth-1, b.bodyHalfDepth*d.between(0.2, 0.7)
		for _, side := range []float64{-1, 1} {
			add(i, vec{6 * side, front, 0}, vec{4.5 * side, deep, d.around(0, 1)}, 1.8, 1)
			add(i, vec{6 * side, front - 0.6, -7}, vec{6 * side, front - 0.6, 7}, 1.3, 1)
		}
	}
	for i, m := range list {
		if i%2 == 0 { // the screws' heads cast rays
			s.scanner.metal = append(s.scanner.metal, m.frame.world(m.shape.a.scale(m.size)))
		}
	}
	return list
}

// paintImplants paints metal and the windpipe's tube.
func (c *canvas) paintImplants(s *Study) {
	if s.intubated {
		c.paintTube(&breathing, 260, 1.1)
		c.paintTube(&breathing, airHU, 0)
	}
	z := c.sec.z
	for i := range s.implants {
		m := &s.implants[i]
		if z < m.lo || z > m.hi {
			continue
		}
		at := m.frame.origin
		w := c.around(at.x-25*m.size, at.y-25*m.size, at.x+25*m.size, at.y+25*m.size)
		if w.empty() {
			continue
		}
		for j := w.j0; j < w.j1; j++ {
			for k := j*c.nodes + w.i0; k < j*c.nodes+w.i1; k++ {
				c.near[k] = outside
			}
		}
		c.survey(w, 2, func(x, y float64) float64 {
			q := m.frame.local(vec{x, y, z}).scale(1 / m.size)
			return m.shape.distance(q) * m.size
		}, func(k int, d float64) { c.near[k] = d })
		c.fill(w, implantHU)
	}
}

// breathing is a tube in the throat and the windpipe.
var breathing = newTube(
	station{0.4, 1, -27, 3.6, 3.6, 0}, station{2, 2, -19, 3.6, 3.6, 0}, station{4, 1, -26, 3.6, 3.6, 0},
	station{5.2, 0, -33, 3.6, 3.6, 0}, station{7, 0, -33, 3.6, 3.6, 0}, station{10.5, 1, -31, 3.6, 3.6, 0},
)
