package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"golang.org/x/sync/errgroup"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/pseudonym"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/transforms"
)

func init() {
	register.DoFn3x1[context.Context, []byte, func(transforms.Study), error](&ListFn{})
	register.DoFn4x1[context.Context, transforms.Study, func(transforms.Study), func(artifacts.Row), error](&IndexFn{})
	transforms.WorksApart(func(ctx context.Context, f *IndexFn, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, study, emit, outcome)
	})
}

// ListFn emits the studies of a data set.
type ListFn struct {
	transforms.Site
	// Only keeps the studies whose folder has one of these names, where given.
	Only []string
}

// ProcessElement takes the pipeline's impulse.
func (f *ListFn) ProcessElement(ctx context.Context, _ []byte, emit func(transforms.Study)) error {
	data, err := source.Shared(ctx, f.Data)
	if err != nil {
		return err
	}
	folders, err := Studies(ctx, data)
	if err != nil {
		return f.Unnamed(err)
	}
	for _, folder := range Select(folders, f.Only) {
		emit(transforms.Study{Folder: folder})
	}
	return nil
}

// Studies lists the folders that hold one study each: those below train_images and test_images in the
// data set's layout, else those directly below the root, else the root itself if it holds files.
func Studies(ctx context.Context, data *source.Source) ([]string, error) {
	objects, folders, err := data.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var studies []string
	for _, images := range []string{"train_images", "test_images"} {
		for _, f := range folders {
			if f != images {
				continue
			}
			_, below, err := data.List(ctx, images)
			if err != nil {
				return nil, err
			}
			for _, study := range below {
				studies = append(studies, path.Join(images, study))
			}
		}
	}
	switch {
	case len(studies) > 0:
		return studies, nil
	case len(folders) > 0:
		return folders, nil
	case len(objects) > 0:
		return []string{""}, nil
	}
	return nil, fmt.Errorf("no studies in %s: expected train_images/<study>/<n>.dcm, or folders of DICOM files", data)
}

// Select keeps the folders whose base name is listed; an empty list keeps all.
func Select(folders, only []string) []string {
	if len(only) == 0 {
		return folders
	}
	want := map[string]bool{}
	for _, o := range only {
		want[o] = true
	}
	var kept []string
	for _, f := range folders {
		if want[path.Base(f)] {
			kept = append(kept, f)
		}
	}
	return kept
}

// IndexFn indexes one study.
type IndexFn struct {
	transforms.Site
	Options Options
}

// ProcessElement emits the study with its index. From here on a run under pseudonyms knows the study by them alone: its real names stand in the index.
func (f *IndexFn) ProcessElement(ctx context.Context, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
	data, err := source.Shared(ctx, f.Data)
	if err != nil {
		return err
	}
	names, err := f.Pseudonyms()
	if err != nil {
		return err
	}
	given, folder := study, study.Folder
	if names != nil {
		study.Folder = alias(names, f.Data, folder)
	}
	if f.Apart() {
		return transforms.WorkApart(ctx, f, "index", study.Name(), given, emit, outcome)
	}
	ok, err := f.Run(ctx, "index", study.Name(), &study.Pending, outcome, func(r *transforms.Report) error {
		objects, _, err := listing(ctx, data, folder)
		if err != nil {
			return err
		}
		recipe := f.recipe(folder, objects)
		if names != nil {
			// The manifest has the recipe's digest, from which nobody must be able to guess the names in it. Equal indexes are one artifact all the same.
			recipe.Params = append(recipe.Params, artifacts.Param{Name: "pseudonyms", Value: names.ID()})
		}
		err = r.Once(ctx, recipe.Digest(), &study, func() error {
			return f.index(ctx, r, data, &study, folder, names, recipe, objects)
		})
		r.Rename(study.Name())
		return err
	})
	if ok {
		emit(study)
	}
	return err
}

// alias is what a study's folder is called under pseudonyms: as if the data set's folders had them for names.
func alias(names *pseudonym.Key, data, folder string) string {
	if folder == "" { // the data set is the study's folder
		location, _, _ := strings.Cut(data, "?")
		return names.UID(path.Base(location))
	}
	return path.Join(path.Dir(folder), names.UID(path.Base(folder)))
}

// index makes or finds a study's index.
func (f *IndexFn) index(ctx context.Context, r *transforms.Report, data *source.Source, study *transforms.Study, folder string, names *pseudonym.Key,
	recipe artifacts.Recipe, objects []source.Object) error {
	res, err := r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) {
		files, err := headers(ctx, data, folder, objects, f.Options.Limits)
		if err != nil {
			return artifacts.Content{}, err
		}
		x, err := Build(folder, files, f.Options)
		if err != nil {
			return artifacts.Content{}, err
		}
		content, err := x.Marshal()
		if err != nil {
			return artifacts.Content{}, err
		}
		note, err := json.Marshal(summary{names.UID(x.StudyUID), x.warnings(names != nil)})
		return artifacts.Content{Data: content, Note: note}, err
	})
	if err != nil {
		return err
	}
	var s summary
	if err := json.Unmarshal(res.Note, &s); err != nil {
		return fmt.Errorf("ingest: note of the index: %w", err)
	}
	study.UID, study.Index = s.UID, res.Output.Digest.String()
	if s.Warnings != "" {
		r.Row(artifacts.Row{Verdict: transforms.Warned, Hit: true, Reason: "warnings", Detail: s.Warnings})
	}
	return nil
}

// summary is what the run must know of an index without reading it.
type summary struct {
	UID      string `json:"uid"`
	Warnings string `json:"warnings,omitempty"`
}

func (x *Index) warnings(nameless bool) string {
	lines := make([]string, len(x.Warnings))
	for i, w := range x.Warnings {
		if nameless {
			w = w.Nameless()
		}
		lines[i] = w.String()
	}
	return strings.Join(lines, "; ")
}

func (f *IndexFn) recipe(folder string, objects []source.Object) artifacts.Recipe {
	listing, err := artifacts.DigestOfJSON(objects)
	if err != nil {
		panic(err) // strings and integers always marshal
	}
	o := f.Options
	o.fill()
	params := []artifacts.Param{
		{Name: "folder", Value: folder},
		{Name: "min_slices", Value: strconv.Itoa(o.MinSlices)},
		{Name: "tilt_degrees", Value: strconv.FormatFloat(o.TiltDegrees, 'g', -1, 64)},
		{Name: "uneven", Value: strconv.FormatFloat(o.Uneven, 'g', -1, 64)},
	}
	for _, policy := range []struct {
		name  string
		codes []refusal.Code
	}{{"set_aside", o.SetAside}, {"refuse", o.Refuse}, {"resample", o.Resample}, {"accept", o.Accept}} {
		if len(policy.codes) > 0 {
			params = append(params, artifacts.Param{Name: policy.name, Value: fmt.Sprint(slices.Compact(slices.Sorted(slices.Values(policy.codes))))})
		}
	}
	// Limits only refuse, so that a study which was accepted under higher ones stays accepted: its index is there, and is what they would make of
	// it, too. Where files beyond them are set aside they say what is in the index.
	if slices.Contains(o.SetAside, OverLimit) {
		l := o.Limits.WithDefaults()
		params = append(params, artifacts.Param{Name: "limits", Value: fmt.Sprintf("bytes %d, depth %d, elements %d, pixels %d", l.Bytes, l.Depth, l.Elements, l.Pixels)})
	}
	return artifacts.Recipe{Transform: "index", Version: Version, Params: params,
		Inputs: []artifacts.Input{{Name: "listing", Digest: listing}}}
}

// listing returns the files of a study, at most one folder deep (a folder a series), with keys relative
// to the study's folder, and the folders that lie deeper.
func listing(ctx context.Context, data *source.Source, folder string) (all []source.Object, deeper []string, err error) {
	all, below, err := data.List(ctx, folder)
	if err != nil {
		return nil, nil, err
	}
	for _, series := range below {
		objects, folders, err := data.List(ctx, path.Join(folder, series))
		if err != nil {
			return nil, nil, err
		}
		all = append(all, objects...)
		for _, f := range folders {
			deeper = append(deeper, path.Join(folder, series, f))
		}
	}
	if folder != "" {
		for i := range all {
			all[i].Key = strings.TrimPrefix(all[i].Key, folder+"/")
		}
	}
	return all, deeper, nil
}

// headersAtOnce bounds the range requests of one study that are under way at a time.
const headersAtOnce = 8

// headers reads the header of every file. An object of several frames with a geometry of their own counts as so many files.
func headers(ctx context.Context, data *source.Source, folder string, objects []source.Object, limits dicom.Limits) ([]File, error) {
	files := make([][]File, len(objects))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(headersAtOnce)
	for i, o := range objects {
		g.Go(func() (err error) {
			// A panic must not take the process with it, nor its text, which may quote the file, to the terminal.
			defer func() {
				if p := recover(); p != nil {
					err = refusal.Recovered(p).About(o.Key)
				}
			}()
			there := o
			there.Key = path.Join(folder, o.Key)
			h, err := dicom.ReadHeader(data.ReaderAt(ctx, there), o.Size, &dicom.Options{Limits: limits})
			var frames []*dicom.Header
			if err == nil {
				frames, err = h.Split()
			}
			for _, f := range frames {
				files[i] = append(files[i], File{Object: o, Header: f})
			}
			if len(frames) == 0 {
				if err != nil {
					h = nil
				}
				files[i] = []File{{Object: o, Header: h, Err: err}}
			}
			return ctx.Err()
		})
	}
	err := g.Wait()
	return slices.Concat(files...), err
}

// Read returns the index of a study, which this process remembers for the steps that follow.
func Read(ctx context.Context, r *transforms.Report, digest string) (*Index, error) {
	if x, ok := recent.get(digest); ok {
		return x, nil
	}
	content, err := r.Get(ctx, digest)
	if err != nil {
		return nil, err
	}
	x, err := Unmarshal(content)
	if err == nil {
		recent.put(digest, x)
	}
	return x, err
}

// recent holds the indexes of the studies that are on their way through this process: three steps read
// each. An index is about 100 kB in memory.
var recent = newMemory(64)

type memory struct {
	sync.Mutex
	size  int
	order []string
	byKey map[string]*Index
}

func newMemory(size int) *memory { return &memory{size: size, byKey: map[string]*Index{}} }

func (m *memory) get(key string) (*Index, bool) {
	m.Lock()
	defer m.Unlock()
	x, ok := m.byKey[key]
	return x, ok
}

func (m *memory) put(key string, x *Index) {
	m.Lock()
	defer m.Unlock()
	if _, ok := m.byKey[key]; ok {
		return
	}
	if len(m.order) == m.size {
		delete(m.byKey, m.order[0])
		m.order = m.order[1:]
	}
	m.order, m.byKey[key] = append(m.order, key), x
}
