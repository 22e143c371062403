package phantom

import "math"

// fractureHU is what fills a fresh fracture's cleft: blood and marrow.
const fractureHU = 50

// prevalence of a fracture at C1–C7 in the RSNA 2022 training set, of 2,019 studies, and of patients with any.
var prevalence = [7]float64{146. / 2019, 285. / 2019, 73. / 2019, 108. / 2019, 162. / 2019, 277. / 2019, 393. / 2019}

const patientPrevalence = 961. / 2019

// fracture is a rough cleft through a part of a vertebra, in the vertebra's frame: a plane within a ball. The fragment
// on the far side is displaced, so that the cortex shows a step.
type fracture struct {
	centre, normal vec
	radius         float64 // of the ball, mm
	gap            float64 // half the cleft's width, mm
	shift          vec     // of the fragment, mm
	rough          *lattice
}

// site is a place where vertebrae break: a point of the left half and the normal of the usual plane.
type site struct {
	centre, normal vec
	radius         float64
	paired         bool // breaks at both sides, as a ring does
}

var (
	atlasSites = []site{
		{vec{9, -9, 0}, vec{0.9, 0.4, 0.1}, 8, true}, // Jefferson: both arches
		{vec{12, 22, 0}, vec{0.8, -0.6, 0.1}, 8, true},
		{vec{18, 1, -1}, vec{1, 0.2, 0.2}, 11, false},
		{vec{29, 4, -2}, vec{1, 0, 0.2}, 7, false},
	}
	axisSites = []site{
		{vec{0, 0, 11}, vec{0.1, 0.25, 1}, 12, false},    // dens, type II
		{vec{0, 0, 4}, vec{0.05, 0.4, 1}, 15, false},     // dens, type III
		{vec{13.5, 9, -1}, vec{0.3, 1, 0.2}, 9, true},    // hangman's
		{vec{4, -6, -7}, vec{0.1, 0.75, -0.7}, 7, false}, // teardrop
		{vec{18, 12, -6}, vec{0.6, 0.5, 0.3}, 9, false},
	}
	typicalSites = []site{
		{vec{12, 21, -3}, vec{0.8, -0.5, 0.2}, 9, false},   // lamina
		{vec{0, 33, -8}, vec{0, 0.95, -0.3}, 11, false},    // spinous process
		{vec{18.5, 13, 2}, vec{0.2, 0.8, 0.5}, 10, false},  // facet
		{vec{21, 2, -3}, vec{1, 0.1, 0.1}, 8, false},       // transverse process
		{vec{2, -5, -4}, vec{0.1, 0.8, -0.6}, 8, false},    // teardrop
		{vec{1, -1, 1}, vec{0.15, 0.2, 1}, 13, false},      // body, across
		{vec{2, 0, 0}, vec{1, 0.2, 0.1}, 13, false},        // body, sagittal
		{vec{12.5, 8.5, 1}, vec{0.75, 0.65, 0.1}, 8, true}, // pedicle
	}
)

// drawFractures says which of C1–C7 are broken in a study: each with the chance of share, or, where that is zero, as often as in
// the RSNA's training set.
func drawFractures(d *dice, share float64) (broken [7]bool) {
	if share > 0 {
		for i := range broken {
			broken[i] = d.chance(share)
		}
		return broken
	}
	if !d.chance(patientPrevalence) {
		return broken
	}
	// Levels are drawn until one is broken; root is the chance that a draw is not in vain, so that each level
	// comes out at its prevalence (root = 1 - Π(1 - root·p/patientPrevalence)).
	const root = 0.700
	for {
		some := false
		for i, p := range prevalence {
			broken[i] = d.chance(root * p / patientPrevalence)
			some = some || broken[i]
		}
		if some {
			return broken
		}
	}
}

// newFractures breaks one vertebra at one site, sometimes at two.
func newFractures(d *dice, level int, rough *lattice) []fracture {
	sites := typicalSites
	switch level {
	case c1:
		sites = atlasSites
	case c2:
		sites = axisSites
	}
	var list []fracture
	side := d.sign()
	add := func(p site, side float64) {
		n := vec{p.normal.x * side, p.normal.y, p.normal.z}.add(vec{d.around(0, 0.15), d.around(0, 0.15), d.around(0, 0.15)})
		n = n.scale(1 / n.length())
		f := fracture{
			centre: vec{p.centre.x*side + d.around(0, 0.8), p.centre.y + d.around(0, 0.8), p.centre.z + d.around(0, 0.8)},
			normal: n, radius: p.radius, gap: d.between(0.35, 0.85), rough: rough,
		}
		step := max(0, d.around(1.1, 0.9))
		across := vec{d.around(0, 1), d.around(0, 1), d.around(0, 1)}
		across = across.sub(n.scale(across.dot(n)))
		f.shift = across.scale(step / max(0.1, across.length())).add(n.scale(d.between(0.2, 1.3)))
		list = append(list, f)
	}
	for range 1 + d.pick(5)/3 { // one, or two in two of five
		p := sites[d.pick(len(sites))]
		add(p, side)
		if p.paired && d.chance(0.7) {
			add(p, -side)
		}
	}
	return list
}

// across is the distance from the rough plane, and weight how much the fracture is felt there: 1 within the ball,
// fading at its rim.
func (f *fracture) across(q vec) (distance, weight float64) {
	d := q.sub(f.centre)
	r := d.length() / f.radius
	if r >= 1 {
		return 0, 0
	}
	rough := 1.1*f.rough.at(q.x/3.3, q.y/3.3, q.z/3.3) + 0.4*f.rough.at(q.x/1.2, q.y/1.2+5, q.z/1.2)
	return d.dot(f.normal) + rough, 1 - ramp(0.7, 1, r)
}

// displace is where, in the whole bone, the tissue at q comes from.
func (f *fracture) displace(q vec) vec {
	distance, weight := f.across(q)
	if weight == 0 || distance <= 0 {
		return q
	}
	return q.sub(f.shift.scale(weight))
}

// lucency is how much of the bone at q the cleft replaces, 0 … 1.
func (f *fracture) lucency(q vec) float64 {
	distance, weight := f.across(q)
	if weight == 0 {
		return 0
	}
	return 0.95 * weight * (1 - ramp(f.gap, f.gap+0.5, math.Abs(distance)))
}
