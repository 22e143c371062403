package shard

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
)

func init() {
	register.DoFn5x1[context.Context, int, func(*transforms.Sample) bool, func(int, string), func(artifacts.Row), error](&DoFn{})
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

// DoFn writes one shard from the samples of its bucket.
type DoFn struct {
	transforms.Site
	Layout Layout
}

// oneAtATime keeps a process from holding two shards in memory.
var oneAtATime sync.Mutex

// ProcessElement emits what the data set's manifest says of the shard, as JSON.
func (f *DoFn) ProcessElement(ctx context.Context, bucket int, next func(*transforms.Sample) bool, emit func(int, string), outcome func(artifacts.Row)) error {
	data, store, err := f.Open(ctx)
	if err != nil {
		return err
	}
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	name := fmt.Sprintf("shard-%05d", bucket)
	_, err = transforms.Run(ctx, store, "shard", name, outcome, func(r *transforms.Report) error {
		labels, err := readLabels(ctx, data)
		if err != nil {
			return transforms.Fatal(err)
		}
		layout := f.Layout
		layout.fill()
		samples := f.collect(r, next)
		rows := make([]Sample, 0, len(samples))
		var crops []string
		for _, s := range samples {
			if s.Found {
				rows, crops = append(rows, describe(s, labels, layout.Folds)), append(crops, s.Crop)
			}
		}
		e := entry{NotFound: notFound(samples)}
		if len(rows) > 0 {
			res, err := f.write(ctx, r, rows, crops)
			if err != nil {
				return err
			}
			digest := res.Output.Digest.String()
			e.set(NewPart(FileName(bucket, layout.Buckets), res.Output.Size, digest, rows))
		}
		text, err := json.Marshal(e)
		emit(0, string(text))
		return err
	})
	return err
}

// collect sorts a bucket's samples, and drops a study that came from a second folder.
func (f *DoFn) collect(r *transforms.Report, next func(*transforms.Sample) bool) []transforms.Sample {
	var samples []transforms.Sample
	for {
		var s transforms.Sample
		if !next(&s) {
			break
		}
		samples = append(samples, s)
	}
	slices.SortFunc(samples, func(a, b transforms.Sample) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.Level, b.Level))
	})
	home, reported := map[string]string{}, map[string]bool{}
	return slices.DeleteFunc(samples, func(s transforms.Sample) bool {
		first, seen := home[s.UID]
		if !seen {
			home[s.UID] = s.Folder
			return false
		}
		if s.Folder == first {
			return false
		}
		if !reported[s.Folder] {
			reported[s.Folder] = true
			r.Row(artifacts.Row{Verdict: transforms.Refused, Reason: string(DuplicateStudy),
				Detail: fmt.Sprintf("study %s lies in %s and in %s; the first is used", s.UID, first, s.Folder),
				Remedy: "remove one of the two folders"})
		}
		return true
	})
}

// entry is what DatasetFn must know of one bucket.
type entry struct {
	Part       *Part // nil where the bucket has no sample
	Balance    []Balance
	Segmenters []string
	NotFound   map[string]int
}

func (e *entry) set(p Part) {
	e.Part, e.Balance, e.Segmenters = &p, p.balance, p.segmenters
}

func (e *entry) part() Part {
	p := *e.Part
	p.balance, p.segmenters = e.Balance, e.Segmenters
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

func readLabels(ctx context.Context, data *source.Source) (map[string]Labels, error) {
	const most = 64 << 20 // a row is about 80 bytes
	file, err := data.ReadAll(ctx, LabelsKey, most)
	if errors.Is(err, source.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	labels, err := ReadLabels(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", LabelsKey, err)
	}
	return labels, nil
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

// write makes the shard's file, or finds it.
func (f *DoFn) write(ctx context.Context, r *transforms.Report, rows []Sample, crops []string) (artifacts.Result, error) {
	meta, err := artifacts.DigestOfJSON(rows)
	if err != nil {
		return artifacts.Result{}, err
	}
	recipe := artifacts.Recipe{Transform: "shard", Version: TransformVersion,
		Inputs: []artifacts.Input{{Name: "rows", Digest: meta}}}
	for i, crop := range crops {
		d, err := artifacts.ParseDigest(crop)
		if err != nil {
			return artifacts.Result{}, err
		}
		recipe.Inputs = append(recipe.Inputs, artifacts.Input{Name: rows[i].StudyUID + "/" + rows[i].Vertebra, Digest: d})
	}
	return r.Do(ctx, "", recipe, func(ctx context.Context) (artifacts.Content, error) {
		var file bytes.Buffer
		_, err := Write(&file, load(ctx, r, rows), Options{})
		return artifacts.Content{Data: file.Bytes(), Encoding: artifacts.Identity}, err
	})
}

// ahead is how many crops are read from the store while others are packed.
const ahead = 2

// load yields the rows with their tensors, in order.
func load(ctx context.Context, r *transforms.Report, rows []Sample) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		type loaded struct {
			sample Sample
			err    error
		}
		queue := make(chan chan loaded, ahead)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			defer close(queue)
			for _, row := range rows {
				c := make(chan loaded, 1)
				select {
				case queue <- c:
				case <-ctx.Done():
					return
				}
				go func() {
					sample, err := withTensor(ctx, r, row)
					c <- loaded{sample, err}
				}()
			}
		}()
		for c := range queue {
			l := <-c
			if !yield(l.sample, l.err) || l.err != nil {
				return
			}
		}
	}
}

func withTensor(ctx context.Context, r *transforms.Report, row Sample) (Sample, error) {
	a, err := r.Tensor(ctx, row.CropDigest)
	if err != nil {
		return row, fmt.Errorf("crop %s of study %s: %w", row.Vertebra, row.StudyUID, err)
	}
	row.Tensor, row.Shape = a.Data, a.Shape
	return row, nil
}

// DatasetFn publishes the shards of a run as a data set: files that any Parquet reader can be pointed at,
// and a manifest beside them. It replaces what an earlier run of this name published.
type DatasetFn struct {
	transforms.Site
	Name string
}

// ProcessElement takes the entries of all shards.
func (f *DatasetFn) ProcessElement(ctx context.Context, _ int, next func(*string) bool) error {
	store, err := transforms.SharedStore(ctx, f.Store)
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
	m := NewManifest(f.Name, parts, absent)
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
