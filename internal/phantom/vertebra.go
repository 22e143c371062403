package phantom

import "math"

// build is the shape of a vertebra with a body, C3 to T5, in millimetres of its own frame: origin at the body's
// centre, x left, y back, z up the spine. Only the left half is described; the right mirrors it.
//
// The sizes are about those that Francis 1955 and Panjabi et al. 1991 measured (bodies, canals, pedicles, spinous and
// transverse processes), and Ebraheim et al. 1996 and Xu et al. 1995 (pillars, transverse foramina).
type build struct {
	bodyHalfWidth, bodyHalfDepth, bodyHalfHeight float64
	uncus                                        float64 // how far the lips beside the upper endplate rise
	canalHalfWidth, canalDepth                   float64
	pedicleRadius                                float64
	pillarX, pillarY                             float64 // centre of the articular pillar
	pillarHalfWidth, pillarHalfHeight            float64
	facetSlope                                   float64 // degrees from the endplate's plane
	laminaRadius, laminaFlat                     float64 // half its thickness; its height over its thickness
	spinousLength, spinousDroop, spinousRadius   float64 // from the canal's back; degrees; half its width
	bifid                                        float64 // half the distance of the two tips, 0: one tip
	transverse                                   vec     // tip of the posterior bar
	transverseRadius                             float64
	tubercle                                     vec     // tip of the anterior bar
	foramenX, foramenY, foramenRadius            float64 // transverse foramen; no radius: none

	spur  float64 // mm by which worn endplates have grown lips
	wedge float64 // mm of height lost in front by compression
}

// builds has no entry for C1 and C2, which are like no other (atlas.go, axis.go).
var builds = [vertebrae]build{
	c3: {
		bodyHalfWidth: 9.0, bodyHalfDepth: 7.8, bodyHalfHeight: 7.2, uncus: 4.6,
		canalHalfWidth: 11.6, canalDepth: 14.3, pedicleRadius: 2.9, laminaRadius: 1.9, laminaFlat: 3.0,
		pillarX: 18.6, pillarY: 12.0, pillarHalfWidth: 5.6, pillarHalfHeight: 7.6, facetSlope: 42,
		spinousLength: 14, spinousDroop: 18, spinousRadius: 2.3, bifid: 4.2,
		transverse: vec{27, 5, -4}, transverseRadius: 2.3,
		tubercle: vec{23.5, -3, -4.5}, foramenX: 15.4, foramenY: 0.6, foramenRadius: 3.0,
	},
	c4: {
		bodyHalfWidth: 9.4, bodyHalfDepth: 8.0, bodyHalfHeight: 7.0, uncus: 4.8,
		canalHalfWidth: 11.9, canalDepth: 14.0, pedicleRadius: 2.9, laminaRadius: 1.9, laminaFlat: 3.0,
		pillarX: 19.0, pillarY: 12.2, pillarHalfWidth: 5.7, pillarHalfHeight: 7.5, facetSlope: 43,
		spinousLength: 15, spinousDroop: 20, spinousRadius: 2.3, bifid: 4.6,
		transverse: vec{27.5, 5, -4}, transverseRadius: 2.3,
		tubercle: vec{24, -4, -5}, foramenX: 15.8, foramenY: 0.4, foramenRadius: 3.0,
	},
	c5: {
		bodyHalfWidth: 9.9, bodyHalfDepth: 8.1, bodyHalfHeight: 6.9, uncus: 5.0,
		canalHalfWidth: 12.2, canalDepth: 14.0, pedicleRadius: 3.0, laminaRadius: 1.9, laminaFlat: 3.0,
		pillarX: 19.6, pillarY: 12.4, pillarHalfWidth: 5.8, pillarHalfHeight: 7.5, facetSlope: 43,
		spinousLength: 17, spinousDroop: 22, spinousRadius: 2.4, bifid: 4.6,
		transverse: vec{28.5, 5.5, -3.5}, transverseRadius: 2.4,
		tubercle: vec{24.5, -5, -5}, foramenX: 16.4, foramenY: 0.3, foramenRadius: 3.1,
	},
	c6: {
		bodyHalfWidth: 10.8, bodyHalfDepth: 8.3, bodyHalfHeight: 7.1, uncus: 4.8,
		canalHalfWidth: 12.4, canalDepth: 14.0, pedicleRadius: 3.1, laminaRadius: 2.0, laminaFlat: 3.1,
		pillarX: 20.0, pillarY: 12.7, pillarHalfWidth: 5.8, pillarHalfHeight: 7.8, facetSlope: 46,
		spinousLength: 24, spinousDroop: 25, spinousRadius: 2.5, bifid: 3.2,
		transverse: vec{30, 6.5, -3}, transverseRadius: 2.6,
		tubercle: vec{25.5, -6, -5}, foramenX: 17.2, foramenY: 0.4, foramenRadius: 3.2,
	},
	c7: {
		bodyHalfWidth: 12.3, bodyHalfDepth: 8.5, bodyHalfHeight: 7.9, uncus: 3.4,
		canalHalfWidth: 12.2, canalDepth: 14.5, pedicleRadius: 3.4, laminaRadius: 2.2, laminaFlat: 3.2,
		pillarX: 20.0, pillarY: 13.2, pillarHalfWidth: 5.6, pillarHalfHeight: 8.2, facetSlope: 53,
		spinousLength: 32, spinousDroop: 27, spinousRadius: 2.7,
		transverse: vec{35, 10.5, -1}, transverseRadius: 3.6,
		tubercle: vec{25, -1, -3}, foramenX: 19.2, foramenY: 0.8, foramenRadius: 1.9,
	},
	t1: {
		bodyHalfWidth: 13.4, bodyHalfDepth: 8.8, bodyHalfHeight: 8.6, uncus: 2.0,
		canalHalfWidth: 10.6, canalDepth: 15.0, pedicleRadius: 4.0, laminaRadius: 2.4, laminaFlat: 3.6,
		pillarX: 17.5, pillarY: 14.5, pillarHalfWidth: 5.2, pillarHalfHeight: 8.8, facetSlope: 58,
		spinousLength: 33, spinousDroop: 33, spinousRadius: 2.9,
		transverse: vec{36, 17, 2.5}, transverseRadius: 4.4,
	},
	t2: {
		bodyHalfWidth: 13.2, bodyHalfDepth: 9.4, bodyHalfHeight: 9.1, uncus: 0.8,
		canalHalfWidth: 9.2, canalDepth: 15.0, pedicleRadius: 4.0, laminaRadius: 2.4, laminaFlat: 4.0,
		pillarX: 15.0, pillarY: 15.5, pillarHalfWidth: 4.8, pillarHalfHeight: 9.2, facetSlope: 63,
		spinousLength: 34, spinousDroop: 41, spinousRadius: 2.8,
		transverse: vec{32.5, 20, 3}, transverseRadius: 4.4,
	},
	t3: {
		bodyHalfWidth: 12.6, bodyHalfDepth: 10.2, bodyHalfHeight: 9.0,
		canalHalfWidth: 8.8, canalDepth: 15.0, pedicleRadius: 3.8, laminaRadius: 2.4, laminaFlat: 4.2,
		pillarX: 13.8, pillarY: 16.5, pillarHalfWidth: 4.5, pillarHalfHeight: 9.4, facetSlope: 64,
		spinousLength: 34, spinousDroop: 46, spinousRadius: 2.7,
		transverse: vec{30.5, 21, 3}, transverseRadius: 4.2,
	},
	t4: {
		bodyHalfWidth: 12.4, bodyHalfDepth: 10.8, bodyHalfHeight: 9.3,
		canalHalfWidth: 8.6, canalDepth: 15.0, pedicleRadius: 3.7, laminaRadius: 2.4, laminaFlat: 4.2,
		pillarX: 13.2, pillarY: 17.0, pillarHalfWidth: 4.4, pillarHalfHeight: 9.6, facetSlope: 64,
		spinousLength: 34, spinousDroop: 50, spinousRadius: 2.7,
		transverse: vec{29.5, 22, 3}, transverseRadius: 4.2,
	},
	t5: {
		bodyHalfWidth: 12.6, bodyHalfDepth: 11.4, bodyHalfHeight: 9.6,
		canalHalfWidth: 8.6, canalDepth: 15.0, pedicleRadius: 3.7, laminaRadius: 2.4, laminaFlat: 4.2,
		pillarX: 13.0, pillarY: 17.6, pillarHalfWidth: 4.4, pillarHalfHeight: 9.8, facetSlope: 64,
		spinousLength: 34, spinousDroop: 52, spinousRadius: 2.7,
		transverse: vec{29, 22, 3}, transverseRadius: 4.2,
	},
}

// vary returns one patient's version of a vertebra; by scales how far it may be from the tables.
func (b build) vary(d *dice, by float64) build {
	for _, v := range []*float64{
		&b.bodyHalfWidth, &b.bodyHalfDepth, &b.uncus, &b.canalHalfWidth, &b.canalDepth, &b.pedicleRadius, &b.laminaRadius,
	} {
		*v *= d.around(1, 0.04*by)
	}
	for _, v := range []*float64{
		&b.spinousLength, &b.spinousDroop, &b.bifid, &b.foramenRadius, &b.transverseRadius, &b.transverse.x,
	} {
		*v *= d.around(1, 0.07*by)
	}
	return b
}

// typical is a vertebra with a body, its parts worked out.
type typical struct {
	build
	slope, lipscale    float64 // tangent of the facets' slope; what makes the sheared pillar's distance true
	pedicle, lamina    bar
	spinous, tip       bar
	front, back, strut bar // the bars of the transverse process
	canalY             float64
}

func newTypical(b build) *typical {
	t := &typical{build: b}
	t.slope = math.Tan(b.facetSlope * math.Pi / 180)
	t.lipscale = 1 / math.Sqrt(1+t.slope*t.slope)
	t.canalY = b.bodyHalfDepth + b.canalDepth*0.5
	rear := b.bodyHalfDepth + b.canalDepth + b.laminaRadius*0.6
	sin, cos := math.Sincos(b.spinousDroop * math.Pi / 180)

	t.pedicle = newBar(
		vec{b.bodyHalfWidth - 3, b.bodyHalfDepth - 3, 1.8}, vec{b.pillarX - 1, b.pillarY, 0.5},
		b.pedicleRadius, b.pedicleRadius, 1.25)
	t.lamina = newBar(
		vec{b.pillarX - 1.5, b.pillarY + 5, -2}, vec{0.8, rear, -3.5},
		b.laminaRadius*1.15, b.laminaRadius, b.laminaFlat)
	root, end := vec{0, rear, -3.5}, vec{0, rear + b.spinousLength*cos, -3.5 - b.spinousLength*sin}
	if b.bifid > 0 {
		fork := root.toward(end, 0.62)
		t.spinous = newBar(root, fork, b.spinousRadius*1.2, b.spinousRadius, 1.9)
		t.tip = newBar(fork, vec{b.bifid, end.y, end.z}, b.spinousRadius*0.9, b.spinousRadius, 1.35)
	} else {
		t.spinous = newBar(root, end, b.spinousRadius*1.15, b.spinousRadius, 1.9)
		t.tip = newBar(root.toward(end, 0.9), end, b.spinousRadius, b.spinousRadius*1.35, 1.6)
	}
	t.back = newBar(vec{b.pillarX - 2, b.pillarY - 5, -1.5}, b.transverse, b.transverseRadius*0.9, b.transverseRadius, 1.9)
	if b.foramenRadius == 0 {
		t.back = newBar(vec{b.pillarX, b.pillarY + 1, 1}, b.transverse, b.transverseRadius*0.9, b.transverseRadius, 1.15)
		t.front, t.strut = t.back, t.back
		return t
	}
	t.front = newBar(vec{b.bodyHalfWidth - 2, -1, -1.5}, b.tubercle, 1.6, 2.2, 1.9)
	t.strut = newBar(vec{b.tubercle.x - 2, b.tubercle.y + 1, b.tubercle.z - 0.5}, b.transverse.sub(vec{3, 0, 0.5}), 1.6, 1.8, 1.9)
	return t
}

// body is the drum with saddle-shaped endplates: the upper one has the uncinate lips at its sides and falls to
// the front, the lower one is rounded off where the next uncus reaches up, and has a lip in front.
func (t *typical) body(x, q vec) float64 {
	w, d, h := t.bodyHalfWidth, t.bodyHalfDepth, t.bodyHalfHeight
	level := q.z / h
	waist := 0.9 * max(0, 1-level*level)
	across := min(1.3, x.x/w)
	y := q.y
	if y > 0 {
		y += 0.9 * max(0, 1-across*across) // the back wall is hollow
	}
	spur := t.spur * ramp(0.55, 1, math.Abs(level))
	half := vec{w - waist + spur*0.5 + 0.9*min(1, max(-1, -level)), d - waist*0.5 + spur, 50}
	side := roundBox(vec{x: x.x, y: y}, half, min(w, d)*0.72)
	lip := ramp(0.5, 1, across)
	dish := 1 - min(1, (x.x*x.x)/(w*w)+(y*y)/(d*d))
	top := h + t.uncus*lip*ramp(-1.1, 0.2, q.y/d) - 0.6*dish + 0.09*q.y - t.wedge*ramp(0.9, -0.8, q.y/d)
	bottom := -h + t.uncus*0.6*lip + 0.9*dish - 1.2*ramp(0.3, 1, -q.y/d)
	return meet(side, 0.88*max(q.z-top, bottom-q.z), 1.6)
}

func (t *typical) distance(q vec) float64 {
	x := q
	x.x = math.Abs(q.x)
	rise := q.z + (q.y-t.pillarY)*t.slope
	column := roundBox(vec{x: x.x - t.pillarX, y: q.y - t.pillarY}, vec{t.pillarHalfWidth, 6.6, 50}, 4.6)
	pillar := meet(column, (math.Abs(rise+1)-t.pillarHalfHeight)*t.lipscale, 1.6)

	leaning := x // laminae overlap like tiles: the upper rim lies further to the front
	leaning.y += 0.28 * (q.z + 3)
	arch := join(pillar, t.lamina.distance(leaning), 2)
	arch = join(arch, t.pedicle.distance(x), 2.5)
	arch = join(arch, t.back.distance(x), 2)
	if t.foramenRadius > 0 {
		arch = join(arch, t.front.distance(x), 1.5)
		arch = join(arch, t.strut.distance(x), 1.5)
		arch = carve(arch, ellipse(x.x-t.foramenX, q.y-t.foramenY, t.foramenRadius, t.foramenRadius*0.92), 0.8)
	}
	spinous := join(t.spinous.distance(x), t.tip.distance(x), 1.5)
	arch = join(arch, spinous, 2.5)
	all := join(arch, t.body(x, q), 2)
	return carve(all, canalDistance(x.x, q.y-t.canalY, t.canalHalfWidth, t.canalDepth*0.5), 1.2)
}

// canalDistance is the spinal canal's cross-section: a triangle with round corners, its base to the front.
func canalDistance(x, y, halfWidth, halfDepth float64) float64 {
	oval := ellipse(x, y+0.12*halfDepth, halfWidth*1.04, halfDepth*1.12)
	roof := (x*0.62 + y*0.785) - 0.86*halfDepth - 1.6
	return meet(meet(oval, -y-halfDepth, 4), roof, 5)
}

// inner says how dense the bone within the cortex is here, 0 for a body's cancellous bone, 1 for an arch's.
func (t *typical) inner(q vec) float64 { return ramp(t.bodyHalfDepth-3, t.bodyHalfDepth+4, q.y) }

func (t *typical) reach() (lo, hi vec) {
	rear := t.bodyHalfDepth + t.canalDepth + t.spinousLength + 5
	side := max(t.transverse.x+t.transverseRadius, t.pillarX+t.pillarHalfWidth) + 2
	fall := t.spinousLength * math.Sin(t.spinousDroop*math.Pi/180)
	return vec{-side, -t.bodyHalfDepth - 4, -13 - fall}, vec{side, rear, t.bodyHalfHeight + 12}
}
