// Package phantom makes synthetic neck CT studies in the layout of the RSNA 2022 cervical spine data set, for
// demonstrations, tests, benchmarks, and to pre-train a vertebra segmenter where no real data may be had.
//
// A study is anatomy told in tables of millimetres (vertebra.go, anatomy.go), posed and varied by a seed, painted slice
// by slice as tissue over tissue, and then seen through a scanner: kernel, noise, streaks, number format.
//
// Invariants:
//   - A study must depend on its seed, its index and its options alone: never on time, on the number of workers or
//     on the order in which slices are asked for.
//   - Slice 0 is nearest the head. Rows run from front to back, columns from the patient's right to left: the
//     scanner's x, y, z are DICOM's patient coordinates (LPS, mm).
//   - Labels must be 0 for none, 1–7 for C1–C7, 8 and more for T1 and below, and must cover cortex, interior and
//     fracture clefts of a vertebra, not its canal and foramina.
package phantom

import (
	"math"
	"math/bits"
	"sync"
)

// Study is one synthetic patient on the table. It is safe for concurrent use.
type Study struct {
	seed    uint64
	index   int
	variety *variety

	size    int     // rows and columns
	count   int     // slices
	pixelMM float64 // in the plane
	sliceMM float64 // from slice to slice
	corner  vec     // centre of the first pixel of slice 0

	spine   *spine
	bones   []bone
	skull   *skull
	outline *outline
	muscles [][2]tube
	organs  organs
	thorax  *thorax
	scanner scanner
	broken  [7]bool

	smooth   *lattice
	contrast float32 // HU a contrast agent adds to blood
	marbling float32

	floor, ceiling float64 // HU that the machine stores
	implants       []implant
	intubated      bool
	storing        storing
	simple         simple

	canvases sync.Pool
}

// New draws a study. The same seed, index, size (rows and columns) and number of slices give the same study; size and
// slices change how finely the same patient is sampled.
func New(seed uint64, index, size, slices int) *Study {
	return newStudy(&usual, seed, index, size, slices, 0)
}

// NewWide draws a study as New does, of patients, poses, scanners and fields of view that differ much more. Three in
// ten are plain solids in place of anatomy.
func NewWide(seed uint64, index, size, slices int) *Study {
	return newStudy(&wide, seed, index, size, slices, 0)
}

func newStudy(v *variety, seed uint64, index, size, slices int, fractured float64) *Study {
	draw := func(what uint64) *dice { return newDice(seed, uint64(index), what+v.salt) }
	s := &Study{seed: seed, index: index, variety: v, size: size, count: slices, floor: -1024, ceiling: 3071}
	s.smooth = newLattice(draw(1))
	s.spine = newSpine(draw(2), v)
	s.skull = newSkull(draw(3), s.spine.head, s.spine.size)
	s.outline = newOutline(draw(4), v)
	s.organs = newOrgans(draw(5))
	s.thorax = newThorax(draw(6), s.spine)
	d := draw(7)
	for _, m := range muscles {
		s.muscles = append(s.muscles, [2]tube{m.vary(d, 1), m.vary(d, -1)})
	}
	s.marbling = float32(max(0, d.around(0.7, 0.5)))
	if d.chance(v.contrasted) {
		s.contrast = float32(v.contrast.draw(d))
	}
	if d := draw(11); v.wide && d.chance(0.3) {
		s.simple = drawSimple(d)
	}
	s.assemble(draw(8), fractured)
	if v.wide {
		s.placeWide(draw(9))
		s.equip(draw(10))
	} else {
		s.place(draw(9))
	}
	s.canvases.New = func() any { return newCanvas(size) }
	return s
}

// assemble makes the vertebrae and breaks some; see drawFractures.
func (s *Study) assemble(d *dice, fractured float64) {
	s.broken = drawFractures(d, fractured)
	density := max(0.3, s.variety.density.draw(d)) // of cancellous bone: age
	for i := range vertebrae {
		var shape solid
		switch {
		case s.simple.on:
			if i > s.simple.last {
				continue
			}
			shape = newBlob(d, s.simple.style, i)
		case i == c1:
			shape = newAtlas(d)
		case i == c2:
			shape = newAxis(d)
		default:
			v := builds[i].vary(d, s.variety.shape)
			v.spur = s.spine.wear[i] * d.between(0.5, 1.6)
			if i <= c7 && s.broken[i] && d.chance(0.2) {
				v.wedge = d.between(1.5, 4)
			}
			shape = newTypical(v)
		}
		b := newBone(s.spine.frames[i], s.spine.size*s.variety.bone.draw(d), shape)
		b.skew = d.around(0, 0.02)
		b.cortexHU, b.cortexMM = s.variety.cortexHU.draw(d), s.variety.cortexMM.draw(d)
		b.cancellousHU = 300 * density * d.around(1, 0.05)
		if i < t1 {
			b.cancellousHU *= 1.1
		}
		if s.simple.on {
			b.cancellousHU, b.even = s.simple.boneHU, s.simple.even
		}
		if i <= c7 && s.broken[i] {
			b.breaks = newFractures(d, i, s.smooth)
		}
		s.bones = append(s.bones, b)
	}
}

// place chooses the field of view and the range of slices.
func (s *Study) place(d *dice) {
	field := max(150, min(245, d.around(190, 24)))
	s.pixelMM = math.Round(field/float64(s.size)*1e6) / 1e6
	above := d.between(30, 52)
	below := d.between(30, 62) // below T1
	top := s.spine.frames[c1].origin.z + above*s.spine.size
	length := top - (s.spine.frames[t1].origin.z - below*s.spine.size)
	s.sliceMM = math.Round(length/float64(s.count)*1000) / 1000
	half := s.pixelMM * float64(s.size-1) / 2
	round := func(f float64) float64 { return math.Round(f*1000) / 1000 }
	s.corner = vec{round(d.around(0, 6) - half), round(d.around(6, 5) - half), round(top)}

	s.mount(d)
}

// mount chooses the scanner.
func (s *Study) mount(d *dice) {
	m, v := &s.scanner, s.variety
	m.collar, m.cradle = d.chance(0.4), d.chance(0.7)
	if d.chance(v.fillings) {
		m.metal = s.skull.fillings(d)
	}
	m.kernel, m.gain = newKernel(d, s.pixelMM, v)
	m.noiseHU, m.streakHU = v.noiseHU.draw(d), v.streakHU.draw(d)
	m.tableR = v.tableR.draw(d)
	t := s.spine.section(s.spine.frames[t3].origin.z)
	_, back := t.world(0, s.outline.back.at(10)+8)
	m.tableY = back
}

// Slices returns the number of slices.
func (s *Study) Slices() int { return s.count }

// Fractured says which of C1–C7 are broken.
func (s *Study) Fractured() [7]bool { return s.broken }

func (s *Study) sliceZ(z int) float64 { return s.corner.z - float64(z)*s.sliceMM }

// Slice renders slice z, 0 … Slices()-1: Hounsfield units and labels, each [rows, columns], the caller's to keep.
func (s *Study) Slice(z int) (hu []int16, labels []uint8) {
	c := s.canvases.Get().(*canvas)
	defer s.canvases.Put(c)
	c.begin(s, z)
	c.paintTable(s)
	c.paintBody(s)
	c.paintOutside(s)
	full := !s.simple.on
	if full || s.simple.tissue {
		c.paintOrgans(s)
		c.paintCanal(s)
	}
	if full || s.simple.chest {
		c.paintChest(s)
	}
	switch {
	case full || s.simple.head == fullHead:
		c.paintHead(s)
	case s.simple.head == shellHead:
		c.paintShell(s)
	}
	if full || s.simple.airway {
		c.paintAirway(s)
	}
	if full || s.simple.tissue {
		c.paintThroat(s)
	}
	c.paintSpine(s)
	c.paintImplants(s)
	c.paintMetal(s)
	c.expose(s, z)
	hu = make([]int16, len(c.hu))
	for i, v := range c.hu {
		hu[i] = int16(max(s.floor, min(s.ceiling, math.Floor(float64(v)+0.5))))
	}
	labels = make([]uint8, len(c.label))
	copy(labels, c.label)
	return hu, labels
}

func popcount(x uint64) int { return bits.OnesCount64(x) }

// wide is half the body's width at a level.
func (o *outline) wide(level float64) float64 {
	w := o.width.at(level)
	if level > 5.6 {
		w = max(w, o.shoulder.at(level))
	}
	return w
}
