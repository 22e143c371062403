package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

// The reason codes of this step.
const (
	Empty            refusal.Code = "no_slices"
	Damaged          refusal.Code = "damaged_slice"
	NoGeometry       refusal.Code = "no_geometry"
	MixedOrientation refusal.Code = "mixed_orientation"
	MixedSize        refusal.Code = "mixed_size"
	NotAxial         refusal.Code = "not_axial"
	Unsupported      refusal.Code = "unsupported_pixels"
	MixedStudies     refusal.Code = "mixed_studies"
	MultiFrame       refusal.Code = "multi_frame"

	// These are warnings.
	NotDICOM          refusal.Code = "not_dicom"
	NotCT             refusal.Code = "not_ct"
	OtherSeries       refusal.Code = "other_series"
	DuplicatePosition refusal.Code = "duplicate_position"
	Gap               refusal.Code = "gap"
	UnevenSpacing     refusal.Code = "uneven_spacing"
	Tilt              refusal.Code = "gantry_tilt"
	UIDDiffers        refusal.Code = "uid_differs"
	NoUID             refusal.Code = "no_study_uid" // refused where the folder's name can't stand for it
)

// File is one file of a study's folder, or one frame of it: its header, or why there is none.
type File struct {
	Object source.Object // the key is relative to the study's folder
	Header *dicom.Header
	Err    error
}

// Options sets the thresholds of Build. The zero value is the default.
type Options struct {
	// MinSlices is the fewest slices a study may have; zero means 15, what one crop takes.
	MinSlices int
	// TiltDegrees is the angle from which tilt is reported; zero means 0.5.
	TiltDegrees float64
	// Uneven is the part of the median step by which a step may differ unreported; zero means 0.1.
	Uneven float64
	// SetAside are reasons for which a few files do not refuse the study: damaged_slice, unsupported_pixels, no_geometry. They are set
	// aside with a warning, as long as they are at most a tenth of the study's files.
	SetAside []refusal.Code
	// Refuse are warnings for which a study is refused all the same.
	Refuse []refusal.Code
}

// Check says what is wrong with options.
func (o *Options) Check() error {
	lenient, strict := []refusal.Code{Damaged, Unsupported, NoGeometry}, []refusal.Code{Damaged, Unsupported, NoGeometry, NotDICOM, NotCT, OtherSeries,
		DuplicatePosition, Gap, UnevenSpacing, Tilt, UIDDiffers, NoUID}
	for _, c := range o.SetAside {
		if !slices.Contains(lenient, c) {
			return fmt.Errorf("setaside %q is not one of %v", c, lenient)
		}
	}
	for _, c := range o.Refuse {
		if !slices.Contains(strict, c) {
			return fmt.Errorf("refuse %q is not one of %v", c, strict)
		}
	}
	return nil
}

func (o *Options) fill() {
	if o.MinSlices == 0 {
		o.MinSlices = 15
	}
	if o.TiltDegrees == 0 {
		o.TiltDegrees = 0.5
	}
	if o.Uneven == 0 {
		o.Uneven = 0.1
	}
}

// Build makes the index of one study from the headers of all files in its folder. Errors are
// *refusal.Error.
func Build(folder string, files []File, opts Options) (*Index, error) {
	opts.fill()
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(a.Object.Key, b.Object.Key) }) // frames of one file stay in their order
	x := &Index{Folder: folder}
	ct, err := x.separate(files, &opts)
	if err != nil {
		return nil, err
	}
	series := x.chooseSeries(ct)
	if bad := where(series, func(h *dicom.Header) bool { return !h.HasGeometry }); x.without(bad, len(series), NoGeometry, "without position or orientation", &opts) {
		series = slices.DeleteFunc(series, func(f File) bool { return !f.Header.HasGeometry })
	}
	if err := x.describe(series); err != nil {
		return nil, err
	}
	x.order(series)
	if len(x.Slices) < opts.MinSlices {
		return nil, refusal.New(Empty, "check that the whole series was transferred",
			"%d usable CT slices, at least %d are needed", len(x.Slices), opts.MinSlices).About(names(series)...)
	}
	x.measure(opts)
	for _, w := range x.Warnings {
		if slices.Contains(opts.Refuse, w.Code) {
			return nil, refusal.New(w.Code, "mend the study, or take "+string(w.Code)+" out of refuse in the configuration's [ingest]", "%s", w.Detail).About(w.Files...)
		}
	}
	return x, nil
}

// without sets bad files aside, of so many, where the options say so and they are few, and tells whether it did.
func (x *Index) without(bad []string, all int, code refusal.Code, detail string, opts *Options) bool {
	const few = 10 // a tenth
	if len(bad) == 0 || len(bad)*few > all || !slices.Contains(opts.SetAside, code) {
		return false
	}
	for _, key := range bad {
		x.SetAside = append(x.SetAside, SetAside{File: key, Code: code, Detail: detail})
	}
	x.warn(code, fmt.Sprintf("%d of %d files set aside: %s", len(bad), all, detail), bad)
	return true
}

// separate keeps the CT slices, sets aside what is no DICOM or no CT, and refuses damaged slices.
func (x *Index) separate(files []File, opts *Options) ([]File, error) {
	var ct []File
	var damaged, unread []string
	var detail string
	var unsupported *dicom.Error
	for _, f := range files {
		var de *dicom.Error
		switch {
		case f.Err == nil && f.Header.Modality != "CT":
			x.setAside(f, NotCT, "modality is not CT")
		case f.Err == nil:
			ct = append(ct, f)
		case errors.As(f.Err, &de) && de.Code == dicom.NotDICOM:
			x.setAside(f, NotDICOM, "")
		case errors.As(f.Err, &de) && (de.Code == dicom.NotCT || de.Code == dicom.NoPixels):
			x.setAside(f, NotCT, de.Detail)
		case errors.As(f.Err, &de) && (de.Code == dicom.UnsupportedSyntax || de.Code == dicom.UnsupportedPixels):
			if unsupported == nil {
				unsupported = de
			}
			unread = append(unread, f.Object.Key)
		case errors.As(f.Err, &de):
			damaged = append(damaged, f.Object.Key)
			if detail == "" {
				detail = de.Error()
			}
		default:
			return nil, fmt.Errorf("ingest: header of %s: %w", f.Object.Key, f.Err)
		}
	}
	if len(damaged) > 0 && !x.without(damaged, len(files), Damaged, detail, opts) {
		return nil, refusal.New(Damaged, "transfer these files again, or remove them from the study's folder to go on without them",
			"%d of %d files can't be read as DICOM; the first: %s", len(damaged), len(files), detail).About(damaged...)
	}
	if unsupported != nil && !x.without(unread, len(files), Unsupported, unsupported.Detail, opts) {
		return nil, refusal.New(Unsupported, unsupported.Remedy, "%d of %d files: %w", len(unread), len(files), unsupported).About(unread...)
	}
	if len(ct) == 0 {
		e := refusal.New(Empty, "point --data at the folder that holds the studies' folders", "no CT slice among %d files", len(files))
		for _, s := range x.SetAside {
			e.Files = append(e.Files, s.File)
		}
		return nil, e
	}
	return ct, nil
}

func (x *Index) setAside(f File, code refusal.Code, detail string) {
	x.SetAside = append(x.SetAside, SetAside{File: f.Object.Key, Code: code, Detail: detail})
}

// chooseSeries keeps the series with most slices that are not localizers; ties go to the lower UID.
func (x *Index) chooseSeries(ct []File) []File {
	count := map[string]int{}
	for _, f := range ct {
		if !localizer(f.Header) {
			count[f.Header.SeriesUID]++
		}
	}
	best := ""
	for uid, n := range count {
		if n > count[best] || n == count[best] && uid < best {
			best = uid
		}
	}
	var series []File
	for _, f := range ct {
		switch {
		case localizer(f.Header):
			x.setAside(f, OtherSeries, "a localizer")
		case f.Header.SeriesUID != best:
			x.setAside(f, OtherSeries, "belongs to another series than the one with most slices")
		default:
			series = append(series, f)
		}
	}
	return series
}

// identifier is what can stand for a study's UID.
var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$`)

func localizer(h *dicom.Header) bool { return slices.Contains(h.ImageType, "LOCALIZER") }

// describe fills what all slices must share, and refuses a series whose slices do not share it.
func (x *Index) describe(series []File) error {
	if len(series) == 0 {
		return refusal.New(Empty, "point --data at the folder that holds the studies' folders", "only localizers")
	}
	if bad := where(series, func(h *dicom.Header) bool { return !h.HasGeometry }); len(bad) > 0 {
		return refusal.New(NoGeometry, "export the series again with ImagePositionPatient and ImageOrientationPatient",
			"%d of %d slices lack a valid position or orientation", len(bad), len(series)).About(bad...)
	}
	first := series[0].Header
	x.StudyUID, x.SeriesUID = first.StudyUID, first.SeriesUID
	x.Rows, x.Columns = first.Pixels.Rows, first.Pixels.Columns
	x.Orientation, x.SpacingMM = first.Orientation, first.SpacingMM
	if bad := where(series, func(h *dicom.Header) bool { return h.StudyUID != x.StudyUID }); len(bad) > 0 {
		return refusal.New(MixedStudies, "keep the files of one study in one folder", "one series, but %d files of another study", len(bad)).About(bad...)
	}
	if x.StudyUID == "" {
		if x.StudyUID = path.Base(x.Folder); !identifier.MatchString(x.StudyUID) {
			return refusal.New(NoUID, "export the series again with its StudyInstanceUID, or name its folder with letters, digits, dots and dashes",
				"the slices have no StudyInstanceUID").About(names(series)...)
		}
		x.warn(NoUID, "the slices have no StudyInstanceUID; outputs use the folder's name", nil)
	}
	if bad := where(series, func(h *dicom.Header) bool { return h.Pixels.Frames > 1 }); len(bad) > 0 {
		return refusal.New(MultiFrame, "split the objects into single slices, for example with `dcm2dcm` or `emf2sf`",
			"%d of %d files hold several frames", len(bad), len(series)).About(bad...)
	}
	if bad := where(series, func(h *dicom.Header) bool { return angle(normal(h.Orientation), normal(x.Orientation)) > 0.5 }); len(bad) > 0 {
		return refusal.New(MixedOrientation, "separate the reformatted slices from the axial ones",
			"%d of %d slices are not parallel to the first", len(bad), len(series)).About(bad...)
	}
	if bad := where(series, func(h *dicom.Header) bool {
		return h.Pixels.Rows != x.Rows || h.Pixels.Columns != x.Columns || !near(h.SpacingMM, x.SpacingMM)
	}); len(bad) > 0 {
		return refusal.New(MixedSize, "separate the series by matrix size and pixel spacing",
			"%d of %d slices differ from the first in size or pixel spacing", len(bad), len(series)).About(bad...)
	}
	if math.Abs(normal(x.Orientation)[2]) < math.Sqrt2/2 {
		return refusal.New(NotAxial, "give the axial series", "the slices are not axial: head to foot is not defined along their normal")
	}
	if x.Folder != "" && path.Base(x.Folder) != x.StudyUID {
		x.warn(UIDDiffers, "the folder's name is not the StudyInstanceUID; outputs use the UID", nil)
	}
	return nil
}

// order sorts the slices head to foot and sets aside all but one at each position.
func (x *Index) order(series []File) {
	n := normal(x.Orientation)
	if n[2] < 0 {
		n = [3]float64{-n[0], -n[1], -n[2]}
	}
	height := func(f File) float64 { return dot(n, f.Header.PositionMM) }
	slices.SortFunc(series, func(a, b File) int {
		return cmp.Or(cmp.Compare(height(b), height(a)), cmp.Compare(a.Header.InstanceNumber, b.Header.InstanceNumber),
			cmp.Compare(a.Object.Key, b.Object.Key))
	})
	var dropped []string
	for i, f := range series {
		const sameMM = 1e-3
		if i > 0 && height(series[i-1])-height(f) < sameMM {
			x.setAside(f, DuplicatePosition, "same position as "+x.Slices[len(x.Slices)-1].File.Key)
			dropped = append(dropped, f.Object.Key)
			continue
		}
		h := f.Header
		x.Slices = append(x.Slices, Slice{File: f.Object, Number: h.InstanceNumber, PositionMM: h.PositionMM,
			Slope: h.Slope, Intercept: h.Intercept, Pixels: h.Pixels})
	}
	if len(dropped) > 0 {
		x.warn(DuplicatePosition, fmt.Sprintf("%d files lie where another slice lies; the lowest instance number was kept", len(dropped)), dropped)
	}
	for _, code := range []refusal.Code{NotDICOM, NotCT, OtherSeries} {
		var files []string
		for _, s := range x.SetAside {
			if s.Code == code {
				files = append(files, s.File)
			}
		}
		if len(files) > 0 {
			x.warn(code, fmt.Sprintf("%d files set aside", len(files)), files)
		}
	}
}

// measure fills in the spacing along the normal and reports what is irregular about it.
func (x *Index) measure(opts Options) {
	n := normal(x.Orientation)
	steps := make([]float64, len(x.Slices)-1)
	for i := range steps {
		steps[i] = math.Abs(dot(n, minus(x.Slices[i+1].PositionMM, x.Slices[i].PositionMM)))
	}
	sorted := slices.Sorted(slices.Values(steps))
	x.SliceMM = sorted[len(sorted)/2]
	var gaps, uneven []string
	for i, s := range steps {
		switch r := s / x.SliceMM; {
		case r > 1.5:
			gaps = append(gaps, x.Slices[i+1].File.Key)
		case math.Abs(r-1) > opts.Uneven:
			uneven = append(uneven, x.Slices[i+1].File.Key)
		}
	}
	span := fmt.Sprintf("steps of %.3g to %.3g mm, median %.3g", sorted[0], sorted[len(sorted)-1], x.SliceMM)
	if len(gaps) > 0 {
		x.warn(Gap, fmt.Sprintf("%d steps are more than 1.5 times the median: %s; slices may be missing before these", len(gaps), span), gaps)
	}
	if len(uneven) > 0 {
		x.warn(UnevenSpacing, fmt.Sprintf("%d further steps are uneven: %s", len(uneven), span), uneven)
	}
	along := minus(x.Slices[len(x.Slices)-1].PositionMM, x.Slices[0].PositionMM)
	if x.TiltDegrees = angle(along, n); x.TiltDegrees > opts.TiltDegrees {
		x.warn(Tilt, fmt.Sprintf("the stack leans %.1f degrees from the slices' normal (gantry tilt)", x.TiltDegrees), nil)
	}
}

func (x *Index) warn(code refusal.Code, detail string, files []string) {
	x.Warnings = append(x.Warnings, refusal.Reason{Code: code, Detail: detail, Files: files})
}

// angle is the angle between two lines, in degrees.
func angle(a, b [3]float64) float64 {
	c := math.Abs(dot(a, b)) / (length(a) * length(b))
	return math.Acos(min(1, c)) * 180 / math.Pi
}

func near(a, b [2]float64) bool {
	return math.Abs(a[0]-b[0]) <= 1e-3*b[0] && math.Abs(a[1]-b[1]) <= 1e-3*b[1]
}

func where(files []File, is func(*dicom.Header) bool) []string {
	var keys []string
	for _, f := range files {
		if is(f.Header) {
			keys = append(keys, f.Object.Key)
		}
	}
	return slices.Compact(keys)
}

func names(files []File) []string {
	return where(files, func(*dicom.Header) bool { return true })
}
