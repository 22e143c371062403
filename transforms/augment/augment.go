// Package augment makes new training samples of known ones: it moves, bends, dims and blurs a volume together
// with its label map (Options), or the slices of a vertebra's crop together with their mask (Slices).
//
// Invariants:
//   - The result must depend on the options, the sample and the seed alone.
//   - Whatever moves or bends is one map from the result's voxels or pixels to the sample's, and is followed once: linear
//     between them for grey values and for a crop's mask, the nearest voxel for a volume's labels.
//   - Labels keep their values, however a volume is flipped: C3 stays C3. What comes from outside of a
//     volume is background; a slice is mirrored.
//   - A fracture's label goes with its crop, wherever that goes.
//   - Each operation draws from a stream of its own, so that switching one on leaves the others' draws as
//     they are.
package augment

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
)

// Image is a volume with its label map: C order, [rows, columns, slices].
type Image struct {
	Shape [3]int
	// SpacingMM is the distance of neighbouring voxels along each axis, so that rotations keep angles. The zero
	// value means cubes.
	SpacingMM [3]float64
	// Volume has intensities, Labels 0 for background and a number for each class.
	Volume, Labels []uint8
}

// Options of augmentation. An operation is off where its probability (P) or its extent is zero, so that the
// zero value changes nothing.
type Options struct {
	// FlipRows, FlipColumns and FlipSlices are the probabilities of a flip along each axis: front to back,
	// left to right, head to foot.
	FlipRows, FlipColumns, FlipSlices float64

	// Translate is the greatest shift along each axis, as a share of its length.
	TranslateP, Translate float64

	// Grid is the distortion of a grid of GridCells cells a side (0 means 5): each cell is longer or shorter
	// by up to this share, along each axis by itself. The definition is albumentations' GridDistortion's
	// (Buslaev et al. 2020, doi:10.3390/info11020125), which volumentations and MONAI took over for
	// volumes; other than there a distortion of zero is the identity.
	GridP, Grid float64
	GridCells   int

	// RotateRows, RotateColumns and RotateSlices are the greatest angles, in degrees, about the axis of that
	// name: nodding sideways, nodding, turning the image in its plane.
	RotateP                                 float64
	RotateRows, RotateColumns, RotateSlices float64

	// Zoom is the greatest factor, above 1, by which each axis by itself grows or shrinks, log-uniform. ZoomAll is the
	// same for all axes together.
	ZoomP, Zoom, ZoomAll float64

	// Crop is the least share of the field of view, in the plane, that is left of it: what a smaller field
	// of view shows. 0 is off.
	CropP, Crop float64

	// LowSlices is the least number of slices that a study may seem to have had: slices are repeated as
	// picking as many as there are from fewer does.
	LowSlicesP float64
	LowSlices  int

	// Rescale is the greatest factor, above 1, by which intensities are multiplied or divided, log-uniform:
	// scaling by least and greatest does so where there is metal, or none.
	RescaleP, Rescale float64
	// Contrast is the same about the volume's mean. Brightness is the most that is added or taken, as a
	// share of the range. Gamma is the greatest exponent, above 1, or its inverse, log-uniform.
	ToneP, Contrast, Brightness, Gamma float64

	// Blur is the greatest deviation, in voxels, of a Gaussian.
	BlurP, Blur float64
	// Noise is the greatest deviation, as a share of the range, of Gaussian noise.
	NoiseP, Noise float64

	// Edge repeats the volume's outermost voxels where the map leads outside; else there is 0. Labels are
	// background there in any case.
	Edge bool
}

// Method returns the augmentation of the RSNA 2022 first place's segmenter: flips left to right and head to foot, shifts
// and grid distortion.
func Method() Options {
	return Options{FlipColumns: 0.5, FlipSlices: 0.5, TranslateP: 0.7, Translate: 0.3, GridP: 0.5, Grid: 0.01}
}

// Recommended returns what this project trains its own segmenter with: only such changes as another patient or another
// scanner might make.
func Recommended() Options {
	return Options{
		FlipColumns: 0.5, TranslateP: 0.7, Translate: 0.15, GridP: 0.5, Grid: 0.08,
		RotateP: 0.6, RotateRows: 10, RotateColumns: 12, RotateSlices: 15, ZoomP: 0.6, Zoom: 1.15, ZoomAll: 1.25,
		CropP: 0.15, Crop: 0.6, LowSlicesP: 0.1, LowSlices: 40,
		RescaleP: 0.4, Rescale: 2, ToneP: 0.5, Contrast: 1.3, Brightness: 0.06, Gamma: 1.4,
		BlurP: 0.15, Blur: 0.9, NoiseP: 0.3, Noise: 0.05,
	}
}

// Check says which option makes no sense.
func (o *Options) Check() error {
	for _, p := range []option{
		{"FlipRows", o.FlipRows}, {"FlipColumns", o.FlipColumns}, {"FlipSlices", o.FlipSlices}, {"TranslateP", o.TranslateP},
		{"GridP", o.GridP}, {"RotateP", o.RotateP}, {"ZoomP", o.ZoomP}, {"CropP", o.CropP}, {"LowSlicesP", o.LowSlicesP},
		{"RescaleP", o.RescaleP}, {"ToneP", o.ToneP}, {"BlurP", o.BlurP}, {"NoiseP", o.NoiseP},
		{"Translate", o.Translate}, {"Crop", o.Crop}, {"Brightness", o.Brightness}, {"Noise", o.Noise},
	} {
		if err := p.checkShare(); err != nil {
			return err
		}
	}
	for _, f := range []option{{"Zoom", o.Zoom}, {"ZoomAll", o.ZoomAll}, {"Rescale", o.Rescale}, {"Contrast", o.Contrast}, {"Gamma", o.Gamma}} {
		if err := f.checkFactor(); err != nil {
			return err
		}
	}
	for _, a := range []float64{o.RotateRows, o.RotateColumns, o.RotateSlices} {
		if !(a >= 0 && a <= 180) {
			return fmt.Errorf("augment: a rotation of %v degrees, not from 0 to 180", a)
		}
	}
	if !(o.Grid >= 0 && o.Grid < 1) || o.GridCells < 0 || o.LowSlices < 0 || !(o.Blur >= 0 && o.Blur <= 8) {
		return fmt.Errorf("augment: Grid %v must be less than 1, Blur %v at most 8 voxels, GridCells %d and LowSlices %d not negative", o.Grid, o.Blur, o.GridCells, o.LowSlices)
	}
	return nil
}

// option is one that is set to a number.
type option struct {
	name  string
	value float64
}

// checkShare refuses what is no probability, and no share.
func (o option) checkShare() error {
	if !(o.value >= 0 && o.value <= 1) {
		return fmt.Errorf("augment: %s is %v, not from 0 to 1", o.name, o.value)
	}
	return nil
}

func (o option) checkFactor() error {
	if o.value != 0 && !(o.value >= 1 && o.value <= 100) {
		return fmt.Errorf("augment: %s is %v, not 0 (off) or a factor from 1 to 100", o.name, o.value)
	}
	return nil
}

// Seed returns the seed of one sample in one epoch of a training.
func Seed(training uint64, epoch int, studyUID string) uint64 {
	b := binary.BigEndian.AppendUint64(nil, training)
	b = binary.BigEndian.AppendUint64(b, uint64(epoch))
	sum := sha256.Sum256(append(b, studyUID...))
	return binary.BigEndian.Uint64(sum[:])
}

// Apply makes dst of src. Dst's memory is used where it is large enough; it must not be src's. Apply may be
// called by many goroutines at a time.
func (o *Options) Apply(dst, src *Image, seed uint64) error {
	n := src.Shape
	voxels := 1
	for _, d := range n {
		if d < 1 || d > maxAxis {
			return fmt.Errorf("augment: shape %v: an axis must have 1 to %d voxels", n, maxAxis)
		}
		voxels *= d
	}
	if len(src.Volume) != voxels || len(src.Labels) != voxels {
		return fmt.Errorf("augment: shape %v has %d voxels, the volume has %d and the labels %d", n, voxels, len(src.Volume), len(src.Labels))
	}
	if err := o.Check(); err != nil {
		return err
	}
	dst.Shape, dst.SpacingMM = n, src.SpacingMM
	dst.Volume, dst.Labels = room(dst.Volume, voxels), room(dst.Labels, voxels)
	w := works.Get().(*work)
	defer works.Put(w)
	m := o.drawMap(n, src.SpacingMM, seed)
	w.resample(dst, src, m, o.Edge)
	tone, changed := o.drawTone(src.Volume, seed)
	if changed {
		for i, v := range dst.Volume {
			dst.Volume[i] = tone[v]
		}
	}
	if r := stream(seed, blurring); o.Blur > 0 && r.Float64() < o.BlurP {
		w.blur(dst.Volume, n, o.Blur*r.Float64())
	}
	if r := stream(seed, noising); o.Noise > 0 && r.Float64() < o.NoiseP {
		addNoise(dst.Volume, o.Noise*255*r.Float64(), r.Uint64())
	}
	return nil
}

// maxAxis keeps coordinates within fixed point.
const maxAxis = 1 << 14

func room(b []uint8, n int) []uint8 {
	if cap(b) < n {
		return make([]uint8, n)
	}
	return b[:n]
}

// The streams of random numbers.
const (
	flipping = iota + 1
	translating
	bending
	rotating
	zooming
	cropping
	thinning
	rescaling
	toning
	blurring
	noising
)

func stream(seed, of uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, of)) }

// within is uniform from -most to most.
func within(r *rand.Rand, most float64) float64 { return most * (2*r.Float64() - 1) }

// factor is log-uniform from 1/most to most; 0 stands for 1.
func factor(r *rand.Rand, most float64) float64 {
	return math.Pow(max(1, most), 2*r.Float64()-1)
}

// mapping leads from the result's voxels to the sample's: axis by axis through bend, then through the affine map.
type mapping struct {
	bend   [3][]float64
	matrix [3][3]float64
	shift  [3]float64
}

// drawMap draws where each voxel comes from: p = c + F·R·Z·(bend(q) − c) + t, with the middle c, the flips F,
// the rotation R in millimetres, the zoom Z and the translation t.
func (o *Options) drawMap(n [3]int, mm [3]float64, seed uint64) mapping {
	m := mapping{matrix: [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}
	if r := stream(seed, rotating); r.Float64() < o.RotateP {
		m.rotate(mm, [3]float64{within(r, o.RotateRows), within(r, o.RotateColumns), within(r, o.RotateSlices)})
	}
	if r := stream(seed, zooming); r.Float64() < o.ZoomP {
		all := factor(r, o.ZoomAll)
		for axis := range 3 {
			m.scale(axis, all*factor(r, o.Zoom))
		}
	}
	var t [3]float64
	if r := stream(seed, cropping); o.Crop > 0 && r.Float64() < o.CropP {
		share := 1 - (1-o.Crop)*r.Float64()
		for axis := range 2 {
			m.scale(axis, share)
			t[axis] = within(r, (1-share)/2*float64(n[axis]))
		}
	}
	if r := stream(seed, translating); r.Float64() < o.TranslateP {
		for axis := range t {
			t[axis] += within(r, o.Translate*float64(n[axis]))
		}
	}
	flips := stream(seed, flipping)
	for axis, p := range [3]float64{o.FlipRows, o.FlipColumns, o.FlipSlices} {
		if flips.Float64() < p {
			for j := range m.matrix[axis] {
				m.matrix[axis][j] = -m.matrix[axis][j]
			}
		}
	}
	for axis := range 3 {
		middle := float64(n[axis]-1) / 2
		m.shift[axis] = middle + t[axis]
		for j := range 3 {
			m.shift[axis] -= m.matrix[axis][j] * float64(n[j]-1) / 2
		}
	}
	grid := stream(seed, bending)
	bent := grid.Float64() < o.GridP && o.Grid > 0
	for axis := range 3 {
		m.bend[axis] = make([]float64, n[axis])
		for i := range m.bend[axis] {
			m.bend[axis][i] = float64(i)
		}
	}
	if r := stream(seed, thinning); o.LowSlices > 1 && o.LowSlices < n[2] && r.Float64() < o.LowSlicesP {
		thin(m.bend[2], o.LowSlices+r.IntN(n[2]-o.LowSlices))
	}
	if bent {
		for axis := range 3 {
			distort(m.bend[axis], o.GridCells, o.Grid, grid)
		}
	}
	return m
}

// rotate puts a rotation by these angles, in degrees, about the axes in turn, before what the matrix does.
func (m *mapping) rotate(mm, degrees [3]float64) {
	if mm == ([3]float64{}) {
		mm = [3]float64{1, 1, 1}
	}
	for axis, angle := range degrees {
		sin, cos := math.Sincos(angle * math.Pi / 180)
		a, b := (axis+1)%3, (axis+2)%3
		var turn [3][3]float64
		turn[axis][axis] = 1
		// In voxels: what is a circle in millimetres.
		turn[a][a], turn[a][b] = cos, -sin*mm[b]/mm[a]
		turn[b][a], turn[b][b] = sin*mm[a]/mm[b], cos
		m.multiply(turn)
	}
}

// scale multiplies what the matrix takes in along an axis.
func (m *mapping) scale(axis int, by float64) {
	for i := range m.matrix {
		m.matrix[i][axis] *= by
	}
}

func (m *mapping) multiply(by [3][3]float64) {
	var out [3][3]float64
	for i := range out {
		for j := range out[i] {
			for k := range by {
				out[i][j] += m.matrix[i][k] * by[k][j]
			}
		}
	}
	m.matrix = out
}

// thin makes an axis what it is when its slices are picked of m by quantiles (see package resample): some come
// several times.
func thin(axis []float64, m int) {
	last := float64(len(axis) - 1)
	for k := range axis {
		axis[k] = math.RoundToEven(axis[k]*float64(m-1)/last) * last / float64(m-1)
	}
}

// distort sends an axis through a grid whose cells have other lengths: the cells' ends move, and what lies between
// goes with them. Lengths are scaled so that together they are the axis' own (albumentations' normalized=True), or
// an axis might run backwards at its end.
func distort(axis []float64, cells int, most float64, r *rand.Rand) {
	n := len(axis)
	if cells == 0 {
		cells = 5
	}
	cell := n / cells
	if cell == 0 {
		return
	}
	var from, to []float64 // the cells' ends, the last cell being the rest
	at := 0.0
	for start := 0; start < n; start += cell {
		from, to = append(from, float64(start)), append(to, at)
		at += float64(min(cell, n-start)) * (1 + within(r, most))
	}
	if !(at > 0) {
		return
	}
	from, to = append(from, float64(n)), append(to, at)
	scale := float64(n) / at
	for i, q := range axis {
		k := min(int(q)/cell, len(from)-2)
		axis[i] = scale * (to[k] + (q-from[k])*(to[k+1]-to[k])/(from[k+1]-from[k]))
	}
}

var works = sync.Pool{New: func() any { return new(work) }}
