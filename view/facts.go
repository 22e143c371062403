package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/shard"
)

// Fact is what a study's index says of it, as lists show it.
type Fact struct {
	Slices, Rows, Columns int
	SpacingMM             [3]float64 // between rows, columns, slices
	Syntax                string     // transfer syntax, by name
	TiltDegrees           float64
	Warnings              []string // reason codes
}

func factOf(x *ingest.Index) Fact {
	f := Fact{Slices: len(x.Slices), Rows: x.Rows, Columns: x.Columns, SpacingMM: [3]float64{x.SpacingMM[0], x.SpacingMM[1], x.SliceMM}, TiltDegrees: x.TiltDegrees}
	if len(x.Slices) > 0 {
		f.Syntax, _, _ = strings.Cut(x.Slices[0].Pixels.TransferSyntax.Name(), " (")
	}
	for _, w := range x.Warnings {
		f.Warnings = append(f.Warnings, string(w.Code))
	}
	return f
}

// facts reads indexes behind the pages.
type facts struct {
	store *artifacts.Store
	backlog[string, Fact]
}

func (f *facts) begin(ctx context.Context) {
	f.backlog.begin(ctx, func(ctx context.Context, digest string) (Fact, error) {
		x, err := readIndex(ctx, f.store, digest)
		if err != nil {
			return Fact{}, err
		}
		return factOf(x), nil
	})
}

// content reads an artifact by the digest that a page or an address has.
func content(ctx context.Context, store *artifacts.Store, digest string) ([]byte, error) {
	d, err := artifacts.ParseDigest(digest)
	if err != nil {
		return nil, wrong("this is no digest", "an artifact is named by 64 hexadecimal digits")
	}
	return store.Get(ctx, d)
}

func readIndex(ctx context.Context, store *artifacts.Store, digest string) (*ingest.Index, error) {
	data, err := content(ctx, store, digest)
	if err != nil {
		return nil, err
	}
	return ingest.Unmarshal(data)
}

func readBoxes(ctx context.Context, store *artifacts.Store, digest string) ([]crop.Located, error) {
	data, err := content(ctx, store, digest)
	if err != nil {
		return nil, err
	}
	return crop.ParseLocated(data)
}

// truth is what the store knows of studies besides what models say: labels of fractures in its data sets, and masks that people drew. It is read
// behind the pages, and anew when somebody asks after a while.
type truth struct {
	store *artifacts.Store
	ctx   context.Context

	reads sync.Mutex        // held by who reads; what it reads of it alone
	seen  map[string]string // the digest of each data set's manifest
	runs  map[string]bool   // by their manifests' keys: those that were looked through

	mu      sync.Mutex
	labels  map[string]map[string]labels // by data set, by study
	masks   map[string]string            // of label files by study, of the newest run that has one
	reading bool
	read    time.Time // when it was read last; zero: never
}

const (
	lookAgain = 5 * time.Second // for runs and data sets that are new
	lookBack  = 20              // runs
)

// labels are what is known of a study: 1 fractured, 0 not, load.Unknown.
type labels struct {
	Levels  [volume.Levels]int8
	Patient int8
	Dataset string
}

func (t *truth) begin(ctx context.Context) {
	t.ctx, t.masks, t.runs = ctx, map[string]string{}, map[string]bool{}
	t.labels, t.seen = map[string]map[string]labels{}, map[string]string{}
	t.refresh()
}

// refresh has it read again, unless that was done a moment ago. The caller holds no lock.
func (t *truth) refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reading || time.Since(t.read) < lookAgain {
		return
	}
	t.reading = true
	go func() {
		if err := t.readAll(t.ctx); err != nil {
			slog.Debug("view", "error", err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.reading, t.read = false, time.Now()
	}()
}

// ready tells whether everything was read once.
func (t *truth) ready() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.read.IsZero()
}

// readAll reads what is new.
func (t *truth) readAll(ctx context.Context) error {
	t.reads.Lock()
	defer t.reads.Unlock()
	return errors.Join(t.readDatasets(ctx), t.readMasks(ctx))
}

// fractures returns the labels of a study, by the data set of a run's name if that has it, else by any.
func (t *truth) fractures(study, preferred string) (labels, bool) {
	t.refresh()
	t.mu.Lock()
	defer t.mu.Unlock()
	if l, ok := t.labels[preferred][study]; ok {
		return l, true
	}
	for _, name := range slices.Sorted(maps.Keys(t.labels)) {
		if l, ok := t.labels[name][study]; ok {
			return l, true
		}
	}
	return labels{}, false
}

// mask returns the digest of a mask that a person drew of a study: uint8 [7,128,128,128], of the newest run that has one; "" if none is known.
func (t *truth) mask(study string) string {
	t.refresh()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.masks[study]
}

// readDatasets reads the labels of data sets that are new or changed.
func (t *truth) readDatasets(ctx context.Context) error {
	names, err := datasetNames(ctx, t.store)
	if err != nil {
		return err
	}
	var failed error
	for _, name := range names {
		m, digest, err := readDataset(ctx, t.store, name)
		if err != nil || t.seen[name] == digest {
			failed = errors.Join(failed, err)
			continue
		}
		var known map[string]labels
		if m.Task == shard.Crops {
			// A shard may be gone or damaged: that is for the data set's own page to tell.
			known, err = readLabels(ctx, t.store, name)
			failed = errors.Join(failed, err)
			if err != nil && !errors.Is(err, artifacts.ErrNotFound) && !errors.Is(err, artifacts.ErrCorrupt) && !errors.Is(err, shard.ErrCorrupt) {
				continue // it may pass
			}
		}
		t.seen[name] = digest
		t.mu.Lock()
		t.labels[name] = known
		t.mu.Unlock()
	}
	return failed
}

// readMasks looks for masks of label files in manifests that it has not seen.
func (t *truth) readMasks(ctx context.Context) error {
	keys, err := manifest.Keys(ctx, t.store, "")
	if err != nil {
		return err
	}
	var failed error
	for _, key := range keys[max(0, len(keys)-lookBack):] { // the newest last, so that its masks stay
		if t.runs[key] {
			continue
		}
		rows, err := manifest.Read(ctx, t.store, key)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		t.runs[key] = true
		t.mu.Lock()
		for _, row := range rows {
			if row.Transform == labelsTransform && row.Digest != "" {
				t.masks[row.Subject] = row.Digest
			}
		}
		t.mu.Unlock()
	}
	return failed
}

// readLabels reads what a data set of crops says of its studies.
func readLabels(ctx context.Context, store *artifacts.Store, name string) (map[string]labels, error) {
	set, err := load.OpenCrops(ctx, store, name, load.Options{})
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	cases, err := set.Choose(load.All()).ByPatient(0)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	found := map[string]labels{}
	for _, c := range cases.List() {
		l := labels{Patient: c.Patient, Dataset: name}
		for level := range l.Levels {
			l.Levels[level] = load.Unknown
		}
		copy(l.Levels[:], c.Labels)
		found[c.Study] = l
	}
	return found, nil
}
