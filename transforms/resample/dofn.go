package resample

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/decode"
	"github.com/cspine/cspine/transforms/ingest"
)

func init() {
	register.DoFn4x1[context.Context, transforms.Study, func(transforms.Study), func(artifacts.Row), error](&DoFn{})
	transforms.WorksApart(func(ctx context.Context, f *DoFn, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, study, emit, outcome)
	})
}

// DoFn makes the volume of each study. Its fields are those of Options that belong to the recipe: Beam
// takes no functions.
type DoFn struct {
	transforms.Site
	Filter, Values string
	Size           int
}

// NewDoFn returns the DoFn for these options.
func NewDoFn(site transforms.Site, o Options) *DoFn {
	o = o.WithDefaults()
	return &DoFn{Site: site, Filter: o.Filter, Values: o.Values, Size: o.Size}
}

func (f *DoFn) options() Options {
	return Options{Filter: f.Filter, Values: f.Values, Size: f.Size, Release: decode.Release}
}

// ProcessElement emits the study with its volume.
func (f *DoFn) ProcessElement(ctx context.Context, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
	if f.Apart() {
		return transforms.WorkApart(ctx, f, "resample", study.Name(), study, emit, outcome)
	}
	data, err := source.Shared(ctx, f.Data)
	if err != nil {
		return err
	}
	ok, err := f.Run(ctx, "resample", study.Name(), &study.Pending, outcome, func(r *transforms.Report) error {
		given := []any{study, Version, decode.Version, f.Filter, f.Values, f.Size}
		return r.Once(ctx, given, &study, func() error { return f.volume(ctx, r, data, &study) })
	})
	if ok {
		emit(study)
	}
	return err
}

// volume makes or finds a study's volume.
func (f *DoFn) volume(ctx context.Context, r *transforms.Report, data *source.Source, study *transforms.Study) error {
	index, err := ingest.Read(ctx, r, study.Index)
	if err != nil {
		return err
	}
	recipe, err := f.recipe(index)
	if err != nil {
		return err
	}
	res, err := r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) {
		slices := decode.NewReader(data, index)
		get := func(ctx context.Context, i int) (volume.Slice, Rescale, error) {
			s, err := slices.Slice(ctx, i)
			return s, Rescale{Slope: index.Slices[i].Slope, Intercept: index.Slices[i].Intercept}, err
		}
		v, scale, err := Volume(ctx, len(index.Slices), get, f.options())
		if err != nil {
			return artifacts.Content{}, err
		}
		remembered, err := f.note(index, scale)
		return artifacts.Content{Data: v.Bytes(), Release: v.Release, Note: remembered}, err
	})
	study.Volume = res.Output.Digest.String()
	return err
}

// note is what the volume's record remembers.
func (f *DoFn) note(index *ingest.Index, scale Scale) ([]byte, error) {
	known := f.Values == ValuesHU
	if !known {
		scale, known = scale.inHU(index, Pick(len(index.Slices), f.Size))
	}
	if !known {
		return nil, nil
	}
	return json.Marshal(note{&scale})
}

// recipe names the slices that the volume is made of: a slice that is not picked may change freely.
func (f *DoFn) recipe(index *ingest.Index) (artifacts.Recipe, error) {
	var picked []ingest.Stored
	for _, i := range Pick(len(index.Slices), f.Size) {
		picked = append(picked, index.Stored(i, f.Values == ValuesHU))
	}
	slices, err := artifacts.DigestOfJSON(picked)
	return artifacts.Recipe{Transform: "resample", Version: Version,
		Params: []artifacts.Param{
			{Name: "decode", Value: strconv.Itoa(decode.Version)},
			{Name: "filter", Value: f.Filter},
			{Name: "values", Value: f.Values},
			{Name: "size", Value: strconv.Itoa(f.Size)},
		},
		Inputs: []artifacts.Input{{Name: "slices", Digest: slices}}}, err
}
