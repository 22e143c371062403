package augment

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Slices are options of augmentation of a vertebra's slices, uint8 [slices, Planes, edge, edge]. As with Options, an operation is off where
// its probability (P) or its extent is zero. Definitions are albumentations' (Buslaev et al. 2020, doi:10.3390/info11020125) unless it says
// otherwise; what a map leads to from outside of a slice is the slice mirrored about its outermost pixels (OpenCV's BORDER_REFLECT_101).
//
// The last plane is the vertebra's mask. It goes wherever the others go, but its values are no grey levels: tone, blur and noise leave it alone.
type Slices struct {
	// FlipRows and FlipColumns are the probabilities of a flip front to back and left to right, Transpose that of
	// rows becoming columns.
	FlipRows, FlipColumns, Transpose float64

	// Shift is the greatest shift along each axis, as a share of the side; Scale the most that is added to or taken from the factor
	// by which a slice grows; Rotate the greatest angle, in degrees (ShiftScaleRotate).
	MoveP, Shift, Scale, Rotate float64

	// Optical is the greatest coefficient of radial distortion, and Grid as in Options. One of those that are not zero is drawn. GridCells 0
	// means 5.
	DistortP, Optical, Grid float64
	GridCells               int

	// Brightness is the most that is added or taken, as a share of the range. Contrast is the greatest factor, above 1, by which the distance
	// from the middle of the range grows or shrinks; Gamma the greatest exponent, or its inverse. Both are log-uniform.
	ToneP, Brightness, Contrast, Gamma float64

	// Motion, Median, Gaussian and Noise say how likely each is when one is drawn, by their shares of their sum: a line of 2 or 3
	// pixels' mean, the median of 3 x 3, the binomial 3 x 3 (1 2 1), and Gaussian noise with a variance drawn uniformly between the squares of
	// two deviations, shares of the range.
	SpoilP                          float64
	Motion, Median, Gaussian, Noise float64
	NoiseFrom, NoiseTo              float64

	// Cutout is the side of a square hole, as a share of the slice's. It is zero in all planes.
	CutoutP, Cutout float64

	// MoveEach, ToneEach and SpoilEach let each slice draw its own: of flips, move, distortion and hole; of tone; of blur and noise. Else a
	// vertebra's slices share one draw; noise is every pixel's own in any case.
	MoveEach, ToneEach, SpoilEach bool

	// ShuffleSlices is the probability that a vertebra's slices come in another order.
	ShuffleSlices float64
	// ShuffleBones is the probability that a patient's vertebrae come in another order, and DropBone that one of several is taken away, as
	// though it had not been found. See Bones.
	ShuffleBones, DropBone float64
}

// Planes is the number of a slice's planes: five neighbours' grey levels, and the mask.
const Planes = 6

// MethodSlices returns the augmentation of the RSNA 2022 first place's classifiers. Each slice draws its own. There the mask is brightened and
// blurred like the others, and blur comes between the two maps, which are one here.
func MethodSlices() Slices {
	return Slices{
		FlipRows: 0.5, FlipColumns: 0.5, Transpose: 0.5, MoveP: 0.7, Shift: 0.3, Scale: 0.3, Rotate: 45, MoveEach: true,
		DistortP: 0.5, Optical: 1, Grid: 1, ToneP: 0.7, Brightness: 0.1, ToneEach: true,
		SpoilP: 0.5, Motion: 1, Median: 1, Gaussian: 1, Noise: 1, NoiseFrom: math.Sqrt(3) / 255, NoiseTo: 3.0 / 255, SpoilEach: true,
		CutoutP: 0.5, Cutout: 0.5, ShuffleSlices: 0.2, ShuffleBones: 0.2,
	}
}

// RecommendedSlices returns what this project trains its own classifiers with: only such changes as another patient or another scanner
// might make.
//   - All slices move together, or a fracture line would not go on from slice to slice, which is what the LSTM is there to follow.
//   - Left and right are alike, front and back are not: arches do not look like bodies.
//   - A crop is cut to its vertebra: a shift of a tenth keeps it in sight, where three tenths cut it in half.
//   - No hole. A fracture may show in a few pixels of a few slices; a hole over it leaves a label that nothing in the crop explains.
//   - Each slice has a tone of its own, as each was scaled between the extremes of its own five neighbours.
//   - No median: it wipes out lines of a pixel, and so a fracture.
func RecommendedSlices() Slices {
	return Slices{
		FlipColumns: 0.5, MoveP: 0.7, Shift: 0.1, Scale: 0.15, Rotate: 15,
		DistortP: 0.3, Grid: 0.15,
		ToneP: 0.7, Brightness: 0.1, Contrast: 1.25, Gamma: 1.25, ToneEach: true,
		SpoilP: 0.4, Gaussian: 1, Noise: 2, NoiseTo: 0.03,
		ShuffleSlices: 0.2, ShuffleBones: 0.2, DropBone: 0.1,
	}
}

// Check says which option makes no sense.
func (o *Slices) Check() error {
	for _, p := range []option{
		{"FlipRows", o.FlipRows}, {"FlipColumns", o.FlipColumns}, {"Transpose", o.Transpose}, {"MoveP", o.MoveP}, {"DistortP", o.DistortP},
		{"ToneP", o.ToneP}, {"SpoilP", o.SpoilP}, {"CutoutP", o.CutoutP}, {"ShuffleSlices", o.ShuffleSlices}, {"ShuffleBones", o.ShuffleBones},
		{"DropBone", o.DropBone}, {"Shift", o.Shift}, {"Optical", o.Optical}, {"Grid", o.Grid}, {"Brightness", o.Brightness},
		{"NoiseFrom", o.NoiseFrom}, {"NoiseTo", o.NoiseTo}, {"Cutout", o.Cutout},
	} {
		if err := p.checkShare(); err != nil {
			return err
		}
	}
	for _, f := range []option{{"Contrast", o.Contrast}, {"Gamma", o.Gamma}} {
		if err := f.checkFactor(); err != nil {
			return err
		}
	}
	for _, s := range []float64{o.Motion, o.Median, o.Gaussian, o.Noise} {
		if !(s >= 0 && s <= 1e6) {
			return fmt.Errorf("augment: a share %v of Motion, Median, Gaussian or Noise is not from 0 to 1,000,000", s)
		}
	}
	if !(o.Scale >= 0 && o.Scale <= 0.9) || !(o.Rotate >= 0 && o.Rotate <= 180) || o.GridCells < 0 || o.NoiseFrom > o.NoiseTo {
		return fmt.Errorf("augment: Scale %v must be at most 0.9, Rotate %v at most 180 degrees, GridCells %d not negative, NoiseFrom %v not above NoiseTo %v",
			o.Scale, o.Rotate, o.GridCells, o.NoiseFrom, o.NoiseTo)
	}
	return nil
}

// maxEdge keeps a pixel's place and its weights in 32 bits.
const maxEdge = 256

// Apply returns a new vertebra of src, [slices, Planes, edge, edge], in dst's memory where that is large enough; it must not be src's.
// Apply starts no goroutine, and may be called by many at a time.
func (o *Slices) Apply(dst, src []uint8, edge int, seed uint64) ([]uint8, error) {
	if edge < 2 || edge > maxEdge || len(src)%(Planes*edge*edge) != 0 {
		return nil, fmt.Errorf("augment: %d bytes are not slices of %d planes of %d x %d pixels, 2 to %d a side", len(src), Planes, edge, edge, maxEdge)
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	dst = room(dst, len(src))
	size := Planes * edge * edge
	order := o.order(len(src)/size, seed)
	w := sliceWorks.Get().(*sliceWork)
	defer sliceWorks.Put(w)
	for k, from := range order {
		to, out := src[from*size:][:size], dst[k*size:][:size]
		seeds := [3]uint64{seed, seed, seed}
		for i, each := range [3]bool{o.MoveEach, o.ToneEach, o.SpoilEach} {
			if each {
				seeds[i] = Part(seed, from)
			}
		}
		if k == 0 || o.MoveEach {
			w.draw(o, edge, seeds[0])
		}
		if k == 0 || o.ToneEach {
			o.tone(&w.tones, seeds[1])
		}
		w.resample(out, to, edge)
		w.spoil(o, out, edge, seeds[2], Part(seed, from))
		if h := w.hole; h.rows > 0 {
			for plane := range Planes {
				for r := range h.rows {
					clear(out[plane*edge*edge+(h.row+r)*edge+h.column:][:h.columns])
				}
			}
		}
	}
	return dst, nil
}

// Part returns the seed of a part of a sample: a slice of a vertebra, a vertebra of a patient.
func Part(seed uint64, number int) uint64 {
	return scramble(seed + (uint64(number)+1)*0x9e3779b97f4a7c15)
}

// order draws the order of slices.
func (o *Slices) order(n int, seed uint64) []int {
	r := stream(seed, shuffling)
	if r.Float64() < o.ShuffleSlices {
		return r.Perm(n)
	}
	return inOrder(n)
}

func inOrder(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// Bones draws what becomes of a patient's vertebrae, of which those found are true: where the k-th comes from, and which one is taken away, or
// −1. The last one left is not.
func (o *Slices) Bones(found []bool, seed uint64) (order []int, dropped int) {
	order, dropped = inOrder(len(found)), -1
	if r := stream(seed, shufflingBones); r.Float64() < o.ShuffleBones {
		order = r.Perm(len(found))
	}
	var there []int
	for i, ok := range found {
		if ok {
			there = append(there, i)
		}
	}
	if r := stream(seed, dropping); r.Float64() < o.DropBone && len(there) > 1 {
		dropped = there[r.IntN(len(there))]
	}
	return order, dropped
}

// The streams of random numbers of slices alone. See stream.
const (
	shuffling = iota + 101
	shufflingBones
	dropping
	spoiling
	cutting
)

// tone draws what becomes of each grey level.
func (o *Slices) tone(table *[256]uint8, seed uint64) {
	for i := range table {
		table[i] = uint8(i)
	}
	r := stream(seed, toning)
	if !(r.Float64() < o.ToneP) {
		return
	}
	toneTable(table, within(r, o.Brightness), factor(r, o.Contrast), factor(r, o.Gamma))
}

// toneTable stretches the range about its middle, adds, and raises to a power.
func toneTable(table *[256]uint8, add, contrast, gamma float64) {
	for i := range table {
		v := 0.5 + float64((float64(i)/255-0.5)*contrast) + add
		v = max(0, min(1, v))
		if gamma != 1 {
			v = math.Pow(v, gamma)
		}
		table[i] = uint8(math.Floor(float64(v*255) + 0.5))
	}
}

// pick draws an index by its share.
func pick(r *rand.Rand, shares ...float64) int {
	sum := 0.0
	for _, s := range shares {
		sum += s
	}
	at := r.Float64() * sum
	for i, s := range shares {
		if at -= s; at < 0 {
			return i
		}
	}
	return -1
}
