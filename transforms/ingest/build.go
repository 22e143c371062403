package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
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
	OverLimit        refusal.Code = "over_limit"

	// These are warnings.
	NotDICOM          refusal.Code = "not_dicom"
	NotCT             refusal.Code = "not_ct"
	OtherSeries       refusal.Code = "other_series"
	DuplicatePosition refusal.Code = "duplicate_position"
	Gap               refusal.Code = "gap"
	UnevenSpacing     refusal.Code = "uneven_spacing"
	Tilt              refusal.Code = "gantry_tilt"
	Turned            refusal.Code = "turned"
	Mirrored          refusal.Code = "mirrored"
	UIDDiffers        refusal.Code = "uid_differs"
	NoUID             refusal.Code = "no_study_uid" // refused where the folder's name can't stand for it
)

// Remedies that others who judge a file give, too.
const (
	ExportWithGeometry = "export the series again with ImagePositionPatient and ImageOrientationPatient"
	SplitFrames        = "split the objects into single slices, for example with `dcm2dcm` or `emf2sf`"
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
	// SetAside are reasons for which a few files do not refuse the study: damaged_slice, unsupported_pixels, over_limit, no_geometry, and
	// mixed_orientation and mixed_size of slices that are not like most. They are set aside with a warning, as long as they are at most a tenth of
	// the study's files.
	SetAside []refusal.Code
	// Refuse are warnings for which a study is refused all the same.
	Refuse []refusal.Code
	// Resample are irregularities that are put right: gap, uneven_spacing, gantry_tilt. See the index's Slices and Place.
	Resample []refusal.Code
	// Accept are those that are otherwise put right: frames that are mirrored or turned stay as they are stored.
	Accept []refusal.Code
	// Limits bound what a file may ask for. They say whether a study has an index, and nothing of what is in it, unless SetAside has over_limit: see
	// the index's recipe.
	Limits dicom.Limits
}

// Check says what is wrong with options.
func (o *Options) Check() error {
	lenient := []refusal.Code{Damaged, Unsupported, OverLimit, NoGeometry, MixedOrientation, MixedSize}
	for _, c := range []struct {
		name        string
		codes, mays []refusal.Code
	}{
		{"setaside", o.SetAside, lenient},
		{"refuse", o.Refuse, append(slices.Clone(lenient), NotDICOM, NotCT, OtherSeries, DuplicatePosition, Gap, UnevenSpacing, Tilt, Turned, Mirrored, UIDDiffers, NoUID)},
		{"resample", o.Resample, []refusal.Code{Gap, UnevenSpacing, Tilt}},
		{"accept", o.Accept, []refusal.Code{Turned, Mirrored}},
	} {
		for _, code := range c.codes {
			if !slices.Contains(c.mays, code) {
				return fmt.Errorf("%s %q is not one of %v", c.name, code, c.mays)
			}
		}
	}
	if err := o.Limits.Check(); err != nil {
		return fmt.Errorf("limits: %w", err)
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
	series := x.chooseSeries(ct, opts.MinSlices)
	if bad := where(series, func(f File) bool { return !f.Header.HasGeometry }); x.without(bad, len(series), NoGeometry, "without position or orientation", &opts) {
		series = slices.DeleteFunc(series, func(f File) bool { return !f.Header.HasGeometry })
	}
	frames, err := x.describe(series, &opts)
	if err != nil {
		return nil, err
	}
	x.order(frames)
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
	if err := x.regularise(&opts); err != nil {
		return nil, err
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
	var damaged, unread, beyond []string
	var detail string
	var unsupported, over *dicom.Error
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
		case errors.As(f.Err, &de) && de.Code == dicom.OverLimit:
			if over == nil {
				over = de
			}
			beyond = append(beyond, f.Object.Key)
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
		return nil, refusal.New(Unsupported, unsupported.Remedy, "%d of %d files: %w", len(unread), len(files), remediless(unsupported)).About(unread...)
	}
	if over != nil && !x.without(beyond, len(files), OverLimit, over.Detail, opts) {
		return nil, refusal.New(OverLimit, over.Remedy, "%d of %d files: %w", len(beyond), len(files), remediless(over)).About(beyond...)
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

// remediless is an error without its remedy, which the refusal has.
func remediless(e *dicom.Error) error {
	bare := *e
	bare.Remedy = ""
	return &bare
}

func (x *Index) setAside(f File, code refusal.Code, detail string) {
	x.SetAside = append(x.SetAside, SetAside{File: f.Object.Key, Code: code, Detail: detail})
}

// chooseSeries keeps the series with most slices: of those that are axial if there are any, and of those of the scanner's own images if one of
// them has enough. Ties go to the lower UID. Localizers are no slices.
func (x *Index) chooseSeries(ct []File, enough int) []File {
	of := map[string][]File{}
	for _, f := range ct {
		if !localizer(f.Header) {
			of[f.Header.SeriesUID] = append(of[f.Header.SeriesUID], f)
		}
	}
	rank := func(files []File) [3]int {
		across, own := 0, 0
		for _, f := range files {
			if f.Header.HasGeometry && isAxial(f.Header.Orientation) {
				across++
			}
			if !derived(f.Header) {
				own++
			}
		}
		r := [3]int{0, 0, len(files)}
		if 2*across > len(files) {
			r[0] = 1
		}
		if own >= enough {
			r[1] = 1
		}
		return r
	}
	best, most := "", [3]int{-1}
	for _, uid := range slices.Sorted(maps.Keys(of)) {
		if r := rank(of[uid]); slices.Compare(r[:], most[:]) > 0 {
			best, most = uid, r
		}
	}
	var series []File
	for _, f := range ct {
		switch {
		case localizer(f.Header):
			x.setAside(f, OtherSeries, "a localizer")
		case f.Header.SeriesUID == best:
			series = append(series, f)
		case derived(f.Header):
			x.setAside(f, OtherSeries, "derived from other images, in another series than the study's")
		default:
			x.setAside(f, OtherSeries, "belongs to another series than the study's")
		}
	}
	return series
}

// identifier is what can stand for a study's UID.
var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$`)

func localizer(h *dicom.Header) bool { return slices.Contains(h.ImageType, "LOCALIZER") }

// derived tells whether pixels were computed from other images', such as a reformatted or projected series (PS3.3, C.7.6.1.1.2).
func derived(h *dicom.Header) bool { return len(h.ImageType) > 0 && h.ImageType[0] == "DERIVED" }

// describe fills what all slices must share, and refuses a series whose slices do not share it.
func (x *Index) describe(series []File, opts *Options) ([]frame, error) {
	if len(series) == 0 {
		return nil, refusal.New(Empty, "point --data at the folder that holds the studies' folders", "only localizers")
	}
	if bad := where(series, func(f File) bool { return !f.Header.HasGeometry }); len(bad) > 0 {
		return nil, refusal.New(NoGeometry, ExportWithGeometry,
			"%d of %d slices lack a valid position or orientation", len(bad), len(series)).About(bad...)
	}
	if err := x.identify(series); err != nil {
		return nil, err
	}
	if bad := where(series, func(f File) bool { return f.Header.Pixels.Frames > 1 }); len(bad) > 0 {
		return nil, refusal.New(MultiFrame, SplitFrames,
			"%d of %d files hold several frames", len(bad), len(series)).About(bad...)
	}
	frames := x.turn(series, opts)
	most := usual(frames, func(a, b frame) bool { return alike(a.orientation, b.orientation) })
	frames, err := x.keep(frames, func(f frame) bool { return alike(f.orientation, most.orientation) }, opts,
		MixedOrientation, "separate the reformatted slices from the axial ones", "not oriented as most are")
	if err != nil {
		return nil, err
	}
	sameSize := func(a, b frame) bool {
		return a.rows == b.rows && a.columns == b.columns && near(a.spacingMM, b.spacingMM)
	}
	most = usual(frames, sameSize)
	frames, err = x.keep(frames, func(f frame) bool { return sameSize(f, most) }, opts,
		MixedSize, "separate the series by matrix size and pixel spacing", "of another size or pixel spacing than most")
	if err != nil {
		return nil, err
	}
	first := frames[0]
	x.Rows, x.Columns, x.Orientation, x.SpacingMM = first.rows, first.columns, first.orientation, first.spacingMM
	if !isAxial(x.Orientation) {
		return nil, refusal.New(NotAxial, "give the axial series", "the slices are not axial: head to foot is not defined along their normal")
	}
	return frames, nil
}

// identify fills in the UIDs.
func (x *Index) identify(series []File) error {
	x.StudyUID, x.SeriesUID = series[0].Header.StudyUID, series[0].Header.SeriesUID
	if bad := where(series, func(f File) bool { return f.Header.StudyUID != x.StudyUID }); len(bad) > 0 {
		return refusal.New(MixedStudies, "keep the files of one study in one folder", "one series, but %d files of another study", len(bad)).About(bad...)
	}
	switch base := path.Base(x.Folder); {
	case x.StudyUID == "" && !identifier.MatchString(base):
		return refusal.New(NoUID, "export the series again with its StudyInstanceUID, or name its folder with letters, digits, dots and dashes",
			"the slices have no StudyInstanceUID").About(names(series)...)
	case x.StudyUID == "":
		x.StudyUID = base
		x.warn(NoUID, "the slices have no StudyInstanceUID; outputs use the folder's name", nil)
	case x.Folder != "" && base != x.StudyUID:
		x.warn(UIDDiffers, "the folder's name is not the StudyInstanceUID; outputs use the UID", nil)
	}
	return nil
}

// turn puts frames upright, and says if any was not, unless the options accept them as they are.
func (x *Index) turn(series []File, opts *Options) []frame {
	frames := make([]frame, len(series))
	keys := map[refusal.Code][]string{}
	for i, f := range series {
		stored, upright := asStored(f), turned(f)
		frames[i] = upright
		if upright.place == stored.place {
			continue
		}
		code := Turned
		if upright.place.mirrored() {
			code = Mirrored
		}
		keys[code] = append(keys[code], f.Object.Key)
		if slices.Contains(opts.Accept, code) {
			frames[i] = stored
		}
	}
	for _, w := range []struct {
		code refusal.Code
		how  string
	}{{Mirrored, "mirrored: as if the slice were seen from the head"}, {Turned, "turned in its plane, as of a patient who lies prone or on a side"}} {
		files := slices.Compact(keys[w.code])
		done := "; they are turned back when they are read"
		if slices.Contains(opts.Accept, w.code) {
			done = "; they stay so"
		}
		if len(files) > 0 {
			x.warn(w.code, fmt.Sprintf("%d of %d frames are stored %s%s", len(keys[w.code]), len(series), w.how, done), files)
		}
	}
	return frames
}

// usual returns a frame that is like most.
func usual(frames []frame, same func(a, b frame) bool) frame {
	var kinds []frame
	var counts []int
	for _, f := range frames {
		i := slices.IndexFunc(kinds, func(k frame) bool { return same(k, f) })
		if i < 0 {
			i = len(kinds)
			kinds, counts = append(kinds, f), append(counts, 0)
		}
		counts[i]++
	}
	return kinds[slices.Index(counts, slices.Max(counts))]
}

// keep returns the frames that are right, after setting the others aside where the options allow it.
func (x *Index) keep(frames []frame, right func(frame) bool, opts *Options, code refusal.Code, remedy, wrong string) ([]frame, error) {
	var kept []frame
	var bad []string
	for _, f := range frames {
		if right(f) {
			kept = append(kept, f)
		} else {
			bad = append(bad, f.Object.Key)
		}
	}
	bad = slices.Compact(bad)
	if len(bad) > 0 && !x.without(bad, len(frames), code, wrong, opts) {
		return nil, refusal.New(code, remedy+", or add "+string(code)+" to setaside in the configuration's [ingest] where they are few",
			"%d of %d slices are %s", len(bad), len(frames), wrong).About(bad...)
	}
	return kept, nil
}

// order sorts the slices head to foot and sets aside all but one at each position.
func (x *Index) order(series []frame) {
	n := normal(x.Orientation)
	if n[2] < 0 {
		n = [3]float64{-n[0], -n[1], -n[2]}
	}
	height := func(f frame) float64 { return dot(n, f.positionMM) }
	slices.SortFunc(series, func(a, b frame) int {
		return cmp.Or(cmp.Compare(height(b), height(a)), cmp.Compare(a.Header.InstanceNumber, b.Header.InstanceNumber),
			cmp.Compare(a.Object.Key, b.Object.Key))
	})
	var dropped []string
	for i, f := range series {
		const sameMM = 1e-3
		if i > 0 && height(series[i-1])-height(f) < sameMM {
			x.setAside(f.File, DuplicatePosition, "same position as "+x.Slices[len(x.Slices)-1].File.Key)
			dropped = append(dropped, f.Object.Key)
			continue
		}
		h := f.Header
		s := Slice{File: f.Object, Number: h.InstanceNumber, PositionMM: f.positionMM, Slope: h.Slope, Intercept: h.Intercept, Pixels: h.Pixels}
		if f.place != (Placement{}) {
			s.Place = &f.place
		}
		x.Slices = append(x.Slices, s)
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

// gapFactor is how many times the median a step is at which slices may be missing.
const gapFactor = 1.5

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
		case r > gapFactor:
			gaps = append(gaps, x.Slices[i+1].File.Key)
		case math.Abs(r-1) > opts.Uneven:
			uneven = append(uneven, x.Slices[i+1].File.Key)
		}
	}
	span := fmt.Sprintf("steps of %.3g to %.3g mm, median %.3g", sorted[0], sorted[len(sorted)-1], x.SliceMM)
	if len(gaps) > 0 {
		x.warn(Gap, fmt.Sprintf("%d steps are more than 1.5 times the median (%s); slices may be missing before these", len(gaps), span), gaps)
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

func where(files []File, is func(File) bool) []string {
	var keys []string
	for _, f := range files {
		if is(f) {
			keys = append(keys, f.Object.Key)
		}
	}
	return slices.Compact(keys)
}

func names(files []File) []string {
	return where(files, func(File) bool { return true })
}
