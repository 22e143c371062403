package ingest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

// Finding is what a study's folder holds, and what becomes of it. Nothing in it is a patient's but the study's folder and its files' names.
type Finding struct {
	Folder string `json:"folder"`
	Files  int    `json:"files"`
	Slices int    `json:"slices"` // of the volume; 0 where the study is refused
	// Deeper are folders in the folders of series, where no run looks, and OutOfReach marks one of those or below.
	Deeper     []string `json:"deeper,omitempty"`
	OutOfReach bool     `json:"out_of_reach,omitempty"`
	// Refused is nil for a study that has an index.
	Refused  *refusal.Reason `json:"refused,omitempty"`
	Warnings []refusal.Code  `json:"warnings,omitempty"`
	// FileCodes counts files that are no slices, by the reason code of the index, or of reading the file.
	FileCodes map[string]int `json:"file_codes,omitempty"`
	// Syntaxes, Modalities and Makers count files whose header can be read.
	Syntaxes   map[string]int `json:"transfer_syntaxes,omitempty"`
	Modalities map[string]int `json:"modalities,omitempty"`
	Makers     map[string]int `json:"makers,omitempty"`
	SpacingMM  [3]float64     `json:"spacing_mm,omitzero"` // between rows, columns and slices
}

// Survey reads the headers of a study's folder, as IndexFn would, and says what became of it. It stores nothing. An error is about
// the data set as a whole.
func Survey(ctx context.Context, data *source.Source, folder string, o Options) (*Finding, error) {
	objects, deeper, err := listing(ctx, data, folder)
	if err != nil {
		return nil, err
	}
	return survey(ctx, data, folder, objects, deeper, o)
}

// SurveyDeep surveys a folder that lies deeper than those of series, and all below it, each that has files by itself. No run looks there.
func SurveyDeep(ctx context.Context, data *source.Source, folder string, o Options) (found []*Finding, err error) {
	objects, below, err := data.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	if len(objects) > 0 {
		for i := range objects {
			objects[i].Key = strings.TrimPrefix(objects[i].Key, folder+"/")
		}
		f, err := survey(ctx, data, folder, objects, nil, o)
		if err != nil {
			return nil, err
		}
		f.OutOfReach = true
		found = append(found, f)
	}
	for _, name := range below {
		more, err := SurveyDeep(ctx, data, path.Join(folder, name), o)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

func survey(ctx context.Context, data *source.Source, folder string, objects []source.Object, deeper []string, o Options) (*Finding, error) {
	files, err := headers(ctx, data, folder, objects, o.Limits)
	if err != nil {
		return nil, err
	}
	f := &Finding{Folder: folder, Files: len(objects), Deeper: deeper, FileCodes: map[string]int{}, Syntaxes: map[string]int{}, Modalities: map[string]int{}, Makers: map[string]int{}}
	for i, file := range files {
		if i > 0 && files[i-1].Object == file.Object {
			continue // another frame
		}
		h := file.Header
		if file.Err != nil {
			var de *dicom.Error
			if !errors.As(file.Err, &de) {
				return nil, file.Err
			}
			f.FileCodes[de.Code]++
			// What is no CT slice may be something else that can be read.
			there := file.Object
			there.Key = path.Join(folder, file.Object.Key)
			if h, err = dicom.ReadHeader(data.ReaderAt(ctx, there), file.Object.Size, &dicom.Options{HeaderOnly: true, Limits: o.Limits}); err != nil {
				continue
			}
		}
		f.Syntaxes[h.Pixels.TransferSyntax.Name()]++
		f.Modalities[dicom.CodeString(h.Modality)]++
		f.Makers[maker(h.Manufacturer)]++
	}
	x, err := Build(folder, files, o)
	if err != nil {
		var refused *refusal.Error
		if !errors.As(err, &refused) {
			return nil, err
		}
		f.Refused = &refused.Reason
		return f, nil
	}
	f.Slices, f.SpacingMM = len(x.Slices), [3]float64{x.SpacingMM[0], x.SpacingMM[1], x.SliceMM}
	for _, w := range x.Warnings {
		f.Warnings = append(f.Warnings, w.Code)
	}
	for _, s := range x.SetAside {
		if slices.Contains([]refusal.Code{OtherSeries, DuplicatePosition, MixedOrientation, MixedSize, UnevenSpacing}, s.Code) { // the others were counted by their error
			f.FileCodes[string(s.Code)]++
		}
	}
	return f, nil
}

// makers are those whose names are shown. Others might be somebody's.
var makers = []string{"Canon", "GE", "Hitachi", "Neusoft", "Philips", "Shimadzu", "Siemens", "Toshiba", "United Imaging"}

func maker(name string) string {
	if name == "" {
		return "absent"
	}
	for _, m := range makers {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(m)) {
			return m
		}
	}
	if strings.HasPrefix(strings.ToUpper(name), "UIH") {
		return "United Imaging"
	}
	return "another"
}

// Counts sums counts, and returns them with the most frequent first.
func Counts(all ...map[string]int) []Count {
	sum := map[string]int{}
	for _, m := range all {
		for k, n := range m {
			sum[k] += n
		}
	}
	var list []Count
	for _, k := range slices.Sorted(maps.Keys(sum)) {
		list = append(list, Count{k, sum[k]})
	}
	slices.SortStableFunc(list, func(a, b Count) int { return cmp.Compare(b.Files, a.Files) })
	return list
}

// Count is how often something was found.
type Count struct {
	Name  string `json:"name"`
	Files int    `json:"files"`
}
