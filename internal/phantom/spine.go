package phantom

import "math"

// Index of a vertebra in a spine: C1 is 0; the mask's label is the index plus 1.
const (
	c1 = iota
	c2
	c3
	c4
	c5
	c6
	c7
	t1
	t2
	t3
	t4
	t5
	vertebrae
)

// spine is where the vertebrae stand, and the curve through them that the soft tissue follows.
//
// Height along the neck is told in levels: 1 at the centre of the atlas, 2 at that of the axis' body, … 7 at
// C7, 8 at T1; 0 is about the foramen magnum. Levels make one table of anatomy fit necks of every length.
type spine struct {
	size   float64 // of this patient; 1 is the tables' adult
	frames [vertebrae]frame
	head   frame              // at the atlas, turned as the head is
	wear   [vertebrae]float64 // of the disc below, 0 … 1

	level, x, y, turn *profile // by z
}

// stackMM is how far the centre of each vertebra lies above that of the next one, along the spine: half of both
// bodies and the disc between them. The atlas stands round the dens.
var stackMM = [vertebrae]float64{
	c1: 19, c2: 18.6, c3: 18.2, c4: 17.8, c5: 17.8, c6: 18.8, c7: 20.2, t1: 21.2, t2: 22, t3: 22.6, t4: 23, t5: 0,
}

// newSpine poses a spine: C4's body is at the origin. Slopes are those of supine trauma patients, most of them
// with the chin free: T1 leans forward by 15–30°, and the neck bends back again by 0–30° between C7 and C2
// (Lee et al. 2012 give 26° ± 7° and 10° ± 9°).
func newSpine(d *dice, v *variety) *spine {
	const degree = math.Pi / 180
	s := &spine{size: v.size.draw(d)}
	t1Slope := v.t1Slope.draw(d)
	lordosis := v.lordosis.draw(d) + v.balance*(t1Slope-v.t1Slope.mean)
	shape := d.between(0.75, 1.3) // where along the neck the bend sits
	sideways, turn := v.sideways.draw(d), v.turn.draw(d)
	s.age(d)

	var tilt, bend, spin [vertebrae]float64
	for i := range tilt {
		switch {
		case i >= t1:
			tilt[i] = t1Slope - 2.2*float64(i-t1)*(1+0.15*float64(i-t1))
		case i >= c2:
			along := float64(c7-i) / float64(c7-c2)
			tilt[i] = t1Slope - 3 - lordosis*math.Pow(along, shape) + d.around(0, 0.8)
		default:
			tilt[i] = tilt[c2] // set below
		}
		up := max(0, min(1, float64(t2-i)/float64(t2-c1)))
		bend[i] = sideways*up + d.around(0, 0.5)
		spin[i] = turn*up*0.55 + d.around(0, 0.4)
	}
	tilt[c2] = t1Slope - 3 - lordosis
	tilt[c1] = tilt[c2] - d.around(7, 3)
	spin[c1] = turn * 0.95
	headTilt := tilt[c1] + v.nod.draw(d)

	at := vec{}
	for i := vertebrae - 1; i >= 0; i-- {
		if i < vertebrae-1 {
			middle := newFrame(at, degree*(tilt[i]+tilt[i+1])/2, degree*(bend[i]+bend[i+1])/2, 0)
			if i == c1 {
				middle = s.frames[c2] // the dens is part of the axis
			}
			at = at.add(middle.z.scale((stackMM[i]*v.stack.draw(d) - 2.6*s.wear[i]) * s.size))
		}
		s.frames[i] = newFrame(at, degree*tilt[i], degree*bend[i], degree*spin[i])
	}
	shift := s.frames[c4].origin
	for i := range s.frames {
		s.frames[i].origin = s.frames[i].origin.sub(shift)
	}
	s.head = newFrame(s.frames[c1].origin, degree*headTilt, degree*(sideways+d.around(0, 1)), degree*turn)
	s.trace(spin[:], turn)
	return s
}

// age wears discs down, most of all those above and below C6, in half of the patients.
func (s *spine) age(d *dice) {
	if d.chance(0.5) {
		return
	}
	for i, share := range [vertebrae]float64{c3: 0.2, c4: 0.45, c5: 0.8, c6: 0.7, c7: 0.2} {
		if d.chance(share) {
			s.wear[i] = d.between(0.2, 1)
		}
	}
}

// trace lays the smooth curves through the vertebrae.
func (s *spine) trace(spin []float64, headTurn float64) {
	const degree = math.Pi / 180
	var z, x, y, level, turn []float64
	add := func(p vec, l, t float64) {
		z, x, y = append(z, p.z), append(x, p.x), append(y, p.y)
		level, turn = append(level, l), append(turn, t*degree)
	}
	last := s.frames[vertebrae-1]
	for k := 4; k >= 1; k-- {
		add(last.world(vec{z: -22 * s.size * float64(k)}), float64(vertebrae+k), spin[vertebrae-1])
	}
	for i := vertebrae - 1; i >= 0; i-- {
		add(s.frames[i].origin, float64(i+1), spin[i])
	}
	for k := 1; k <= 8; k++ {
		add(s.head.world(vec{z: 18 * s.size * float64(k)}), float64(1-k), headTurn)
	}
	s.level, s.x, s.y, s.turn = newProfile(z, level), newProfile(z, x), newProfile(z, y), newProfile(z, turn)
}

// section is what an axial cut needs to know of the spine: the way from the scanner's x, y to the neck's u, v:
// mm to the patient's left and to the back of the centre of the vertebral bodies, turned with the neck.
type section struct {
	z, level float64
	x, y     float64
	sin, cos float64
	size     float64
}

func (s *spine) section(z float64) section {
	c := section{z: z, level: s.level.at(z), x: s.x.at(z), y: s.y.at(z), size: s.size}
	c.sin, c.cos = math.Sincos(s.turn.at(z))
	return c
}

// local gives u, v in the tables' millimetres (before this patient's size).
func (c *section) local(x, y float64) (u, v float64) {
	x, y = (x-c.x)/c.size, (y-c.y)/c.size
	return c.cos*x + c.sin*y, c.cos*y - c.sin*x
}

func (c *section) world(u, v float64) (x, y float64) {
	u, v = u*c.size, v*c.size
	return c.x + c.cos*u - c.sin*v, c.y + c.sin*u + c.cos*v
}
