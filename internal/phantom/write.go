package phantom

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/volume"
)

// Options of Write. The zero value of a field means its default.
type Options struct {
	Studies int // 1
	Slices  int // of each study; 300
	// SlicesTo, if it is more than Slices, makes every study draw its number of slices between the two.
	SlicesTo int
	Masks    int    // how many studies, the first ones, get a segmentation; none
	Seed     uint64 // equal seeds give equal files
	// Syntax is how pixels are stored: "explicit", "implicit", "jpeg-lossless", or "mixed" (the default), which goes
	// round all three.
	Syntax string
	Size   int // rows and columns; 512
	SizeTo int // if more than Size, every study draws its size between the two
	// Wide makes patients, poses, scanners and fields of view differ much more, and studies be stored in more ways:
	// for training, not for show. Its studies are others than those without, whatever the seed.
	Wide bool
	// Fractured is the chance of each vertebra to be broken: to train on. 0 is as in the RSNA's training set, about one in ten,
	// and about every second patient.
	Fractured float64
	Workers   int // slices rendered at a time; GOMAXPROCS
	// Progress, when set, is told of every study written. It is never called twice at a time.
	Progress func(done, total int)
}

// ErrOptions is wrapped by errors about options that no data set can be made of.
var ErrOptions = errors.New("phantom: options")

// Summary is what Write wrote.
type Summary struct {
	Studies, Slices, Masks int
	Fractured              int // studies with a fracture
	Bytes                  int64
	StudyUIDs              []string // in order of index
}

const (
	uidRoot   = "1.2.826.0.1.3680043."
	paddingHU = -2000 // what some scanners put outside the circle of reconstruction
)

// format is how a study's slices are stored.
type format struct {
	syntax dicom.TransferSyntax
	first  int // number of slice 0
	storing
}

// Write makes studies and writes them below dir: train_images/<uid>/<n>.dcm, segmentations/<uid>.nii, train.csv.
// A study that exists is replaced. On an error, what is written so far stays.
func Write(ctx context.Context, dir string, opts Options) (Summary, error) {
	opts, err := opts.complete()
	if err != nil {
		return Summary{}, err
	}
	var sum Summary
	rows := [][]string{{"StudyInstanceUID", "patient_overall", "C1", "C2", "C3", "C4", "C5", "C6", "C7"}}
	for _, folder := range []string{"train_images", "segmentations"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return sum, fmt.Errorf("phantom: %w", err)
		}
	}
	for index := range opts.Studies {
		s := opts.study(index)
		written, err := s.write(ctx, dir, index < opts.Masks, s.format(opts.Syntax), opts.Workers)
		if err != nil {
			return sum, fmt.Errorf("phantom: study %d of seed %d: %w", index, opts.Seed, err)
		}
		row := s.labels()
		rows = append(rows, row)
		sum.Studies++
		sum.Slices += s.files()
		sum.Bytes += written
		sum.StudyUIDs = append(sum.StudyUIDs, s.UID())
		if index < opts.Masks {
			sum.Masks++
		}
		if row[1] == "1" {
			sum.Fractured++
		}
		if opts.Progress != nil {
			opts.Progress(sum.Studies, opts.Studies)
		}
	}
	var table bytes.Buffer
	if err := csv.NewWriter(&table).WriteAll(rows); err != nil {
		return sum, fmt.Errorf("phantom: train.csv: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "train.csv"), table.Bytes(), 0o644); err != nil {
		return sum, fmt.Errorf("phantom: %w", err)
	}
	return sum, nil
}

func (o Options) complete() (Options, error) {
	if o.Studies < 0 || min(o.Slices, o.SlicesTo) < 0 || o.Masks < 0 || min(o.Size, o.SizeTo) < 0 || o.Workers < 0 {
		return o, fmt.Errorf("%w: numbers of studies, slices, masks, rows and workers must not be negative", ErrOptions)
	}
	if !(o.Fractured >= 0 && o.Fractured <= 1) {
		return o, fmt.Errorf("%w: fractured is %g, must be a share from 0 to 1", ErrOptions, o.Fractured)
	}
	if o.Studies == 0 {
		o.Studies = 1
	}
	if o.Slices == 0 {
		o.Slices = 300
	}
	if o.Size == 0 {
		o.Size = 512
	}
	o.SlicesTo, o.SizeTo = max(o.Slices, o.SlicesTo), max(o.Size, o.SizeTo)
	if o.Size < 32 || o.SizeTo > 2048 {
		return o, fmt.Errorf("%w: size %d to %d, must be 32 to 2048", ErrOptions, o.Size, o.SizeTo)
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	switch o.Syntax {
	case "":
		o.Syntax = "mixed"
	case "mixed", "explicit", "implicit", "jpeg-lossless":
	default:
		return o, fmt.Errorf("%w: syntax %q, must be explicit, implicit, jpeg-lossless or mixed", ErrOptions, o.Syntax)
	}
	return o, nil
}

// study draws the study of an index.
func (o *Options) study(index int) *Study {
	d := newDice(o.Seed, uint64(index), 0x72616e6765)
	slices, size := o.Slices, o.Size
	if o.SlicesTo > o.Slices { // as often twice as half as many
		slices = int(math.Round(logUniform{lo: float64(o.Slices), hi: float64(o.SlicesTo)}.draw(d)))
	}
	if o.SizeTo > o.Size {
		size = min(o.SizeTo, o.Size+8*d.pick((o.SizeTo-o.Size)/8+1))
	}
	v := &usual
	if o.Wide {
		v = &wide
	}
	return newStudy(v, o.Seed, index, size, slices, o.Fractured)
}

// UID is the study's, the same for every size and number of slices.
func (s *Study) UID() string {
	return uidRoot + strconv.FormatUint(newDice(s.seed, uint64(s.index), 0x756964+s.variety.salt).next()%1e12+1, 10)
}

// files is the number of slices that are written.
func (s *Study) files() int {
	n := 0
	for z := range s.count {
		if s.written(z) {
			n++
		}
	}
	return n
}

func (s *Study) format(syntax string) format {
	d := newDice(s.seed, uint64(s.index), 0x666f726d6174)
	f := format{first: 1, storing: storing{signed: s.index%2 == 1, intercept: -1024, bits: 12}}
	if f.signed {
		f.intercept, f.bits = 0, 16
		if d.chance(0.5) {
			f.padding, f.radius = paddingHU, 1
		}
	}
	if s.variety.wide {
		f.storing = s.storing
	}
	if d.chance(0.2) { // as in the data set, some start elsewhere
		f.first = d.pick(2) * d.pick(60)
	}
	if syntax == "mixed" {
		syntax = []string{"explicit", "implicit", "jpeg-lossless"}[s.index%3]
	}
	f.syntax = map[string]dicom.TransferSyntax{
		"explicit":      dicom.ExplicitLittleEndian,
		"implicit":      dicom.ImplicitLittleEndian,
		"jpeg-lossless": dicom.JPEGLosslessSV1,
	}[syntax]
	return f
}

// labels is the study's row of train.csv.
func (s *Study) labels() []string {
	row := []string{s.UID(), "0"}
	for _, broken := range s.broken {
		if broken {
			row[1] = "1"
			row = append(row, "1")
		} else {
			row = append(row, "0")
		}
	}
	return row
}

// write writes the slices and, when masked, the segmentation, and returns the number of bytes.
func (s *Study) write(ctx context.Context, dir string, masked bool, f format, workers int) (int64, error) {
	folder := filepath.Join(dir, "train_images", s.UID())
	if err := os.RemoveAll(folder); err != nil {
		return 0, err
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return 0, err
	}
	plane := s.size * s.size
	var mask []uint8
	if masked {
		mask = make([]uint8, plane*s.count)
	}
	sizes := make([]int64, s.count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for z := range s.count {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			hu, labels := s.Slice(z)
			if masked {
				if s.variety.wide && f.padding != 0 { // what is not shown is not labelled
					blank(labels, s.size, f.radius, 0)
				}
				s.store(mask, labels, z)
			}
			if !s.written(z) {
				return nil
			}
			file, err := s.encode(hu, z, f)
			if err != nil {
				return err
			}
			sizes[z] = int64(len(file))
			return os.WriteFile(filepath.Join(folder, strconv.Itoa(f.first+z)+".dcm"), file, 0o644)
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	var total int64
	for _, n := range sizes {
		total += n
	}
	maskFile := filepath.Join(dir, "segmentations", s.UID()+".nii")
	if !masked {
		// One from an earlier run may be of other slices.
		if err := os.Remove(maskFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return total, err
		}
		return total, nil
	}
	var out bytes.Buffer
	image := nifti.Image{Shape: []int{s.size, s.size, s.count}, DType: nifti.Uint8, Affine: s.maskAffine(), Data: mask}
	if err := nifti.Write(&out, &image); err != nil {
		return total, err
	}
	total += int64(out.Len())
	return total, os.WriteFile(maskFile, out.Bytes(), 0o644)
}

// store puts a slice's labels where the data set's masks have them: columns first, rows from the back to the front,
// slices from foot to head.
func (s *Study) store(mask, labels []uint8, z int) {
	n := s.size
	out := mask[(s.count-1-z)*n*n:][:n*n]
	for row := range n {
		copy(out[(n-1-row)*n:][:n], labels[row*n:][:n])
	}
}

// maskAffine is the mask's map to RAS.
func (s *Study) maskAffine() volume.Affine {
	p, last := s.pixelMM, float64(s.size-1)
	return volume.Affine{
		{-p, 0, 0, -s.corner.x},
		{0, p, 0, -(s.corner.y + last*p)},
		{0, 0, s.sliceMM, s.sliceZ(s.count - 1)},
	}
}

// encode makes a DICOM file of slice z.
func (s *Study) encode(hu []int16, z int, f format) ([]byte, error) {
	uid := s.UID()
	round := func(v float64) float64 { return math.Round(v*1e4) / 1e4 }
	ct := dicom.CT{
		StudyUID: uid, SeriesUID: uid + ".1", SOPInstanceUID: uid + ".1." + strconv.Itoa(z+1), FrameOfReferenceUID: uid + ".2",
		InstanceNumber: f.first + z, Manufacturer: "CSPINE", Kernel: "BONE", BodyPart: "CSPINE",
		Rows: s.size, Columns: s.size,
		PositionMM:             [3]float64{s.corner.x, s.corner.y, round(s.sliceZ(z))},
		Orientation:            [6]float64{1, 0, 0, 0, 1, 0},
		SpacingMM:              [2]float64{s.pixelMM, s.pixelMM},
		ThicknessMM:            s.sliceMM,
		SpacingBetweenSlicesMM: s.sliceMM,
		KVP:                    120,
		WindowCentre:           450, WindowWidth: 1800,
		Slope: 1, Intercept: f.intercept, BitsStored: f.bits, Signed: f.signed,
		Pix: make([]uint16, len(hu)),
	}
	zero := int(f.intercept)
	for i, v := range hu {
		ct.Pix[i] = uint16(int(v) - zero)
	}
	if f.padding != 0 {
		padding := int32(f.padding - zero)
		ct.Padding = &padding
		blank(ct.Pix, s.size, f.radius, uint16(padding))
	}
	return ct.Encode(f.syntax)
}

// blank sets what lies outside the circle of reconstruction, of a radius in halves of an image of n rows.
func blank[T any](pix []T, n int, radius float64, value T) {
	limit := int(radius * radius * float64(n*n))
	for row := range n {
		for column := range n {
			x, y := 2*column-n+1, 2*row-n+1
			if x*x+y*y > limit {
				pix[row*n+column] = value
			}
		}
	}
}
