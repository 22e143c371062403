package crop

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/planezstd"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/decode"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/shard"
)

func init() {
	register.DoFn4x1[context.Context, transforms.Study, func(transforms.Study), func(artifacts.Row), error](&BoxesFn{})
	register.DoFn4x1[context.Context, transforms.Study, func(int, transforms.Sample), func(artifacts.Row), error](&DoFn{})
	register.DoFn4x1[context.Context, transforms.Study, func(transforms.Vertebrae), func(artifacts.Row), error](&StudyFn{})
	transforms.WorksApart(func(ctx context.Context, f *DoFn, study transforms.Study, emit func(transforms.Keyed[transforms.Sample]), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, study, func(key int, value transforms.Sample) {
			emit(transforms.Keyed[transforms.Sample]{Key: key, Value: value})
		}, outcome)
	})
	transforms.WorksApart(func(ctx context.Context, f *StudyFn, study transforms.Study, emit func(transforms.Vertebrae), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, study, emit, outcome)
	})
}

// BoxesFn finds the boxes of each study's vertebrae.
type BoxesFn struct {
	transforms.Site
	Options BoxOptions
}

// Located is what the boxes of a study say of one level, with the digest of the part of the mask that its
// crop takes: a crop is made again only if its own box or its own patch changes.
type Located struct {
	Verdict
	Patch artifacts.Digest `json:"patch"`
}

// ParseLocated reads what BoxesFn stores: an entry for each level.
func ParseLocated(content []byte) ([]Located, error) {
	var all []Located
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, fmt.Errorf("crop: boxes: %w", err)
	}
	return all, nil
}

// ProcessElement emits the study with its boxes.
func (f *BoxesFn) ProcessElement(ctx context.Context, study transforms.Study, emit func(transforms.Study), outcome func(artifacts.Row)) error {
	ok, err := f.Run(ctx, "boxes", study.Name(), &study.Pending, outcome, func(r *transforms.Report) error {
		mask, err := artifacts.ParseDigest(study.Mask)
		if err != nil {
			return err
		}
		recipe := artifacts.Recipe{Transform: "boxes", Version: Version, Params: f.Options.params(),
			Inputs: []artifacts.Input{{Name: "mask", Digest: mask}}}
		return r.Once(ctx, []any{study, recipe.Digest()}, &study, func() error {
			res, err := r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) { return f.locate(ctx, r, study.Mask) })
			study.Boxes = res.Output.Digest.String()
			return err
		})
	})
	if ok {
		emit(study)
	}
	return err
}

// locate makes a study's boxes.
func (f *BoxesFn) locate(ctx context.Context, r *transforms.Report, digest string) (artifacts.Content, error) {
	mask, err := r.Tensor(ctx, digest)
	if err != nil {
		return artifacts.Content{}, err
	}
	defer mask.Release()
	var found []Located
	for _, v := range Boxes(mask, f.Options) {
		entry := Located{Verdict: v}
		if v.Found {
			entry.Patch = artifacts.DigestOf(Patch(mask, v.Box).Bytes())
		}
		found = append(found, entry)
	}
	data, err := json.Marshal(found)
	return artifacts.Content{Data: data}, err
}

// DoFn cuts the vertebrae out of each study.
type DoFn struct {
	transforms.Site
	// Buckets is the number of shards.
	Buckets int
	Keep    Keep
}

// one is a vertebra on its way through cutStudy.
type one struct {
	Located
	recipe artifacts.Recipe
	result artifacts.Result
}

// ProcessElement emits a sample for every level of the study, keyed by its shard.
func (f *DoFn) ProcessElement(ctx context.Context, study transforms.Study, emit func(int, transforms.Sample), outcome func(artifacts.Row)) error {
	if f.Apart() {
		return transforms.WorkApart(ctx, f, "crop", study.Name(), study, func(out transforms.Keyed[transforms.Sample]) { emit(out.Key, out.Value) }, outcome)
	}
	samples, ok, err := cutStudy(ctx, f.Site, f.Keep, &study, outcome)
	if ok {
		bucket := shard.Bucket(study.Key(), f.Buckets)
		for _, s := range samples {
			emit(bucket, s)
		}
	}
	return err
}

// StudyFn cuts the vertebrae out of each study, and keeps them together.
type StudyFn struct {
	transforms.Site
	Keep Keep
}

// ProcessElement emits the study with its samples.
func (f *StudyFn) ProcessElement(ctx context.Context, study transforms.Study, emit func(transforms.Vertebrae), outcome func(artifacts.Row)) error {
	if f.Apart() {
		return transforms.WorkApart(ctx, f, "crop", study.Name(), study, emit, outcome)
	}
	samples, ok, err := cutStudy(ctx, f.Site, f.Keep, &study, outcome)
	if ok {
		emit(transforms.Vertebrae{Folder: study.Folder, UID: study.Key(), Samples: samples, Pending: study.Pending})
	}
	return err
}

// cutStudy makes or finds a study's crops, and returns a sample for every level.
func cutStudy(ctx context.Context, site transforms.Site, keep Keep, study *transforms.Study, outcome func(artifacts.Row)) (samples []transforms.Sample, ok bool, err error) {
	data, err := source.Shared(ctx, site.Data)
	if err != nil {
		return nil, false, err
	}
	ok, err = site.Run(ctx, "crop", study.Name(), &study.Pending, outcome, func(r *transforms.Report) error {
		return r.Once(ctx, []any{study, Version, decode.Version, keep, KeepVersion}, &samples, func() (err error) {
			samples, err = cutSamples(ctx, r, data, keep, *study)
			return err
		})
	})
	if study.Pending {
		samples = nil
		for level := range volume.Levels {
			samples = append(samples, transforms.Sample{Folder: study.Folder, UID: study.UID, Level: level, Pending: true})
		}
	}
	return samples, ok, err
}

func cutSamples(ctx context.Context, r *transforms.Report, data *source.Source, keep Keep, study transforms.Study) (samples []transforms.Sample, err error) {
	index, err := ingest.Read(ctx, r, study.Index)
	if err != nil {
		return nil, err
	}
	levels, err := levels(ctx, r, study, index)
	if err != nil {
		return nil, err
	}
	k := keeping{Keep: keep, r: r, study: study, index: index}
	stay, err := k.kept(ctx, levels)
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(levels), func(l *one) bool { _, ok := stay[l.Level]; return ok })
	if err := cut(ctx, r, study, decode.NewReader(data, index), len(index.Slices), others); err != nil {
		return nil, err
	}
	for _, l := range levels {
		if kept, ok := stay[l.Level]; ok {
			samples = append(samples, kept)
			continue
		}
		s := transforms.Sample{Folder: study.Folder, UID: study.UID, Index: study.Index, Level: l.Level, Found: l.Found,
			Mask: study.Mask, Segmenter: study.Segmenter}
		if l.Found {
			s.Crop = l.result.Output.Digest.String()
			s.Box = boxNumbers(l.Box)
			s.SourceBox = SourceBox(l.Box, index.Rows, index.Columns, len(index.Slices))
			for _, p := range Positions(l.Box, len(index.Slices)) {
				s.ZPositions = append(s.ZPositions, p.Slice)
			}
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// levels reads the study's boxes and says what each crop would be made of.
func levels(ctx context.Context, r *transforms.Report, study transforms.Study, index *ingest.Index) ([]*one, error) {
	content, err := r.Get(ctx, study.Boxes)
	if err != nil {
		return nil, err
	}
	found, err := ParseLocated(content)
	if err != nil {
		return nil, err
	}
	var levels []*one
	for _, l := range found {
		l.Verdict = Fit(l.Verdict, index.Rows, index.Columns, len(index.Slices))
		o := &one{Located: l}
		levels = append(levels, o)
		if !l.Found {
			continue
		}
		if o.recipe, err = recipe(index, l); err != nil {
			return nil, err
		}
	}
	return levels, nil
}

// recipe names all that one crop depends on: its box, its part of the mask, and the slices it reads.
func recipe(index *ingest.Index, l Located) (artifacts.Recipe, error) {
	n := len(index.Slices)
	type stack struct {
		Slice int // where the stack lies; slices beyond the study's ends are missing
		Of    []ingest.Stored
	}
	var stacks []stack
	for _, p := range Positions(l.Box, n) {
		st := stack{Slice: p.Slice}
		for z := p.Slice - Neighbours; z <= p.Slice+Neighbours; z++ {
			if z >= 0 && z < n {
				st.Of = append(st.Of, index.Stored(z, false))
			}
		}
		stacks = append(stacks, st)
	}
	slices, err := artifacts.DigestOfJSON(stacks)
	return artifacts.Recipe{Transform: "crop", Version: Version,
		Params: []artifacts.Param{
			{Name: "decode", Value: strconv.Itoa(decode.Version)},
			{Name: "level", Value: volume.LevelName(l.Level)},
			{Name: "box", Value: l.Box.text()},
			{Name: "grid", Value: fmt.Sprint(index.Rows, index.Columns, n)},
		},
		Inputs: []artifacts.Input{{Name: "patch", Digest: l.Patch}, {Name: "slices", Digest: slices}}}, err
}

// cut finds the crops that are cached and makes all others in one pass over the study's slices.
func cut(ctx context.Context, r *transforms.Report, study transforms.Study, slices *decode.Reader, n int, levels []*one) error {
	var missing []*one
	for _, l := range levels {
		if !l.Found {
			r.Row(artifacts.Row{Part: l.name(), Verdict: transforms.NotFound, Hit: true, Reason: string(l.Reason)})
			continue
		}
		known, err := r.Known(ctx, l.name(), l.recipe)
		if err != nil {
			return err
		}
		if known == nil {
			missing = append(missing, l)
			continue
		}
		l.result = *known
	}
	if len(missing) == 0 {
		return nil
	}
	if r.Planning() {
		return transforms.ErrPlanned
	}
	mask, err := r.Tensor(ctx, study.Mask)
	if err != nil {
		return err
	}
	boxes, patches := make([]Box, len(missing)), make([]*npy.Array, len(missing))
	for i, l := range missing {
		boxes[i], patches[i] = l.Box, Patch(mask, l.Box)
	}
	mask.Release()
	opts := Options{Release: decode.Release}
	lap := newLap()
	return Each(ctx, boxes, patches, n, slices.Slice, opts, func(i int, tensor *npy.Array) error {
		seconds := lap.next()
		var err error
		missing[i].result, err = r.Do(ctx, missing[i].name(), missing[i].recipe, func(context.Context) (artifacts.Content, error) {
			content := transforms.Packed(tensor, planes)
			content.Seconds = seconds
			return content, nil
		})
		return err
	})
}

// planes are a crop's, which repeat from place to place. Shards take its frames as they are.
var planes = planezstd.Layout{Row: Size, Plane: planeSize}

// lap shares the time of one pass out among the crops that it makes: to each the time since the one before.
type lap struct {
	sync.Mutex
	last time.Time
}

func newLap() *lap { return &lap{last: time.Now()} }

func (l *lap) next() float64 {
	l.Lock()
	defer l.Unlock()
	now := time.Now()
	seconds := now.Sub(l.last).Seconds()
	l.last = now
	return seconds
}

func (o *one) name() string { return volume.LevelName(o.Level) }

// params is what of the options belongs to the recipe.
func (o BoxOptions) params() []artifacts.Param {
	o = o.withDefaults()
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	return []artifacts.Param{{Name: "strict", Value: number(o.Strict)}, {Name: "loose", Value: number(o.Loose)}, {Name: "island", Value: number(max(0, o.Island))}}
}
