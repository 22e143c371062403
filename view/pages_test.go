package view

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/plan"
	"github.com/cspine/cspine/transforms/score"
)

func TestARunSaysWhatItDidAndRefused(t *testing.T) {
	b := open(t, Options{Plan: &Plan{Run: "model", Plan: plan.Plan{Studies: 4, Steps: []plan.Step{{Step: "segment", Cached: 1, Run: 3}},
		Reasons: []plan.Reason{{Step: "segment", Why: "model aaa → bbb", Artifacts: 3, Subjects: 3}}}}})
	r, _ := b.theRun(modelRun)
	text := b.page(r.Path(), "Run model", "in quarantine", brokenStudy, "classify", "What run model of 4 studies would do", "model aaa → bbb", "compare with this one")
	for _, step := range []string{"index", "resample", "segment", "boxes", "crop", "classify", "verdict"} {
		if !strings.Contains(text, "<td>"+step+"</td>") {
			t.Errorf("step %s is missing", step)
		}
	}
	if home := b.page("/"); !strings.Contains(home, "Run model") {
		t.Error("the first page is not the newest run's")
	}
	b.page(drawnRun.Path(), "Run drawn")
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	b := open(t, Options{})
	link := regexp.MustCompile(`(?:href|src|data-live|data-source|data-mask|data-volume)="([^"]*)"`)
	seen := map[string]bool{}
	todo := []string{"/"}
	for n := 0; len(todo) > 0 && n < 400; n++ {
		path := todo[0]
		todo = todo[1:]
		status, header, text := b.ask(path)
		if status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
			continue
		}
		if !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to := html.UnescapeString(m[1])
			if strings.HasSuffix(to, "/") && to != "/" {
				to += "0" // a slice's number follows
			}
			if to == "" || seen[to] {
				continue
			}
			if !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "?") {
				t.Errorf("%s leads away, to %q", path, to)
				continue
			}
			seen[to] = true
			todo = append(todo, to)
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d addresses were found", len(seen))
	}
}

func TestTheListFindsSortsAndPages(t *testing.T) {
	store, err := artifacts.Open(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const studies = 2000
	ref := manyStudies(t, store, studies)
	b := openStore(t, store, Options{Token: "the-token"})
	list := ref.Path() + "/studies"
	names := regexp.MustCompile(`/studies/([^"]+)"`)
	shown := func(query string) []string {
		t.Helper()
		var all []string
		for _, m := range names.FindAllStringSubmatch(b.page(list+query), -1) {
			all = append(all, m[1])
		}
		return all
	}
	if got := shown(""); len(got) != rowsPerPage || got[0] != "1.2.00000" {
		t.Errorf("%d rows, the first %v", len(got), got[:min(1, len(got))])
	}
	if got := shown("?page=40"); len(got) != rowsPerPage || got[rowsPerPage-1] != "1.2.01999" {
		t.Errorf("the last page has %d rows", len(got))
	}
	if got := shown("?page=4000"); got[len(got)-1] != "1.2.01999" {
		t.Error("a page beyond the last is not the last")
	}
	if got := shown("?down=1"); got[0] != "1.2.01999" {
		t.Errorf("the last study comes first as %s", got[0])
	}
	if got := shown("?q=1.2.0012"); len(got) != 10 {
		t.Errorf("%d studies with this in their names", len(got))
	}
	if got := shown("?verdict=refused"); len(got) != studies/100 {
		t.Errorf("%d refused", len(got))
	}
	if got := shown("?q=no_geometry&sort=verdict"); len(got) != studies/100 {
		t.Errorf("%d studies with this reason", len(got))
	}
	if got := shown("?sort=found&down=1"); got[0] == "1.2.00000" {
		t.Error("a study without C7 comes before those that have it")
	}
	b.page(list+"?q=%3Cscript%3E", "No study is like that", "&lt;script&gt;")
}

// manyStudies writes a run of that many studies, of which every hundredth was refused and every tenth lacks C7, in the newest manifest of a store.
func manyStudies(t testing.TB, store *artifacts.Store, n int) runRef {
	t.Helper()
	digest := func(step string, i, part int) string {
		return artifacts.DigestOf(fmt.Appendf(nil, "%s %d %d", step, i, part)).String()
	}
	var rows []artifacts.Row
	for i := range n {
		name := fmt.Sprintf("1.2.%05d", i)
		add := func(step, part, verdict, reason string, at int) {
			row := artifacts.Row{Subject: name, Step: step, Part: part, Verdict: verdict, Reason: reason, Transform: step, Version: 1}
			if verdict == "ok" {
				row.Recipe, row.Digest, row.Hit, row.Why, row.Bytes, row.Stored = digest("recipe "+step, i, at), digest(step, i, at), true, "cached", 1000, 500
			}
			rows = append(rows, row)
		}
		if i%100 == 99 {
			add("index", "", "refused", "no_geometry", 0)
			continue
		}
		for _, step := range []string{"index", "resample", "segment", "boxes"} {
			add(step, "", "ok", "", 0)
		}
		for level := range volume.Levels {
			verdict, reason := "ok", ""
			if level == 6 && i%10 == 0 {
				verdict, reason = "not_found", "mask_empty"
			}
			add("crop", volume.LevelName(level), verdict, reason, level)
		}
	}
	file, err := artifacts.WriteManifest(rows)
	if err != nil {
		t.Fatal(err)
	}
	ref := runRef{"many", "20260102T030405.000Z"}
	if err := store.PutNamed(t.Context(), ref.key(), file); err != nil {
		t.Fatal(err)
	}
	return ref
}

func decodePNG(t *testing.T, text string) image.Image {
	t.Helper()
	img, err := png.Decode(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestASliceIsTheVolumesOwn(t *testing.T) {
	b := open(t, Options{})
	_, of := b.theRun(drawnRun)
	vol, err := b.pages.tensors.volume(t.Context(), of.Volume)
	if err != nil {
		t.Fatal(err)
	}
	at := func(row, column, slice int) uint8 {
		return vol.Data[(row*vol.Shape[1]+column)*vol.Shape[2]+slice]
	}
	for plane, value := range map[string]func(x, y int) uint8{
		axial:    func(x, y int) uint8 { return at(y, x, 40) },
		sagittal: func(x, y int) uint8 { return at(x, 40, y) },
		coronal:  func(x, y int) uint8 { return at(40, x, y) },
	} {
		img := decodePNG(t, b.page("/slices/"+of.Volume+"/"+plane+"/40")).(*image.Gray)
		if img.Rect.Dx() != 128 || img.Rect.Dy() != 128 {
			t.Fatalf("%s: %v", plane, img.Rect)
		}
		for y := range 128 {
			for x := range 128 {
				if got, want := img.GrayAt(x, y).Y, value(x, y); got != want {
					t.Fatalf("%s at %d, %d: %d, want %d", plane, x, y, got, want)
				}
			}
		}
	}
	windowed := decodePNG(t, b.page("/slices/"+of.Volume+"/axial/40?from=50&to=100")).(*image.Gray)
	for i, v := range windowed.Pix {
		want := math.Round(255 * math.Min(1, math.Max(0, (float64(at(i/128, i%128, 40))-50)/50)))
		if float64(v) != want {
			t.Fatalf("windowed at %d: %d, want %g", i, v, want)
		}
	}
}

func TestAMaskHasItsLevelsColours(t *testing.T) {
	b := open(t, Options{})
	_, of := b.theRun(drawnRun)
	labels, err := b.pages.tensors.labels(t.Context(), of.Mask)
	if err != nil {
		t.Fatal(err)
	}
	centre, ok := middleOf(labels, 0)
	if !ok {
		t.Fatal("an empty mask")
	}
	img := decodePNG(t, b.page(fmt.Sprintf("/masks/%s/sagittal/%d", of.Mask, centre[1])))
	for label := 1; label <= volume.Levels; label++ {
		want := picture.Palette[label-1]
		has, drawn := 0, 0
		for row := range 128 {
			for slice := range 128 {
				if labels.Data[(row*128+centre[1])*128+slice] != uint8(label) {
					continue
				}
				has++
				c := color.NRGBAModel.Convert(img.At(row*fine+fine/2, slice*fine+fine/2)).(color.NRGBA)
				if c.A > 0 && c.R == want.R && c.G == want.G && c.B == want.B {
					drawn++
				}
			}
		}
		if has > 20 && drawn < has*9/10 {
			t.Errorf("%s: %d of %d voxels have its colour", volume.LevelName(label-1), drawn, has)
		}
	}
}

func TestFullSlicesAreTheStudysOwn(t *testing.T) {
	_, data := testStore(t)
	b := open(t, Options{Data: data})
	_, of := b.theRun(drawnRun)
	img := decodePNG(t, b.page("/full/"+of.Index+"/30?from=-1000&to=1000"))
	if img.Bounds().Dx() != 160 || img.Bounds().Dy() != 160 {
		t.Errorf("%v", img.Bounds())
	}
	if status, _, _ := b.ask("/full/" + of.Index + "/60"); status != http.StatusBadRequest {
		t.Errorf("slice 60 of 60: %d", status)
	}
}

func TestNIfTILiesWhereTheStudyDoes(t *testing.T) {
	b := open(t, Options{})
	_, of := b.theRun(drawnRun)
	index, err := readIndex(t.Context(), b.pages.store, of.Index)
	if err != nil {
		t.Fatal(err)
	}
	want := nifti.OfVolume(make([]byte, 128*128*128), []int{128, 128, 128}, index.Grid(128, 128, 128))
	for _, path := range []string{"/volumes/" + of.Volume, "/labels/" + of.Mask} {
		img, err := nifti.Read(strings.NewReader(b.page(path+"?index="+of.Index)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range img.Affine {
			for j, v := range row {
				if math.Abs(v-want.Affine[i][j]) > 1e-3 {
					t.Errorf("%s: affine %v, want %v", path, img.Affine, want.Affine)
				}
			}
		}
	}
}

func TestDiceIsThatOfPackageScore(t *testing.T) {
	b := open(t, Options{})
	_, of := b.theRun(modelRun)
	drawn, _ := b.theRun(drawnRun)
	truth := drawn.byName[of.Name]
	got, err := b.pages.measureDice(t.Context(), diceKey{of.Mask, truth.Mask})
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.pages.tensors.labels(t.Context(), of.Mask)
	if err != nil {
		t.Fatal(err)
	}
	want, err := b.pages.tensors.labels(t.Context(), truth.Mask)
	if err != nil {
		t.Fatal(err)
	}
	for level := range volume.Levels {
		p := make([]float32, len(a.Data))
		for i, v := range a.Data {
			if int(v) == level+1 {
				p[i] = 1
			}
		}
		if w := score.Dice(p, want.Data, uint8(level+1)); math.Abs(w-got.Levels[level]) > 1e-12 {
			t.Errorf("%s: %g, want %g", volume.LevelName(level), got.Levels[level], w)
		}
	}
}

func TestTwoRunsAreCompared(t *testing.T) {
	b := open(t, Options{})
	_, of := b.theRun(modelRun)
	query := CompareQuery(drawnRun, modelRun)
	b.page("/compare/"+of.Name+"?"+query, "before: drawn", "made anew", "/masks/"+of.Mask)
	b.page("/compare?"+query, of.Name, "crops were made anew")
	b.page("/compare?"+CompareQuery(modelRun, modelRun), "This is one run twice", "equal")
}

func TestAStudyThatWasRefusedSaysWhatToDo(t *testing.T) {
	b := open(t, Options{})
	r, _ := b.theRun(modelRun)
	at := slices.IndexFunc(r.Studies, func(s *study) bool { return s.Refused() })
	if at < 0 {
		t.Fatal("no study was refused")
	}
	of := r.Studies[at]
	text := b.page(r.Path()+"/studies"+href(of.Name), of.Reason, html.EscapeString(of.Remedy))
	if strings.Contains(text, `id="viewer"`) {
		t.Error("there is something to look at")
	}
}

func TestADamagedManifestIsToldAsSuch(t *testing.T) {
	store, err := artifacts.Open(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.PutNamed(t.Context(), manifest.Key("bad", "20260102T030405.000Z"), []byte("PAR1 no more")); err != nil {
		t.Fatal(err)
	}
	b := openStore(t, store, Options{Token: "the-token"})
	if status, _, text := b.ask("/"); status != http.StatusInternalServerError || !strings.Contains(text, "damaged") || !strings.Contains(text, "verify") {
		t.Errorf("%d %s", status, text)
	}
}

func TestAnswersAreJudgedByTheLabelsOfTheDataSets(t *testing.T) {
	b := open(t, Options{})
	text := b.page(modelRun.Path()+"/answers", "weighted log loss", "ROC curves", "Worst answers", "At a threshold of 0.5")
	if strings.Contains(text, brokenStudy) {
		t.Error("a study whose labels nobody knows is judged")
	}
	b.page(modelRun.Path()+"/answers?threshold=0.9", "At a threshold of 0.9")
	for path, want := range map[string]int{modelRun.Path() + "/answers?threshold=2": http.StatusBadRequest, drawnRun.Path() + "/answers": http.StatusNotFound} {
		if status, _, _ := b.ask(path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestAReportStandsByItself(t *testing.T) {
	b := open(t, Options{})
	file, err := b.pages.Report(t.Context(), ReportOptions{Run: "model"})
	if err != nil {
		t.Fatal(err)
	}
	_, of := b.theRun(modelRun)
	for _, want := range []string{"Run model", "How good the answers of run model are", of.Name, brokenStudy, "data:image/png;base64,", "<style>"} {
		if !bytes.Contains(file, []byte(want)) {
			t.Errorf("it lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "<link", `href="/`, `src="/`, "http://", "url("} {
		if at := bytes.Index(file, []byte(never)); at >= 0 {
			t.Errorf("it has %q: %s", never, file[max(0, at-80):min(len(file), at+80)])
		}
	}
	if len(file) > 15<<20 {
		t.Errorf("%d bytes", len(file))
	}
}
