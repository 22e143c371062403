package view

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/transforms/shard/shardtest"
)

// emptyStore is a store of nothing, in memory.
func emptyStore(t *testing.T) *artifacts.Store {
	t.Helper()
	store, err := artifacts.Open(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func putNamed(t *testing.T, store *artifacts.Store, key string, data []byte) {
	t.Helper()
	if err := store.PutNamed(t.Context(), key, data); err != nil {
		t.Fatal(err)
	}
}

// until waits for what is worked out behind the pages.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-t.Context().Done():
			t.Fatal("it never came")
		case <-time.After(time.Millisecond):
		}
	}
}

// samples are a study's crops of some levels: every third is fractured, and of C7 nothing is known.
func samples(study string, fold int, levels ...int) (rows []shard.Sample) {
	const edge = 2
	for _, level := range levels {
		s := shard.Sample{StudyUID: study, Fold: fold, Vertebra: volume.LevelName(level), Shape: []int{crop.Places, crop.Channels, edge, edge}, DType: "uint8",
			Tensor: make([]byte, crop.Places*crop.Channels*edge*edge), ZPositions: []int{1, 2}, MaskDigest: "m", CropDigest: study + volume.LevelName(level), SegmenterDigest: "the-segmenter"}
		if level < 6 {
			label := 0
			if level%3 == 1 {
				label = 1
			}
			s.Label = &label
		}
		rows = append(rows, s)
	}
	return rows
}

func all(levels int) (list []int) {
	for level := range levels {
		list = append(list, level)
	}
	return list
}

func TestWithoutDataSetsThePageSaysHowToMakeOne(t *testing.T) {
	b := openStore(t, emptyStore(t), Options{})
	b.page("/datasets", "This store has no data set.", "cspine prepare")
	for _, path := range []string{"/datasets/none", "/datasets/..%2Fruns", "/datasets/%00"} {
		if status, _, text := b.ask(path); status != http.StatusNotFound || !strings.Contains(text, "no data set of this name") {
			t.Errorf("%s: %d %.200s", path, status, text)
		}
	}
}

func TestDataSetsAreListedAndADamagedOneSaysSo(t *testing.T) {
	store := emptyStore(t)
	shardtest.Crops(t, store, "neck", samples("a", 0, 0, 1), samples("b", 1, 2))
	putNamed(t, store, datasetKey("damaged"), []byte("{"))
	putNamed(t, store, shard.Dir("neck")+"/part/"+shard.ManifestFile, []byte("{}")) // another's
	names, err := datasetNames(t.Context(), store)
	if diff := cmp.Diff([]string{"damaged", "neck"}, names); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	text := openStore(t, store, Options{}).page("/datasets", `href="/datasets/neck"`, "crops of vertebrae", "could not be read")
	if !strings.Contains(text, `<td class="n">3</td><td class="n">2</td>`) { // samples, shards
		t.Error("the counts are not there")
	}
}

func TestTheBalanceIsTheManifests(t *testing.T) {
	store := emptyStore(t)
	shardtest.Crops(t, store, "neck", samples("a", 0, all(7)...), append(samples("b", 1, all(7)...), samples("c", 1, 0, 1)...))
	b := openStore(t, store, Options{})
	p, err := b.pages.datasetContent(t.Context(), "neck", b.pages.atOnce(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var sum shard.Balance
	for _, of := range p.Manifest.Balance {
		row := p.Balance[volume.LevelOf(of.Vertebra)]
		if !slices.Contains(row.Folds, of) {
			t.Errorf("%+v is not in %+v", of, row)
		}
		sum.Fractured, sum.Intact, sum.Unknown = sum.Fractured+of.Fractured, sum.Intact+of.Intact, sum.Unknown+of.Unknown
	}
	for _, row := range p.Balance {
		sum.Fractured, sum.Intact, sum.Unknown = sum.Fractured-row.Sum.Fractured, sum.Intact-row.Sum.Intact, sum.Unknown-row.Sum.Unknown
	}
	if sum != (shard.Balance{}) {
		t.Errorf("the sums are wrong by %+v", sum)
	}
	if diff := cmp.Diff([]foldOf{{0, 7, 1}, {1, 9, 2}}, p.Folds); diff != "" {
		t.Error(diff)
	}
	if chart := string(p.Charts.Balance); !strings.Contains(chart, "C2, fold 1, fractured: 2") || !strings.Contains(chart, "C7, fold 0, unknown: 1") {
		t.Error("the chart lacks bars")
	}
	b.page("/datasets/neck", "Class balance", "2 of 2", "3 of 3", "the-segmenter", "study_uid", "The store has no run neck any more")
}

// publishRun writes the manifest of a run of studies with volumes.
func publishRun(t *testing.T, store *artifacts.Store, ref runRef, volumes map[string]string) {
	t.Helper()
	var rows []artifacts.Row
	for study, digest := range volumes {
		rows = append(rows, artifacts.Row{Subject: study, Step: "resample", Transform: "resample", Digest: digest, Verdict: transforms.OK})
	}
	slices.SortFunc(rows, func(a, b artifacts.Row) int { return strings.Compare(a.Subject, b.Subject) })
	file, err := artifacts.WriteManifest(rows)
	if err != nil {
		t.Fatal(err)
	}
	putNamed(t, store, ref.key(), file)
}

func TestDoubledStudiesAreFound(t *testing.T) {
	store := emptyStore(t)
	shared := samples("crop-b", 1, 0, 1, 2)
	for i := range shared[:2] {
		shared[i].CropDigest = "crop-a" + shared[i].Vertebra
	}
	twice := append(samples("twice", 0, 0), samples("twice", 1, 1)...)
	shardtest.Crops(t, store, "neck", slices.Concat(samples("alone", 0, 0), samples("volume-a", 2, 0), samples("volume-b", 2, 1), samples("crop-a", 0, 0, 1)), slices.Concat(shared, twice))
	ref := runRef{"neck", "20260102T030405.000Z"}
	same := strings.Repeat("ab", 32)
	publishRun(t, store, ref, map[string]string{"alone": strings.Repeat("01", 32), "volume-a": same, "volume-b": same, "crop-a": "", "crop-b": "", "twice": strings.Repeat("02", 32)})
	publishRun(t, store, runRef{"other", "20270102T030405.000Z"}, map[string]string{"alone": same}) // which is not this one's
	b := openStore(t, store, Options{})
	p, err := b.pages.datasetContent(t.Context(), "neck", b.pages.atOnce(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	path := func(study string) string { return ref.Path() + "/studies/" + study }
	want := leaks{
		Folds:    []leak{{Studies: []leaked{{"twice", path("twice"), []int{0, 1}}}, Apart: true}},
		Volumes:  []leak{{Studies: []leaked{{"volume-a", path("volume-a"), []int{2}}, {"volume-b", path("volume-b"), []int{2}}}}},
		Crops:    []leak{{Studies: []leaked{{"crop-a", path("crop-a"), []int{0}}, {"crop-b", path("crop-b"), []int{1}}}, Shared: 2, Apart: true}},
		Compared: 4,
	}
	if diff := cmp.Diff(want, p.Leaks); diff != "" {
		t.Error(diff)
	}
	until(t, func() bool { return !strings.Contains(b.page("/datasets/neck"), "The shards are being read") })
	b.page("/datasets/neck", `href="`+path("twice")+`"`, "2 crops under 2 names", "one volume under 2 names", "a study in several folds", "it counts 2 times")
}

func TestADataSetWithoutDoubledStudiesIsGood(t *testing.T) {
	store := emptyStore(t)
	shardtest.Crops(t, store, "neck", samples("a", 0, 0, 1), samples("b", 1, 0))
	b := openStore(t, store, Options{})
	until(t, func() bool {
		return strings.Contains(b.page("/datasets/neck"), `<p class="good">No study lies in two folds`)
	})
}

func TestShardsThatAreGoneAreToldOf(t *testing.T) {
	store := emptyStore(t)
	part := shard.NewPart("shard-0.parquet", 100, strings.Repeat("ab", 32), samples("a", 0, 0))
	text, err := shard.NewManifest(shard.Crops, "neck", []shard.Part{part}, nil).JSON()
	if err != nil {
		t.Fatal(err)
	}
	putNamed(t, store, datasetKey("neck"), text)
	b := openStore(t, store, Options{})
	until(t, func() bool { return strings.Contains(b.page("/datasets/neck"), "The shards could not be read") })
	b.page("/datasets/neck", "shard-0.parquet", "cspine verify", "Class balance")
}

func TestSegmentationsAreMeasuredInVoxels(t *testing.T) {
	store := emptyStore(t)
	var rows []shard.Segmentation
	for i := range 2 {
		s := shard.Segmentation{StudyUID: fmt.Sprint("s", i), Fold: i, Shape: []int{2, 2, 2}, DType: "uint8", SpacingMM: [3]float64{10, 10, 5}, VolumeDigest: "v", LabelsDigest: "l",
			SourceDigest: "s", Volume: make([]byte, 8), Labels: []byte{0, 0, 0, 0, 0, 3, 3, 3}}
		s.Voxels[0], s.Voxels[3] = 5, 2+2*i
		rows = append(rows, s)
	}
	rows[1].Voxels[1] = 7
	shardtest.Segmentations(t, store, "masks", rows)
	b := openStore(t, store, Options{})
	p, err := b.pages.datasetContent(t.Context(), "masks", b.pages.atOnce(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	// 0.5 ml a voxel: C3 has 2 and 4 voxels, C1 7 in one of the two.
	if f := p.Found[2]; f.Voxels != 3 || f.ML != 1.5 || f.Found.Found != 2 {
		t.Errorf("C3: %+v", f)
	}
	if f := p.Found[0]; f.Voxels != 7 || f.ML != 3.5 || f.Found.Found != 1 {
		t.Errorf("C1: %+v", f)
	}
	if len(p.Leaks.Volumes) != 1 || !p.Leaks.Volumes[0].Apart || p.Charts.Balance != "" {
		t.Errorf("%+v", p.Leaks)
	}
	until(t, func() bool { return strings.Contains(b.page("/datasets/masks"), "size, ml") })
}

func TestGeometryAndGreyValuesAreReadBehindThePage(t *testing.T) {
	b := open(t, Options{})
	done := fmt.Sprintf("Of %d of the %d studies of run drawn", testStudies, testStudies)
	until(t, func() bool {
		text := b.page("/datasets/drawn")
		return strings.Contains(text, done) && strings.Contains(text, fmt.Sprintf("Mean of %d volumes of %d ", testStudies, testStudies))
	})
	b.page("/datasets/drawn", "Spacing between slices", "Spacing between rows", "160 × 160", "rows × columns", "grey value, 0 to 255")
	// The report's are the same, at once.
	p, err := b.pages.datasetContent(t.Context(), "drawn", b.pages.atOnce(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	later, err := b.pages.datasetContent(t.Context(), "drawn", b.pages.behind())
	if err != nil {
		t.Fatal(err)
	}
	if p.Charts.Greys != later.Charts.Greys || !slices.Equal(p.Charts.Geometry, later.Charts.Geometry) || p.Geometry != (reading{testStudies, testStudies}) {
		t.Error("what is worked out at once is not what is worked out behind the page")
	}
	_, of := b.theRun(drawnRun)
	shares, err := b.pages.measureGreys(t.Context(), of.Volume)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, share := range shares {
		sum += share
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the shares of grey values sum up to %g", sum)
	}
}

func TestADataSetStandsAlone(t *testing.T) {
	b := open(t, Options{})
	r, _ := b.theRun(drawnRun)
	var text string
	section := func(file string, content any) error {
		page, err := execute(&Page{Title: "x", Template: file, Content: content, Run: r, Alone: true})
		text = string(page)
		return err
	}
	if err := b.pages.reportDataset(t.Context(), r, section); err != nil {
		t.Fatal(err)
	}
	for _, not := range []string{"href=", "src=", "<form", "<script", " style="} {
		if strings.Contains(text, not) {
			t.Errorf("a page that stands alone has %s", not)
		}
	}
	if !strings.Contains(text, "Data set drawn") || strings.Contains(text, "being read") {
		t.Error("the data set is not there, or not as a whole")
	}
	text = ""
	if err := b.pages.reportDataset(t.Context(), &run{runRef: runRef{"model", "x"}}, section); err != nil || text != "" {
		t.Errorf("a run without a data set: %v", err)
	}
}

func TestReadingAheadGivesTheSameBytes(t *testing.T) {
	source := strings.Repeat("0123456789", 10_000)
	n := &near{source: strings.NewReader(source), size: int64(len(source))}
	for _, offset := range []int{0, 5, 40_000, 39_990, 99_995, 99_000, 3} {
		for _, length := range []int{0, 1, 5, nearBytes, 1000} {
			p := make([]byte, length)
			k, err := n.ReadAt(p, int64(offset))
			want := source[offset:min(len(source), offset+length)]
			if string(p[:k]) != want || (err == nil) != (len(want) == length) {
				t.Errorf("%d bytes at %d: %d, %v", length, offset, k, err)
			}
		}
	}
}
