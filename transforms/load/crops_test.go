package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/transforms/shard/shardtest"
)

// cropsOf makes the i-th study's crops, [15, 6, edge, edge]: C(1+i%7) was not found, the label of one of its vertebrae is not known, and of
// every fifth study no label is.
func cropsOf(i, edge int) []shard.Sample {
	uid := fmt.Sprintf("1.2.826.%d", i)
	var rows []shard.Sample
	for level := range volume.Levels {
		if level == i%volume.Levels {
			continue
		}
		s := shard.Sample{StudyUID: uid, Fold: shard.Fold(uid, 5), Vertebra: volume.LevelName(level), Shape: []int{15, 6, edge, edge}, DType: "uint8",
			Tensor: noise(uint64(100*i+level), 15*6*edge*edge), ZPositions: []int{1, 2}, MaskDigest: "a", CropDigest: "b", SegmenterDigest: "c"}
		if i%5 != 4 {
			if level != (i+2)%volume.Levels {
				s.Label = new(int)
				*s.Label = (i + level) % 3 % 2
			}
			s.PatientLabel = new(int)
			*s.PatientLabel = i % 2
		}
		rows = append(rows, s)
	}
	return rows
}

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 5))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%100) + byte(r.IntN(64))
	}
	return b
}

// cropStore publishes n studies in so many shards.
func cropStore(t testing.TB, n, shards, edge int) *artifacts.Store {
	t.Helper()
	store, err := artifacts.Open(t.Context(), t.TempDir(), &artifacts.Options{NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	rows := make([][]shard.Sample, shards)
	for i := range n {
		of := cropsOf(i, edge)
		b := shard.Bucket(of[0].StudyUID, shards)
		rows[b] = append(rows[b], of...)
	}
	shardtest.Crops(t, store, "neck", rows...)
	return store
}

func openCrops(t testing.TB, store *artifacts.Store, o Options) *CropDataset {
	t.Helper()
	d, err := OpenCrops(t.Context(), store, "neck", o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// vertebrae and patients are both kinds of cases of a data set's studies.
func vertebrae(t testing.TB, d *CropDataset, keep Selection, edge int) *Cases {
	t.Helper()
	c, err := d.Choose(keep).ByVertebra(edge)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func patients(t testing.TB, d *CropDataset, keep Selection, edge int) *Cases {
	t.Helper()
	c, err := d.Choose(keep).ByPatient(edge)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// names reads a sequence of cases to its end.
func names(t testing.TB, cases iter.Seq2[*Case, error]) []string {
	t.Helper()
	var list []string
	for c, err := range cases {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %d", c.Study, c.Level))
	}
	return list
}

func TestAVertebraIsACaseWhereItsLabelIsKnown(t *testing.T) {
	const edge = 28
	cases := vertebrae(t, openCrops(t, cropStore(t, 6, 3, edge), Options{}), All(), 0)
	var want []Case
	unknown := 0
	for i := range 6 {
		for _, s := range cropsOf(i, edge) {
			if s.Label == nil {
				unknown++
				continue
			}
			want = append(want, Case{Study: s.StudyUID, Level: int(s.Vertebra[1] - '1'), Fold: s.Fold, Crops: [][]uint8{s.Tensor}, Edge: edge,
				Labels: []int8{int8(*s.Label)}, Patient: int8(*s.PatientLabel)})
		}
	}
	var got []Case
	for c, err := range cases.Sorted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, *c)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
		t.Error(diff)
	}
	if cases.Len() != len(want) || cases.Unknown() != unknown || unknown != 5+6 { // five studies lack one label, one all
		t.Errorf("%d cases, %d unknown; want %d, %d", cases.Len(), cases.Unknown(), len(want), unknown)
	}
}

func TestAPatientHasSevenPlacesAndNothingInThoseOfMissingVertebrae(t *testing.T) {
	const edge = 14
	cases := patients(t, openCrops(t, cropStore(t, 6, 3, edge), Options{}), All(), 0)
	if cases.Len() != 5 || cases.Unknown() != 1 { // of study 4 no label is known
		t.Fatalf("%d cases, %d unknown", cases.Len(), cases.Unknown())
	}
	list := cases.List()
	n := 0
	for c, err := range cases.Sorted(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		var i int
		if _, err := fmt.Sscanf(c.Study, "1.2.826.%d", &i); err != nil {
			t.Fatal(err)
		}
		want := Case{Study: c.Study, Level: -1, Fold: shard.Fold(c.Study, 5), Crops: make([][]uint8, 7), Edge: edge, Labels: make([]int8, 7), Patient: int8(i % 2)}
		for k := range want.Labels {
			want.Labels[k] = Unknown
		}
		for _, s := range cropsOf(i, edge) {
			level := int(s.Vertebra[1] - '1')
			if want.Crops[level] = s.Tensor; s.Label != nil {
				want.Labels[level] = int8(*s.Label)
			}
		}
		if diff := cmp.Diff(want, *c, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatal(diff)
		}
		want.Crops = make([][]uint8, 7)
		if diff := cmp.Diff(want, list[n]); diff != "" {
			t.Errorf("as listed: %s", diff)
		}
		n++
	}
}

func TestSlicesAreMadeSmallerByBlocks(t *testing.T) {
	store := cropStore(t, 2, 1, 28)
	for _, edge := range []int{28, 14, 7, 4} {
		d := openCrops(t, store, Options{CacheBytes: 1 << 20})
		for range 2 { // the second time from the cache
			for c, err := range vertebrae(t, d, All(), edge).Sorted(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				var i int
				if _, err := fmt.Sscanf(c.Study, "1.2.826.%d", &i); err != nil {
					t.Fatal(err)
				}
				crop, by := noise(uint64(100*i+c.Level), 15*6*28*28), 28/edge
				if c.Edge != edge || len(c.Crops[0]) != 15*6*edge*edge {
					t.Fatalf("edge %d: %d, %d bytes", edge, c.Edge, len(c.Crops[0]))
				}
				for at := 0; at < len(c.Crops[0]); at += 97 {
					plane, row, column := at/edge/edge, at/edge%edge, at%edge
					sum := by * by / 2
					for k := range by * by {
						sum += int(crop[plane*28*28+(row*by+k/by)*28+column*by+k%by])
					}
					if int(c.Crops[0][at]) != sum/(by*by) {
						t.Fatalf("edge %d, byte %d: %d, want %d", edge, at, c.Crops[0][at], sum/(by*by))
					}
				}
			}
		}
	}
	for _, edge := range []int{-1, 3, 5, 56} {
		if _, err := openCrops(t, store, Options{}).Choose(All()).ByPatient(edge); err == nil || !strings.Contains(err.Error(), "whole fraction") {
			t.Errorf("edge %d: %v", edge, err)
		}
	}
}

func TestTheOrderOfCasesDependsOnSeedAndEpochAlone(t *testing.T) {
	for _, of := range []func(testing.TB, *CropDataset, Selection, int) *Cases{vertebrae, patients} {
		var want []string
		for _, shards := range []int{1, 4} {
			store := cropStore(t, 12, shards, 4)
			for _, o := range []Options{{Readers: 1, Ahead: 1}, {Readers: 5, Ahead: 30, CacheBytes: 1 << 20}, {CacheBytes: 5000}} {
				c := of(t, openCrops(t, store, o), AllBut(1), 2)
				for range 2 {
					got := names(t, c.Epoch(t.Context(), 7, 3, 0))
					if want == nil {
						want = got
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%d shards, %+v: %s", shards, o, diff)
					}
				}
				for _, skip := range []int{1, 5, len(want)} {
					if got := names(t, c.Epoch(t.Context(), 7, 3, skip)); !slices.Equal(want[skip:], got) {
						t.Errorf("from %d on: %v", skip, got)
					}
				}
				if slices.Equal(want, names(t, c.Epoch(t.Context(), 7, 4, 0))) {
					t.Error("another epoch has the same order")
				}
				list, order := c.List(), c.Order(7, 3)
				for i, k := range order {
					if name := fmt.Sprintf("%s %d", list[k].Study, list[k].Level); name != want[i] {
						t.Errorf("place %d: Order says %s", i, name)
					}
				}
			}
		}
		if sorted := slices.Sorted(slices.Values(want)); len(slices.Compact(sorted)) != len(want) {
			t.Error("a case comes twice")
		}
	}
}

func TestFoldsPartTheCropsStudies(t *testing.T) {
	d := openCrops(t, cropStore(t, 20, 2, 2), Options{})
	total := 0
	for k := range 5 {
		only, rest := d.Choose(Only(k)).Studies(), d.Choose(AllBut(k)).Studies()
		total += len(only)
		for _, s := range only {
			if s.Fold != k || slices.Contains(rest, s) {
				t.Errorf("fold %d: study %s of fold %d", k, s.UID, s.Fold)
			}
		}
		if len(only)+len(rest) != 20 {
			t.Errorf("fold %d: %d and %d studies", k, len(only), len(rest))
		}
	}
	if total != 20 {
		t.Errorf("the folds have %d studies", total)
	}
}

func TestThePriorIsTheShareOfKnownLabels(t *testing.T) {
	yes, no := 1, 0
	row := func(uid, vertebra string, label, patient *int) shard.Sample {
		s := shard.Sample{StudyUID: uid, Vertebra: vertebra, Label: label, PatientLabel: patient, Shape: []int{15, 6, 2, 2}, DType: "uint8", Tensor: make([]byte, 360)}
		if uid == "4" {
			s.Fold = 1
		}
		return s
	}
	store := cropStore(t, 0, 1, 2)
	shardtest.Crops(t, store, "neck", []shard.Sample{
		row("1", "C1", &yes, &yes), row("1", "C2", &no, &yes), row("1", "C7", &no, &yes),
		row("2", "C1", &no, &no), row("2", "C2", &no, &no),
		row("3", "C1", &no, nil), row("3", "C2", nil, nil),
		row("4", "C1", &yes, &yes),
	})
	d := openCrops(t, store, Options{})
	if got, want := d.Choose(All()).Prior(), [8]float64{0.5, 0, 0.5, 0.5, 0.5, 0.5, 0, 2.0 / 3}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := d.Choose(AllBut(1)).Prior(), [8]float64{1.0 / 3, 0, 0.5, 0.5, 0.5, 0.5, 0, 0.5}; got != want {
		t.Errorf("without fold 1: %v, want %v", got, want)
	}
}

func TestOpenCropsRefusesWhatContradictsItself(t *testing.T) {
	small := func(uid, vertebra string, fold, edge int) shard.Sample {
		return shard.Sample{StudyUID: uid, Vertebra: vertebra, Fold: fold, Shape: []int{15, 6, edge, edge}, DType: "uint8", Tensor: make([]byte, 15*6*edge*edge)}
	}
	flat := small("1", "C1", 0, 2)
	flat.Shape = []int{90, 4}
	wide := small("1", "C1", 0, 2)
	wide.Shape = []int{15, 6, 1, 4}
	empty := small("1", "C1", 0, 0)
	few := small("1", "C1", 0, 2)
	few.Shape = []int{6, 15, 2, 2}
	for name, c := range map[string]struct {
		want   string
		shards [][]shard.Sample
	}{
		"study in two shards":   {"it is in shard-00000-of-00002.parquet too", [][]shard.Sample{{small("1", "C1", 0, 2)}, {small("1", "C2", 0, 2)}}},
		"vertebra twice":        {"C3 is there twice", [][]shard.Sample{{small("1", "C3", 0, 2), small("1", "C3", 0, 2)}}},
		"no vertebra":           {"is not C1 to C7", [][]shard.Sample{{small("1", "T1", 0, 2)}}},
		"two folds":             {"differ in fold", [][]shard.Sample{{small("1", "C1", 0, 2), small("1", "C2", 1, 2)}}},
		"two sizes in a shard":  {"sides of 4 pixels, the first 2", [][]shard.Sample{{small("1", "C1", 0, 2), small("1", "C2", 0, 4)}}},
		"two sizes in two":      {"sides of 4 pixels, those of other shards 2", [][]shard.Sample{{small("1", "C1", 0, 2)}, {small("2", "C2", 0, 4)}}},
		"no axes":               {"not 15 x 6 squares of uint8", [][]shard.Sample{{flat}}},
		"not square":            {"not 15 x 6 squares of uint8", [][]shard.Sample{{wide}}},
		"no 15 slices":          {"not 15 x 6 squares of uint8", [][]shard.Sample{{few}}},
		"nothing in the slices": {"not 15 x 6 squares of uint8", [][]shard.Sample{{empty}}},
	} {
		store := cropStore(t, 0, 1, 2)
		shardtest.Crops(t, store, "neck", c.shards...)
		_, err := OpenCrops(t.Context(), store, "neck", Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), ".parquet") || !strings.Contains(err.Error(), "study ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	store := dataset(t, "mem://", 2, 1, 8)
	if _, err := OpenCrops(t.Context(), store, "neck", Options{}); err == nil || !strings.Contains(err.Error(), "'cspine prepare --task crops'") {
		t.Error(err)
	}
	if _, err := OpenCrops(t.Context(), store, "other", Options{}); !errors.Is(err, artifacts.ErrNotFound) {
		t.Error(err)
	}
}

func TestADatasetWithoutCropsHasNoCases(t *testing.T) {
	d := openCrops(t, cropStore(t, 0, 1, 2), Options{})
	if n := vertebrae(t, d, All(), 112).Len() + patients(t, d, All(), 0).Len(); n != 0 {
		t.Errorf("%d cases", n)
	}
}

// TestAManifestWithoutATaskOpens: the first ones had none.
func TestAManifestWithoutATaskOpens(t *testing.T) {
	store := cropStore(t, 3, 2, 2)
	text, err := store.GetNamed(t.Context(), shard.Dir("neck")+"/"+shard.ManifestFile)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "task")
	delete(m, "check") // nor a check sum
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if err := store.PutNamed(t.Context(), shard.Dir("neck")+"/"+shard.ManifestFile, text); err != nil {
		t.Fatal(err)
	}
	if n := len(openCrops(t, store, Options{}).Choose(All()).Studies()); n != 3 {
		t.Errorf("%d studies", n)
	}
}

func TestErrorsOfCropsNameShardAndStudy(t *testing.T) {
	folder := t.TempDir()
	store, err := artifacts.Open(t.Context(), folder, &artifacts.Options{NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	shardtest.Crops(t, store, "neck", cropsOf(1, 28))
	d := openCrops(t, store, Options{})
	objects, err := filepath.Glob(filepath.Join(folder, "objects", "*", "*"))
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	file, err := os.ReadFile(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(objects[0], 0o600), os.WriteFile(objects[0], spoilt(file), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, edge := range []int{28, 14} {
		for _, err := range patients(t, d, All(), edge).Sorted(t.Context()) {
			if !errors.Is(err, shard.ErrCorrupt) || !strings.Contains(err.Error(), "shard-00000-of-00001.parquet, study 1.2.826.1") {
				t.Error(err)
			}
		}
	}
	if err := os.Remove(objects[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCrops(t.Context(), store, "neck", Options{}); !errors.Is(err, artifacts.ErrNotFound) || !strings.Contains(err.Error(), "shard-00000-of-00001.parquet") {
		t.Error(err)
	}
}

func TestTheCacheOfCropsKeepsToItsBound(t *testing.T) {
	const size = 15 * 6 * 2 * 2
	d := openCrops(t, cropStore(t, 4, 1, 4), Options{CacheBytes: 3*size + 100})
	names(t, patients(t, d, All(), 2).Epoch(t.Context(), 1, 0, 0))
	if len(d.cached.kept) != 3 || d.cached.room != 100 {
		t.Errorf("%d crops are kept, %d bytes left; want 3, 100", len(d.cached.kept), d.cached.room)
	}
}

func TestCasesEndWithTheirContext(t *testing.T) {
	c := vertebrae(t, openCrops(t, cropStore(t, 3, 1, 4), Options{Readers: 4, Ahead: 8}), All(), 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range c.Epoch(ctx, 1, 0, 0) {
		if n++; n == 3 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 12 {
		t.Errorf("%d cases, then %v", n, last)
	}
	if _, err := OpenCrops(ctx, cropStore(t, 3, 1, 4), "neck", Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAugmentedCasesAreThoseOfTheirSeedsWithTheirLabelsAndLeaveTheCacheAlone(t *testing.T) {
	const edge = 14
	o := augment.RecommendedSlices()
	o.ShuffleBones, o.DropBone = 0.5, 0.5
	d := openCrops(t, cropStore(t, 10, 2, 2*edge), Options{CacheBytes: 1 << 24, Readers: 3})
	shuffled, dropped := 0, 0
	for _, cases := range []*Cases{vertebrae(t, d, All(), edge), patients(t, d, All(), edge)} {
		was := map[string]*Case{}
		for c, err := range cases.Sorted(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			was[fmt.Sprintf("%s %d", c.Study, c.Level)] = c
		}
		for range 2 {
			var order []string
			for c, err := range cases.Augmented(t.Context(), o, 5, 2, 3) {
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%s %d", c.Study, c.Level)
				order = append(order, name)
				seed := augment.Seed(5, 2, c.Study)
				before := was[name]
				places, gone := []int{0}, -1
				if c.Level < 0 {
					var found []bool
					for _, crop := range before.Crops {
						found = append(found, crop != nil)
					}
					if places, gone = o.Bones(found, seed); !slices.IsSorted(places) {
						shuffled++
					}
				}
				for k, from := range places {
					crop, label := before.Crops[from], before.Labels[from]
					if from == gone {
						crop, label = nil, Unknown
						dropped++
					}
					if crop != nil {
						var err error
						if crop, err = o.Apply(nil, crop, edge, augment.Part(seed, max(c.Level, from))); err != nil {
							t.Fatal(err)
						}
					}
					if !bytes.Equal(crop, c.Crops[k]) || label != c.Labels[k] || (crop == nil) != (c.Crops[k] == nil) {
						t.Errorf("case %s, place %d is not what the seed makes of vertebra %d", name, k, from)
					}
				}
				if c.Patient != before.Patient || c.Fold != before.Fold || c.Edge != edge {
					t.Errorf("case %s became %+v", name, c)
				}
			}
			if diff := cmp.Diff(order, names(t, cases.Epoch(t.Context(), 5, 2, 3))); diff != "" {
				t.Errorf("the order is not the epoch's: %s", diff)
			}
		}
	}
	if shuffled == 0 || dropped == 0 {
		t.Errorf("%d patients' vertebrae came in another order, %d were taken away", shuffled, dropped)
	}
	for c, err := range vertebrae(t, d, All(), edge).Augmented(t.Context(), augment.Slices{Rotate: math.NaN()}, 1, 0, 0) {
		if c != nil || err == nil || !strings.Contains(err.Error(), "data set neck, study 1.2.826.") {
			t.Error(err)
		}
	}
}

// BenchmarkOpenCrops opens 2,000 studies of 7 crops in 128 shards; local, and with 30 ms for each request as to a distant bucket. The
// crops are small ones that zstd cannot pack, 14 KiB, so that row groups lie as far apart as matters to reading them.
func BenchmarkOpenCrops(b *testing.B) {
	driver, err := artifacts.OpenDriver(b.Context(), b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	far := &distant{Driver: driver}
	store, err := artifacts.New(b.Context(), far, &artifacts.Options{NoFlush: true})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	rows := make([][]shard.Sample, 128)
	r := rand.NewChaCha8([32]byte{})
	yes := 1
	for i := range 2000 {
		uid := fmt.Sprintf("1.2.826.%d", i)
		for level := range volume.Levels {
			s := shard.Sample{StudyUID: uid, Vertebra: volume.LevelName(level), Fold: i % 5, Label: &yes, PatientLabel: &yes, Shape: []int{15, 6, 13, 13}, DType: "uint8",
				Tensor: make([]byte, 15*6*13*13), ZPositions: make([]int, 15), MaskDigest: strings.Repeat("a", 64), CropDigest: strings.Repeat("b", 64), SegmenterDigest: strings.Repeat("c", 64)}
			_, _ = r.Read(s.Tensor)
			rows[i%128] = append(rows[i%128], s)
		}
	}
	shardtest.Crops(b, store, "neck", rows...)
	for _, wait := range []time.Duration{0, 30 * time.Millisecond} {
		b.Run(wait.String(), func(b *testing.B) {
			far.wait = wait
			for b.Loop() {
				if n := len(openCrops(b, store, Options{}).Choose(All()).Studies()); n != 2000 {
					b.Fatal(n)
				}
			}
		})
	}
}

// distant is a store that takes its time.
type distant struct {
	artifacts.Driver
	wait time.Duration
}

func (d *distant) ReadAt(ctx context.Context, key string, p []byte, offset int64) (int, error) {
	time.Sleep(d.wait)
	return d.Driver.ReadAt(ctx, key, p, offset)
}
