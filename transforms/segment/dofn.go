package segment

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/resample"
)

func init() {
	register.DoFn4x1[context.Context, transforms.Study, func(transforms.Study), func(artifacts.Row), error](&DoFn{})
	register.DoFn4x1[context.Context, transforms.Study, func(transforms.Study), func(artifacts.Row), error](&LabelsFn{})
	transforms.WorksApart(func(ctx context.Context, f *DoFn, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, study, emit, outcome)
	})
	transforms.WorksApart(func(ctx context.Context, f *LabelsFn, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, study, emit, outcome)
	})
}

// Version is raised when equal volumes, models and label files may make other masks. It belongs to the
// recipe.
const Version = 1

// Model names a segmenter: ONNX files in the artifact store, and how they are run. Several files are an ensemble, whose
// probabilities are averaged.
type Model struct {
	// Digests are the files'. There is none for the label files that lie beside the studies.
	Digests []string `toml:"-"`
	// Engine is the engine's name. Check settles it where it is empty or "auto", so that all workers run the same.
	Engine string
	// Precision is "f32" (default), "bf16", or "int8" for quantised models.
	Precision string
}

// Labels tells whether masks come from label files.
func (m Model) Labels() bool { return len(m.Digests) == 0 }

// Digest is what masks are said to come from: the file's digest, or that of the list of an ensemble's.
func (m Model) Digest() (string, error) {
	if len(m.Digests) == 1 {
		return m.Digests[0], nil
	}
	d, err := artifacts.DigestOfJSON(m.Digests)
	return d.String(), err
}

// CompileOptions returns how the model's files are compiled. Its precision is settled by Check.
func (m Model) CompileOptions() *models.CompileOptions {
	o := &models.CompileOptions{Precision: models.Precision(m.Precision), EqualChannels: true}
	if o.Precision == "" {
		o.Precision = models.F32
	}
	return o
}

// Check says what is wrong with a model's file before a run begins: that it is no segmenter, or that this
// machine lacks the engine or the precision. A precision that is left open becomes int8 by a quantised model, and an engine that is
// left open the best of this machine.
func (m *Model) Check(file []byte) error {
	info, err := models.Info(file)
	if err != nil {
		return err
	}
	if _, err := CheckPorts(declared{in: ports(info.Inputs), out: ports(info.Outputs)}); err != nil {
		return err
	}
	return engines.Settle(&m.Engine, &m.Precision, file, *m.CompileOptions())
}

// declared is a network as its file declares it, not yet compiled: ports and nothing else.
type declared struct {
	models.Network
	in, out []models.Port
}

func (d declared) Inputs() []models.Port  { return d.in }
func (d declared) Outputs() []models.Port { return d.out }

func ports(values []onnx.ValueInfo) []models.Port {
	out := make([]models.Port, len(values))
	for i, v := range values {
		out[i].Name = v.Name
		for _, d := range v.Shape {
			out[i].Shape = append(out[i].Shape, int(d))
		}
	}
	return out
}

// shared are the networks of this process.
var shared models.Shared

// DoFn makes the mask of each study with a model.
type DoFn struct {
	transforms.Site
	Model Model
}

// ProcessElement emits the study with its mask.
func (f *DoFn) ProcessElement(ctx context.Context, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
	if f.Apart() {
		return transforms.WorkApart(ctx, f, "segment", study.Name(), study, emit, outcome)
	}
	engine, err := engines.Find(f.Model.Engine, engines.Inference)
	if err != nil {
		return err
	}
	ok, err := f.Run(ctx, "segment", study.Name(), &study.Pending, outcome, func(r *transforms.Report) error {
		recipe, err := f.recipe(study, engine)
		if err != nil {
			return err
		}
		return r.Once(ctx, []any{study, recipe.Digest()}, &study, func() error { return f.mask(ctx, r, &study, recipe, engine) })
	})
	if ok {
		emit(study)
	}
	return err
}

// mask makes or finds a study's mask.
func (f *DoFn) mask(ctx context.Context, r *transforms.Report, study *transforms.Study, recipe artifacts.Recipe, engine models.Engine) error {
	res, err := r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) {
		// A model that can't be compiled is every study's trouble.
		nets, err := f.networks(ctx, r, engine)
		if err != nil {
			return artifacts.Content{}, transforms.Fatal(fmt.Errorf("segmenter: %w", err))
		}
		vol, err := r.Tensor(ctx, study.Volume)
		if err != nil {
			return artifacts.Content{}, err
		}
		mask, err := Infer(ctx, nets, vol)
		if err != nil {
			return artifacts.Content{}, err
		}
		return artifacts.Content{Data: mask.Bytes(), Release: mask.Release}, nil
	})
	if err != nil {
		return err
	}
	study.Mask = res.Output.Digest.String()
	study.Segmenter, err = f.Model.Digest()
	return err
}

// networks returns the compiled networks of the ensemble.
func (f *DoFn) networks(ctx context.Context, r *transforms.Report, engine models.Engine) ([]models.Network, error) {
	nets := make([]models.Network, len(f.Model.Digests))
	for i, digest := range f.Model.Digests {
		var err error
		nets[i], err = shared.Network(ctx, engine, digest, func(ctx context.Context) ([]byte, error) {
			return r.Get(ctx, digest)
		}, f.Model.CompileOptions())
		if err != nil {
			return nil, err
		}
	}
	return nets, nil
}

func (f *DoFn) recipe(study transforms.Study, engine models.Engine) (artifacts.Recipe, error) {
	vol, err := artifacts.ParseDigest(study.Volume)
	if err != nil {
		return artifacts.Recipe{}, err
	}
	inputs := []artifacts.Input{{Name: "volume", Digest: vol}}
	for _, digest := range f.Model.Digests {
		model, err := artifacts.ParseDigest(digest)
		if err != nil {
			return artifacts.Recipe{}, err
		}
		inputs = append(inputs, artifacts.Input{Name: "model", Digest: model})
	}
	return artifacts.Recipe{Transform: "segment", Version: Version,
		Params: []artifacts.Param{
			{Name: "engine", Value: engine.Identity()},
			{Name: "precision", Value: string(f.Model.CompileOptions().Precision)},
		},
		Inputs: inputs}, nil
}

// The reason codes of masks from label files.
const (
	NoLabels    refusal.Code = "no_label_mask"
	NoOverlap   refusal.Code = "labels_elsewhere"
	EmptyLabels refusal.Code = "labels_empty"
	PartOverlap refusal.Code = "labels_cover_part" // a warning
)

// LabelsFn makes the mask of each study from a label file beside the studies. A study without one is
// skipped.
type LabelsFn struct {
	transforms.Site
	// Size is the number of slices that the volume has.
	Size   int
	Values LabelValues
}

// NewLabelsFn returns the DoFn for masks on the grid of these volumes, from label files with these values.
func NewLabelsFn(site transforms.Site, o resample.Options, values LabelValues) *LabelsFn {
	return &LabelsFn{Site: site, Size: o.WithDefaults().Size, Values: values}
}

// ProcessElement emits the study with its mask.
func (f *LabelsFn) ProcessElement(ctx context.Context, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
	if f.Apart() {
		return transforms.WorkApart(ctx, f, "segment", study.Name(), study, emit, outcome)
	}
	data, err := source.Shared(ctx, f.Data)
	if err != nil {
		return err
	}
	ok, err := f.Run(ctx, "segment", study.Name(), &study.Pending, outcome, func(r *transforms.Report) error {
		file, err := f.find(ctx, r, data, study)
		if err != nil {
			return err
		}
		given := []any{study, Version, f.Size, file}
		if f.Values != nil {
			given = append(given, f.Values)
		}
		return r.Once(ctx, given, &study, func() error { return f.mask(ctx, r, data, &study, file) })
	})
	if ok {
		emit(study)
	}
	return err
}

// mask makes or finds a study's mask.
func (f *LabelsFn) mask(ctx context.Context, r *transforms.Report, data *source.Source, study *transforms.Study, file source.Object) error {
	index, err := ingest.Read(ctx, r, study.Index)
	if err != nil {
		return err
	}
	var planes []SlicePlane
	for _, i := range resample.Pick(len(index.Slices), f.Size) {
		planes = append(planes, SlicePlane{Affine: index.Affine(i)})
	}
	recipe, err := f.recipe(file, planes, index)
	if err != nil {
		return err
	}
	res, err := r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) {
		return f.compute(ctx, data, file, planes, index)
	})
	if err != nil {
		return err
	}
	names, err := f.Pseudonyms()
	if err != nil {
		return err
	}
	study.Mask, study.Segmenter = res.Output.Digest.String(), names.Digest(identity(file).String())
	return warnOfGaps(r, res)
}

// warnOfGaps reports a label image that leaves part of the slices uncovered.
func warnOfGaps(r *transforms.Report, res artifacts.Result) error {
	var c Coverage
	if err := json.Unmarshal(res.Note, &c); err != nil {
		return fmt.Errorf("segment: note of the mask: %w", err)
	}
	if c.Inside < 0.99 {
		r.Row(artifacts.Row{Verdict: transforms.Warned, Hit: true, Reason: string(PartOverlap),
			Detail: fmt.Sprintf("the label image covers %.0f %% of the slices' pixels; the rest counts as background", 100*c.Inside)})
	}
	return nil
}

func (f *LabelsFn) compute(ctx context.Context, data *source.Source, file source.Object, planes []SlicePlane, index *ingest.Index) (artifacts.Content, error) {
	img, err := readLabels(ctx, data, file)
	if err != nil {
		return artifacts.Content{}, fmt.Errorf("%s: %w", file.Key, err)
	}
	mask, coverage, err := FromLabels(img, f.Values, planes, index.Rows, index.Columns)
	if err != nil {
		return artifacts.Content{}, fmt.Errorf("%s: %w", file.Key, err)
	}
	if coverage.Inside == 0 {
		return artifacts.Content{}, refusal.New(NoOverlap, "check the affines of the label file and of the slices",
			"the label image and the slices have no point in common").About(file.Key)
	}
	if coverage.Pixels == ([volume.Levels]int{}) {
		values := "1,2,3,4,5,6,7"
		if f.Values != nil {
			values = f.Values.String()
		}
		return artifacts.Content{}, refusal.New(EmptyLabels, "say with --labels which values the label file has for C1 to C7",
			"no slice shows any of the labels %s", values).About(file.Key)
	}
	note, err := json.Marshal(coverage)
	return artifacts.Content{Data: mask.Bytes(), Release: mask.Release, Note: note}, err
}

// readLabels reads a label file as it is unpacked: of the file no more than a part is held, and of the voxels no more than nifti.Options allow.
func readLabels(ctx context.Context, data *source.Source, file source.Object) (*nifti.Image, error) {
	const part = 4 << 20 // a request to a bucket takes as long as reading a few MB
	content := io.NewSectionReader(data.ReaderAt(ctx, file), 0, file.Size)
	return nifti.Read(bufio.NewReaderSize(content, part), nil)
}

func (f *LabelsFn) recipe(file source.Object, planes []SlicePlane, index *ingest.Index) (artifacts.Recipe, error) {
	grid, err := artifacts.DigestOfJSON(planes)
	params := []artifacts.Param{
		{Name: "rows", Value: strconv.Itoa(index.Rows)},
		{Name: "columns", Value: strconv.Itoa(index.Columns)},
	}
	if f.Values != nil {
		params = append(params, artifacts.Param{Name: "values", Value: f.Values.String()})
	}
	return artifacts.Recipe{Transform: "labels", Version: Version, Params: params,
		Inputs: []artifacts.Input{{Name: "labels", Digest: identity(file)}, {Name: "planes", Digest: grid}}}, err
}

// identity is what a file in the data set is known by without being read.
func identity(file source.Object) artifacts.Digest {
	d, err := artifacts.DigestOfJSON(file)
	if err != nil {
		panic(err) // strings and an integer always marshal
	}
	return d
}

// find looks for a study's label file. Under pseudonyms its real names are those that the index has.
func (f *LabelsFn) find(ctx context.Context, r *transforms.Report, data *source.Source, study transforms.Study) (source.Object, error) {
	if f.KeyFile == "" {
		return findLabels(ctx, data, study)
	}
	index, err := ingest.Read(ctx, r, study.Index)
	if err != nil {
		return source.Object{}, err
	}
	file, err := findLabels(ctx, data, transforms.Study{UID: index.StudyUID, Folder: index.Folder})
	var none *transforms.Skip
	if errors.As(err, &none) {
		none.Detail = "the study has no file in segmentations"
	}
	return file, err
}

// findLabels looks for a study's label file, by its UID and by its folder's name.
func findLabels(ctx context.Context, data *source.Source, study transforms.Study) (source.Object, error) {
	names := []string{study.UID, path.Base(study.Folder)}
	if names[0] == names[1] {
		names = names[:1]
	}
	for _, name := range names {
		for _, ending := range []string{".nii", ".nii.gz"} {
			file, err := data.Stat(ctx, path.Join("segmentations", name+ending))
			if err == nil || !errors.Is(err, source.ErrNotFound) {
				return file, err
			}
		}
	}
	return source.Object{}, &transforms.Skip{Code: NoLabels, Detail: "no segmentations/" + study.UID + ".nii or .nii.gz beside the studies"}
}
