package ingest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

const uid = "1.2.826.0.1.7"

// axial is a plain study of n slices, 1.dcm at the head, 0.8 mm apart.
func axial(n int) []File {
	files := make([]File, n)
	for i := range files {
		files[i] = File{
			Object: source.Object{Key: fmt.Sprintf("%d.dcm", i+1), Size: 1000, Version: "v"},
			Header: &dicom.Header{
				StudyUID: uid, SeriesUID: uid + ".1", Modality: "CT", ImageType: []string{"ORIGINAL", "PRIMARY", "AXIAL"},
				InstanceNumber: i + 1, HasInstanceNumber: true, HasGeometry: true,
				PositionMM: [3]float64{-100, -90, 200 - 0.8*float64(i)}, Orientation: [6]float64{1, 0, 0, 0, 1, 0},
				SpacingMM: [2]float64{0.4, 0.5}, Slope: 1, Intercept: -1024,
				Pixels: dicom.PixelFormat{TransferSyntax: dicom.ExplicitLittleEndian, Rows: 512, Columns: 480},
			},
		}
	}
	return files
}

func keys(x *Index) []string {
	var all []string
	for _, s := range x.Slices {
		all = append(all, s.File.Key)
	}
	return all
}

func codes(x *Index) []refusal.Code {
	var all []refusal.Code
	for _, w := range x.Warnings {
		all = append(all, w.Code)
	}
	return all
}

func TestAnyOrderOfFilesGivesTheSameIndex(t *testing.T) {
	want, err := Build("train_images/"+uid, axial(40), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want.Slices[0].File.Key != "1.dcm" || want.Slices[39].File.Key != "40.dcm" || len(want.Warnings) != 0 {
		t.Fatalf("%v, warnings %v", keys(want), want.Warnings)
	}
	for seed := range uint64(5) {
		files := axial(40)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		got, err := Build("train_images/"+uid, files, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestOrderIsHeadToFootWhateverTheNumbersSay(t *testing.T) {
	for _, c := range []struct {
		name        string
		orientation [6]float64
	}{
		{"normal to the head", [6]float64{1, 0, 0, 0, 1, 0}},
		{"normal to the feet", [6]float64{-1, 0, 0, 0, 1, 0}},
	} {
		files := axial(20)
		for i, f := range files {
			f.Header.Orientation = c.orientation
			f.Header.PositionMM[2] = float64(i) // file 1 at the feet
		}
		x, err := Build(uid, files, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if x.Slices[0].File.Key != "20.dcm" || x.Slices[19].File.Key != "1.dcm" {
			t.Errorf("%s: %v", c.name, keys(x))
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]File) []File
		want   []refusal.Code
		slices int
	}{
		{"nothing wrong", func(f []File) []File { return f }, nil, 30},
		{"a slice is missing", func(f []File) []File { return slices.Delete(f, 10, 11) }, []refusal.Code{Gap}, 29},
		{"uneven steps", func(f []File) []File {
			f[10].Header.PositionMM[2] += 0.2
			return f
		}, []refusal.Code{UnevenSpacing}, 30},
		{"two slices in one place", func(f []File) []File {
			twin := *f[10].Header
			twin.InstanceNumber = 99
			return append(f, File{Object: source.Object{Key: "again.dcm"}, Header: &twin})
		}, []refusal.Code{DuplicatePosition}, 30},
		{"gantry tilt", func(f []File) []File {
			for i := range f {
				f[i].Header.PositionMM[1] += 0.2 * float64(i)
			}
			return f
		}, []refusal.Code{Tilt}, 30},
		{"a text among the slices", func(f []File) []File {
			return append(f, File{Object: source.Object{Key: "notes.txt"}, Err: &dicom.Error{Code: dicom.NotDICOM}})
		}, []refusal.Code{NotDICOM}, 30},
		{"a dose report", func(f []File) []File {
			return append(f, File{Object: source.Object{Key: "dose.dcm"}, Err: &dicom.Error{Code: dicom.NotCT, Detail: "modality is SR"}})
		}, []refusal.Code{NotCT}, 30},
		{"a localizer and a second series", func(f []File) []File {
			scout, other := *f[0].Header, *f[1].Header
			scout.ImageType = []string{"ORIGINAL", "PRIMARY", "LOCALIZER"}
			other.SeriesUID = uid + ".0"
			return append(f, File{Object: source.Object{Key: "scout.dcm"}, Header: &scout}, File{Object: source.Object{Key: "other.dcm"}, Header: &other})
		}, []refusal.Code{OtherSeries}, 30},
	} {
		x, err := Build("train_images/"+uid, c.change(axial(30)), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, codes(x)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if len(x.Slices) != c.slices {
			t.Errorf("%s: %d slices, want %d", c.name, len(x.Slices), c.slices)
		}
	}
}

func TestRefusalsNameTheFiles(t *testing.T) {
	third := []string{"3.dcm"}
	for _, c := range []struct {
		name   string
		change func([]File)
		want   refusal.Code
		files  []string
	}{
		{"damaged", func(f []File) { f[2] = File{Object: f[2].Object, Err: &dicom.Error{Code: dicom.Truncated}} }, Damaged, third},
		{"zero bytes", func(f []File) { f[2] = File{Object: f[2].Object, Err: &dicom.Error{Code: dicom.Empty}} }, Damaged, third},
		{"a codec we lack", func(f []File) {
			f[2] = File{Object: f[2].Object, Err: &dicom.Error{Code: dicom.UnsupportedSyntax}}
		}, Unsupported, third},
		{"no geometry", func(f []File) { f[2].Header.HasGeometry = false }, NoGeometry, third},
		{"a sagittal slice", func(f []File) { f[2].Header.Orientation = [6]float64{0, 1, 0, 0, 0, -1} }, MixedOrientation, third},
		{"another matrix", func(f []File) { f[2].Header.Pixels.Rows = 256 }, MixedSize, third},
		{"another spacing", func(f []File) { f[2].Header.SpacingMM[0] = 0.9 }, MixedSize, third},
		{"several frames in a file", func(f []File) { f[2].Header.Pixels.Frames = 8 }, MultiFrame, third},
		{"another study", func(f []File) { f[2].Header.StudyUID = "1.2.3" }, MixedStudies, third},
		{"all sagittal", func(f []File) {
			for i := range f {
				f[i].Header.Orientation = [6]float64{0, 1, 0, 0, 0, -1}
			}
		}, NotAxial, nil},
	} {
		files := axial(20)
		c.change(files)
		_, err := Build(uid, files, Options{})
		var refused *refusal.Error
		if !errors.As(err, &refused) || refused.Code != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
			continue
		}
		if diff := cmp.Diff(c.files, refused.Files); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if refused.Remedy == "" && c.want != NotAxial && c.want != Unsupported {
			t.Errorf("%s: no remedy", c.name)
		}
	}
}

func TestAFewBadFilesAreSetAsideIfThatIsAskedFor(t *testing.T) {
	all := Options{SetAside: []refusal.Code{Damaged, Unsupported, NoGeometry, MixedOrientation, MixedSize}}
	if err := all.Check(); err != nil {
		t.Fatal(err)
	}
	spoil := map[refusal.Code]func(f *File){
		Damaged: func(f *File) { *f = File{Object: f.Object, Err: &dicom.Error{Code: dicom.Truncated}} },
		Unsupported: func(f *File) {
			*f = File{Object: f.Object, Err: &dicom.Error{Code: dicom.UnsupportedPixels, Detail: "colour"}}
		},
		NoGeometry:       func(f *File) { f.Header.HasGeometry = false },
		MixedOrientation: func(f *File) { f.Header.Orientation = [6]float64{0, 1, 0, 0, 0, -1} },
		MixedSize:        func(f *File) { f.Header.Pixels.Columns = 100 },
	}
	for code, spoil := range spoil {
		files := axial(40)
		for i := 10; i < 14; i++ {
			spoil(&files[i])
		}
		x, err := Build(uid, files, all)
		if err != nil || len(x.Slices) != 36 || len(x.SetAside) != 4 || !slices.Contains(codes(x), code) || !slices.Contains(codes(x), Gap) {
			t.Errorf("%s: %+v, %v", code, x, err)
			continue
		}
		if key := x.SetAside[0].File; key != files[10].Object.Key || x.SetAside[0].Code != code {
			t.Errorf("%s: %+v is set aside", code, x.SetAside[0])
		}
		strict := all
		strict.Refuse = []refusal.Code{Gap}
		for name, o := range map[string]Options{string(code): {}, "gap": strict} {
			var refused *refusal.Error
			if _, err := Build(uid, files, o); !errors.As(err, &refused) || string(refused.Code) != name {
				t.Errorf("%s: %v, want %s", code, err, name)
			}
		}
		spoil(&files[20])
		if _, err := Build(uid, files, all); err == nil {
			t.Errorf("%s: went on with an eighth of the files set aside", code)
		}
	}
	for _, o := range []Options{{SetAside: []refusal.Code{Gap}}, {Refuse: []refusal.Code{"nonsense"}}, {Resample: []refusal.Code{Turned}}, {Accept: []refusal.Code{Gap}}} {
		if err := o.Check(); err == nil {
			t.Errorf("%+v is no error", o)
		}
	}
}

func TestGapsAndUnevenStepsAreResampledIfThatIsAskedFor(t *testing.T) {
	pick := func(at ...float64) []File { // slices that far below the first, in mm
		files := axial(len(at))
		for i := range files {
			files[i].Header.PositionMM[2] = 200 - at[i]
		}
		return files
	}
	whole := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	without := slices.Concat(whole[:5], whole[8:])      // 3 are missing
	half := append(slices.Clone(whole), 21, 23, 25, 27) // of two scans
	for _, c := range []struct {
		name     string
		at       []float64
		resample []refusal.Code
		want     []float64 // the files' places that become slices, 1 mm apart
		aside    int
		refused  refusal.Code
	}{
		{"nothing to do", whole, []refusal.Code{Gap, UnevenSpacing, Tilt}, whole, 0, ""},
		{"a gap is left", without, []refusal.Code{UnevenSpacing, Tilt}, without, 0, ""},
		{"a gap is filled from both ends", without, []refusal.Code{Gap}, slices.Concat(whole[:5], []float64{4, 8, 8}, whole[8:]), 0, ""},
		{"further steps are wider", half, []refusal.Code{Gap}, slices.Concat(whole, []float64{21, 21, 23, 23, 25, 25, 27, 27}), 0, ""},
		{"one too near", append(slices.Clone(whole), 19.2), []refusal.Code{UnevenSpacing}, append(slices.Clone(whole[:19]), 19.2), 1, ""},
		{"one out of place", slices.Concat(whole[:5], []float64{5.3}, whole[6:]), []refusal.Code{UnevenSpacing}, slices.Concat(whole[:5], []float64{5.3}, whole[6:]), 0, ""},
		{"too much is missing", append(slices.Clone(whole), 400), []refusal.Code{Gap}, nil, 0, Gap},
		{"uneven, with gaps that stay", slices.Concat(whole[:5], []float64{5.3}, whole[9:]), []refusal.Code{UnevenSpacing}, nil, 0, UnevenSpacing},
		{"uneven, with gaps", slices.Concat(whole[:5], []float64{5.3}, whole[9:]), []refusal.Code{UnevenSpacing, Gap}, slices.Concat(whole[:5], []float64{5.3, 5.3, 5.3, 9}, whole[9:]), 0, ""},
	} {
		o := Options{Resample: c.resample}
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		x, err := Build("train_images/"+uid, pick(c.at...), o)
		if err != nil {
			var refused *refusal.Error
			if !errors.As(err, &refused) || refused.Code != c.refused || c.refused == "" {
				t.Errorf("%s: %v, want %s", c.name, err, c.refused)
			}
			continue
		}
		var got []float64
		for i, s := range x.Slices {
			got = append(got, c.at[s.Number-1])
			if last := x.Slices[max(0, i-1)]; len(c.resample) > 0 && !slices.Equal(c.want, without) && math.Abs(last.PositionMM[2]-s.PositionMM[2]) > 1.1 {
				t.Errorf("%s: slice %d lies at %v, the one before at %v", c.name, i, s.PositionMM, last.PositionMM)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if len(x.SetAside) != c.aside {
			t.Errorf("%s: set aside %v", c.name, x.SetAside)
		}
	}
}

func TestTheAxialSeriesOfTheScannerIsChosen(t *testing.T) {
	series := func(n int, name string, change func(h *dicom.Header)) []File {
		files := axial(n)
		for i := range files {
			files[i].Object.Key = name + files[i].Object.Key
			files[i].Header.SeriesUID = uid + "." + name
			change(files[i].Header)
		}
		return files
	}
	original := func(*dicom.Header) {}
	sagittal := func(h *dicom.Header) { h.Orientation = [6]float64{0, 1, 0, 0, 0, -1} }
	projected := func(h *dicom.Header) { h.ImageType = []string{"DERIVED", "SECONDARY", "AXIAL"} }
	for _, c := range []struct {
		name  string
		files []File
		want  string
	}{
		{"most slices", slices.Concat(series(20, "5", original), series(30, "6", original)), "6"},
		{"equally many", slices.Concat(series(20, "6", original), series(20, "5", original)), "5"},
		{"axial before sagittal", slices.Concat(series(20, "5", original), series(30, "6", sagittal)), "5"},
		{"the scanner's before derived", slices.Concat(series(20, "5", original), series(30, "6", projected)), "5"},
		{"derived if the scanner's are too few", slices.Concat(series(10, "5", original), series(30, "6", projected)), "6"},
		{"derived if there is nothing else", series(30, "6", projected), "6"},
	} {
		x, err := Build(uid, c.files, Options{})
		if err != nil || x.SeriesUID != uid+"."+c.want || len(x.Slices)+len(x.SetAside) != len(c.files) {
			t.Errorf("%s: %+v, %v", c.name, x, err)
		}
	}
}

func TestTooFewSlicesAreRefused(t *testing.T) {
	for n, want := range map[int]bool{0: true, 14: true, 15: false} {
		_, err := Build(uid, axial(n), Options{})
		if (err != nil) != want {
			t.Errorf("%d slices: %v", n, err)
		}
	}
}

func TestSpacingAndTiltAreMeasured(t *testing.T) {
	files := axial(20)
	for i := range files {
		files[i].Header.PositionMM[1] += 0.8 * math.Tan(18.5*math.Pi/180) * float64(i)
	}
	x, err := Build(uid, files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(x.SliceMM-0.8) > 1e-9 || math.Abs(x.TiltDegrees-18.5) > 1e-6 {
		t.Errorf("slices %g mm apart, tilt %g°", x.SliceMM, x.TiltDegrees)
	}
}

func TestAffinesPlaceVoxels(t *testing.T) {
	x, err := Build(uid, axial(129), Options{})
	if err != nil {
		t.Fatal(err)
	}
	approx := func(got, want [3]float64) bool { return length(minus(got, want)) < 1e-9 }
	// Slice 10, row 3, column 2: rows run to the back, columns to the left.
	if got, want := x.Affine(10).Apply(3, 2, 0), ([3]float64{-100 + 2*0.5, -90 + 3*0.4, 200 - 8}); !approx(got, want) {
		t.Errorf("slice: %v, want %v", got, want)
	}
	// The first cell of a 128 grid covers 4 rows and 3.75 columns; the last of its slices is the study's last.
	if got, want := x.Grid(128, 128, 128).Apply(0, 0, 127), ([3]float64{-100 + 1.375*0.5, -90 + 1.5*0.4, 200 - 0.8*128}); !approx(got, want) {
		t.Errorf("grid: %v, want %v", got, want)
	}
	// A grid as fine as the study is the study.
	if got, want := x.Grid(512, 480, 129).Apply(7, 9, 11), x.Affine(11).Apply(7, 9, 0); !approx(got, want) {
		t.Errorf("identity: %v, want %v", got, want)
	}
}

func TestIndexSurvivesStorage(t *testing.T) {
	x, err := Build(uid, axial(16), Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := x.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Unmarshal(data)
	if diff := cmp.Diff(x, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := Unmarshal([]byte("{}")); err == nil {
		t.Error("an empty index was accepted")
	}
}
