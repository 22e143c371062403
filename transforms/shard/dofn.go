package shard

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/perprocess"
	"github.com/cspine/cspine/internal/pseudonym"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
)

func init() {
	register.DoFn5x1[context.Context, int, func(*transforms.Sample) bool, func(int, string), func(artifacts.Row), error](&DoFn{})
	register.DoFn5x1[context.Context, int, func(*transforms.Labelled) bool, func(int, string), func(artifacts.Row), error](&SegmentationFn{})
	register.DoFn3x1[context.Context, int, func(*string) bool, error](&DatasetFn{})
	register.Emitter2[int, string]()
	register.Iter1[string]()
}

// Layout says how a data set is cut into shards and folds.
type Layout struct {
	// Buckets is the number of shards; zero lets the number of studies decide (see Buckets).
	Buckets int
	// Folds is the number of cross-validation folds; zero means 5.
	Folds int
}

func (l *Layout) fill() {
	if l.Folds == 0 {
		l.Folds = 5
	}
}

// TransformVersion is raised when equal samples may make another shard. It belongs to the recipe.
const TransformVersion = 1

// DuplicateStudy is the reason of a study that lies in two folders of one data set.
const DuplicateStudy refusal.Code = "duplicate_study"

// LabelsKey is where a data set keeps its labels.
const LabelsKey = "train.csv"

// DoFn writes one shard of crops from the samples of its bucket.
type DoFn struct {
	transforms.Site
	Layout Layout
}

// ProcessElement emits what the data set's manifest says of the shard, as JSON.
func (f *DoFn) ProcessElement(ctx context.Context, bucket int, next func(*transforms.Sample) bool, emit func(int, string), outcome func(artifacts.Row)) error {
	data, err := source.Shared(ctx, f.Data)
	if err != nil {
		return err
	}
	b := one{f.Site, bucket, outcome, emit}
	return b.run(ctx, func(r *transforms.Report) (entry, error) {
		samples, waiting := gather(r, next, func(s transforms.Sample) (string, string, int, bool) { return s.UID, s.Folder, s.Level, s.Pending })
		if waiting {
			return entry{}, transforms.ErrPending
		}
		names, err := f.Pseudonyms()
		if err != nil {
			return entry{}, transforms.Fatal(err)
		}
		labels, err := sharedLabels(ctx, f.Site, data, names)
		if err != nil {
			return entry{}, transforms.Fatal(err)
		}
		layout := f.Layout
		layout.fill()
		rows := make([]Sample, 0, len(samples))
		var made []inputs
		for _, s := range samples {
			if s.Found {
				rows, made = append(rows, describe(s, labels, layout.Folds)), append(made, inputs{{s.UID + "/" + volume.LevelName(s.Level), s.Crop}})
			}
		}
		e := entry{NotFound: notFound(samples)}
		if len(rows) == 0 {
			return e, nil
		}
		recipe, err := recipeOf("shard", rows, made)
		if err != nil {
			return e, err
		}
		err = r.Once(ctx, []any{recipe.Digest(), e.NotFound, layout}, &e, func() error {
			res, err := writeShard(ctx, r, crops, recipe, rows, made)
			if err == nil {
				e.set(NewPart(FileName(bucket, layout.Buckets), res.Output.Size, res.Output.Digest.String(), rows))
			}
			return err
		})
		return e, err
	})
}

// one is one shard being made.
type one struct {
	transforms.Site
	bucket  int
	outcome func(artifacts.Row)
	emit    func(int, string)
}

// run runs the step that makes the shard, and emits its entry.
func (o one) run(ctx context.Context, do func(*transforms.Report) (entry, error)) error {
	pending := false
	_, err := o.Run(ctx, "shard", fmt.Sprintf("shard-%05d", o.bucket), &pending, o.outcome, func(r *transforms.Report) error {
		e, err := do(r)
		if err != nil {
			return err
		}
		text, err := json.Marshal(e)
		o.emit(0, string(text))
		return err
	})
	return err
}

// gather sorts a bucket's samples, of which key tells UID, folder, level and whether they are pending, and drops a study that came
// from a second folder. If any is pending, waiting is all that it tells.
func gather[T any](r *transforms.Report, next func(*T) bool, key func(T) (uid, folder string, level int, pending bool)) (samples []T, waiting bool) {
	for {
		var s T
		if !next(&s) {
			break
		}
		_, _, _, pending := key(s)
		samples, waiting = append(samples, s), waiting || pending
	}
	if waiting {
		return nil, true
	}
	slices.SortFunc(samples, func(a, b T) int {
		uidA, folderA, levelA, _ := key(a)
		uidB, folderB, levelB, _ := key(b)
		return cmp.Or(cmp.Compare(uidA, uidB), cmp.Compare(folderA, folderB), cmp.Compare(levelA, levelB))
	})
	home, reported := map[string]string{}, map[string]bool{}
	return slices.DeleteFunc(samples, func(s T) bool {
		uid, folder, _, _ := key(s)
		first, seen := home[uid]
		if !seen {
			home[uid] = folder
			return false
		}
		if folder == first {
			return false
		}
		if !reported[folder] {
			reported[folder] = true
			r.Row(artifacts.Row{Verdict: transforms.Refused, Reason: string(DuplicateStudy),
				Detail: fmt.Sprintf("study %s lies in %s and in %s; the first is used", uid, first, folder),
				Remedy: "remove one of the two folders"})
		}
		return true
	}), false
}

// entry is what DatasetFn must know of one bucket.
type entry struct {
	Part            *Part // nil where the bucket has no sample
	Balance         []Balance
	Segmenters      []string
	Found, NotFound map[string]int
}

func (e *entry) set(p Part) {
	e.Part, e.Balance, e.Segmenters, e.Found = &p, p.balance, p.segmenters, p.found
}

func (e *entry) part() Part {
	p := *e.Part
	p.balance, p.segmenters, p.found = e.Balance, e.Segmenters, e.Found
	return p
}

// notFound counts, by vertebra, the studies without it.
func notFound(samples []transforms.Sample) map[string]int {
	n := map[string]int{}
	for _, s := range samples {
		if !s.Found {
			n[volume.LevelName(s.Level)]++
		}
	}
	return n
}

var tables perprocess.Shared[map[string]Labels]

// sharedLabels returns the data set's labels by the names that studies have in this run. A process reads the file once as long as it stays the
// same: there are thousands of shards to a table of hundreds of thousands of studies.
func sharedLabels(ctx context.Context, site transforms.Site, data *source.Source, names *pseudonym.Key) (map[string]Labels, error) {
	file, err := data.Stat(ctx, LabelsKey)
	if errors.Is(err, source.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return tables.Get(fmt.Sprintf("%s\n%s\n%v", site.Data, site.KeyID, file), func() (map[string]Labels, error) {
		labels, err := readLabels(ctx, data)
		return underPseudonyms(names, labels), err
	})
}

func readLabels(ctx context.Context, data *source.Source) (map[string]Labels, error) {
	const most = 64 << 20 // a row is about 80 bytes
	file, err := data.ReadAll(ctx, LabelsKey, most)
	if err != nil {
		return nil, err
	}
	labels, err := ReadLabels(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", LabelsKey, err)
	}
	return labels, nil
}

// underPseudonyms gives labels the names that their studies have in this run.
func underPseudonyms(names *pseudonym.Key, labels map[string]Labels) map[string]Labels {
	if names == nil {
		return labels
	}
	renamed := make(map[string]Labels, len(labels))
	for uid, l := range labels {
		renamed[names.UID(uid)] = l
	}
	return renamed
}

// cropShape is the shape of the tensors this data set is made of; see package crop.
var cropShape = []int{15, 6, 224, 224}

// describe makes a row of the shard, without its tensor.
func describe(s transforms.Sample, labels map[string]Labels, folds int) Sample {
	row := Sample{Shape: cropShape, DType: "uint8", StudyUID: s.UID, Vertebra: volume.LevelName(s.Level), Fold: Fold(s.UID, folds),
		ZPositions: s.ZPositions, MaskDigest: s.Mask, CropDigest: s.Crop, SegmenterDigest: s.Segmenter}
	pair := func(v []int, i int) [2]int { return [2]int{v[2*i], v[2*i+1]} }
	row.Box = Box{Rows: pair(s.Box, 0), Columns: pair(s.Box, 1), Slices: pair(s.Box, 2),
		SourceRows: pair(s.SourceBox, 0), SourceColumns: pair(s.SourceBox, 1), SourceSlices: pair(s.SourceBox, 2)}
	if l, ok := labels[s.UID]; ok {
		row.Label, row.PatientLabel = l.Levels[s.Level], l.Patient
	}
	return row
}

// inputs names the artifacts that a row's tensors are, in the order of their columns.
type inputs []input

type input struct{ name, digest string }

// recipeOf names all that a shard depends on: its rows, and the artifacts that their tensors are.
func recipeOf[S any](transform string, rows []S, made []inputs) (artifacts.Recipe, error) {
	meta, err := artifacts.DigestOfJSON(rows)
	if err != nil {
		return artifacts.Recipe{}, err
	}
	recipe := artifacts.Recipe{Transform: transform, Version: TransformVersion,
		Inputs: []artifacts.Input{{Name: "rows", Digest: meta}}}
	for _, in := range made {
		for _, i := range in {
			d, err := artifacts.ParseDigest(i.digest)
			if err != nil {
				return artifacts.Recipe{}, err
			}
			recipe.Inputs = append(recipe.Inputs, artifacts.Input{Name: i.name, Digest: d})
		}
	}
	return recipe, nil
}

// writeShard makes a shard's file, or finds it. The rows have no tensors yet.
func writeShard[S any](ctx context.Context, r *transforms.Report, k *kind[S], recipe artifacts.Recipe, rows []S, made []inputs) (artifacts.Result, error) {
	return r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) {
		var bytes int64
		for i := range rows {
			bytes += raw(k.record(&rows[i]))
		}
		release, err := memory.acquire(ctx, bytes)
		if err != nil {
			return artifacts.Content{}, err
		}
		handed := false
		defer func() {
			if !handed {
				release() // also when writing panics
			}
		}()
		var file spool
		if _, err := k.write(&file, load(ctx, r, k, rows, made), Options{}); err != nil {
			return artifacts.Content{}, err
		}
		data := file.take()
		handed = true
		return artifacts.Content{Data: data, Encoding: artifacts.Identity, Release: release}, nil
	})
}

// DatasetFn publishes the shards of a run as a data set: files that any Parquet reader can be pointed at,
// and a manifest beside them. It replaces what an earlier run of this name published.
type DatasetFn struct {
	transforms.Site
	Name string
	Task string // Crops or Segmentations
}

// ProcessElement takes the entries of all shards.
func (f *DatasetFn) ProcessElement(ctx context.Context, _ int, next func(*string) bool) error {
	store, err := f.OpenStore(ctx)
	if err != nil {
		return err
	}
	var parts []Part
	absent := map[string]int{}
	for {
		var text string
		if !next(&text) {
			break
		}
		var e entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return fmt.Errorf("data set %s: %w", f.Name, err)
		}
		if e.Part != nil {
			parts = append(parts, e.part())
		}
		for vertebra, n := range e.NotFound {
			absent[vertebra] += n
		}
	}
	m := NewManifest(f.Task, f.Name, parts, absent)
	keep := map[string]bool{ManifestFile: true}
	for _, p := range m.Shards {
		d, err := artifacts.ParseDigest(p.SHA256)
		if err != nil {
			return err
		}
		if err := store.PublishFile(ctx, Dir(f.Name)+"/"+p.File, d); err != nil {
			return fmt.Errorf("data set %s: %w", f.Name, err)
		}
		keep[p.File] = true
	}
	text, err := m.JSON()
	if err != nil {
		return err
	}
	if err := store.PutNamed(ctx, Dir(f.Name)+"/"+ManifestFile, text); err != nil {
		return err
	}
	return sweep(ctx, store, Dir(f.Name)+"/", keep)
}

// sweep removes the files of an earlier data set of this name. It comes after the manifest, which no
// longer names them.
func sweep(ctx context.Context, store *artifacts.Store, dir string, keep map[string]bool) error {
	files, err := store.ListNamed(ctx, dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if !keep[strings.TrimPrefix(file.Key, dir)] {
			if err := store.DeleteNamed(ctx, file.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// Dir is where a data set lies in its store.
func Dir(name string) string { return "datasets/" + name }

// FileName names a data set's shard.
func FileName(bucket, buckets int) string {
	return "shard-" + pad(bucket) + "-of-" + pad(buckets) + ".parquet"
}

func pad(n int) string {
	s := strconv.Itoa(n)
	return strings.Repeat("0", max(0, 5-len(s))) + s
}
