package view

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/picture"
)

// tab is a page in a real browser.
type tab struct {
	*browser
	ctx context.Context

	mu       sync.Mutex
	messages []string // errors and warnings on its console
}

// newTab opens a tab that knows the token. A machine without a browser skips the test. CSPINE_BROWSER names one; CSPINE_SCREENSHOTS is a folder for
// pictures of the pages, to be looked at.
func newTab(t testing.TB, b *browser, width, height int) *tab {
	t.Helper()
	path := os.Getenv("CSPINE_BROWSER")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); path == "" && err == nil {
			path = found
		}
	}
	if path == "" {
		t.Skip("no Chromium on this machine")
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.WindowSize(width, height), chromedp.Flag("enable-unsafe-swiftshader", true), chromedp.Flag("hide-scrollbars", true))...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	page := &tab{browser: b, ctx: ctx}
	page.do(chromedp.Navigate("about:blank"))
	go func() {
		for m := range chromedp.Console(ctx) {
			if strings.Contains(m.Text, "GL Driver Message") {
				continue // a processor draws, and is slow: that is no fault of the page
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				page.mu.Lock()
				page.messages = append(page.messages, m.String())
				page.mu.Unlock()
			}
		}
	}()
	page.do(chromedp.Navigate(b.server.URL + "/?token=" + b.pages.Token()))
	return page
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

func ask[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

func (p *tab) open(path string) { p.t.Helper(); p.do(chromedp.Navigate(p.server.URL + path)) }

// press presses keys once the page's scripts listen: they have run when it is complete.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.wait(`document.readyState === "complete"`)
	p.do(chromedp.KeyEvent(keys))
}

// wait waits until something is true in the page, or in the one that follows it.
func (p *tab) wait(condition string) {
	p.t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var is bool
		if is, err = chromedp.Run(p.ctx, chromedp.Evaluate[bool]("!!("+condition+")")); is && err == nil {
			return
		}
	}
	p.t.Fatalf("%s does not come true: %v", condition, err)
}

// loaded waits until every picture that can be seen is there.
func (p *tab) loaded() {
	p.t.Helper()
	p.wait(`[...document.images].filter((i) => i.loading !== "lazy" && !i.hidden && i.getAttribute("src")).every((i) => i.complete && i.naturalWidth > 0)`)
}

// quiet fails if the page complained.
func (p *tab) quiet(what string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.messages {
		p.t.Errorf("%s: %s", what, m)
	}
	p.messages = nil
}

// screenshot returns the whole page as it looks.
func (p *tab) screenshot(name string) image.Image {
	p.t.Helper()
	data := ask(p, chromedp.FullScreenshot(100))
	if dir := os.Getenv("CSPINE_SCREENSHOTS"); dir != "" {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o666); err != nil {
			p.t.Fatal(err)
		}
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		p.t.Fatal(err)
	}
	return img
}

func (p *tab) dark(on bool) {
	p.t.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}}); err != nil {
		p.t.Fatal(err)
	}
}

func TestEveryPageInABrowser(t *testing.T) {
	_, data := testStore(t)
	b := open(t, Options{Data: data, NiiVue: os.Getenv("CSPINE_NIIVUE_DIR")})
	p := newTab(t, b, 1400, 1000)
	r, of := b.theRun(modelRun)
	for _, c := range []struct{ name, path, heading string }{
		{"run", r.Path(), "Run model"},
		{"studies", r.Path() + "/studies", "Studies of run model"},
		{"pictures", r.Path() + "/studies?grid=1", "Studies of run model"},
		{"study", r.Path() + "/studies/" + of.Name, of.Name},
		{"answers", r.Path() + "/answers", "How good the answers of run model are"},
		{"refused", r.Path() + "/studies" + href("train_images/"+brokenStudy), brokenStudy},
		{"compare", "/compare?" + CompareQuery(drawnRun, modelRun), "Compare two runs"},
		{"comparestudy", "/compare/" + of.Name + "?" + CompareQuery(drawnRun, modelRun), of.Name},
		{"lineage", "/artifacts/" + of.Crops[3], "Lineage"},
		{"lineageempty", "/artifacts", "Lineage"},
		{"datasets", "/datasets", "Data sets"},
		{"dataset", "/datasets/drawn", "Data set drawn"},
		{"trainings", "/trainings", "Trainings"},
	} {
		for _, dark := range []bool{false, true} {
			p.dark(dark)
			p.open(c.path)
			p.loaded()
			if got := ask(p, chromedp.Evaluate[string](`document.querySelector("h1").textContent`)); !strings.Contains(got, c.heading) {
				t.Errorf("%s: headed %q, want %q", c.name, got, c.heading)
			}
			name := c.name
			if dark {
				name += "-dark"
			}
			p.screenshot(name)
			p.quiet(name)
		}
	}
}

func TestAStudyIsReadByKeys(t *testing.T) {
	_, data := testStore(t)
	b := open(t, Options{Data: data})
	p := newTab(t, b, 1400, 1000)
	r, of := b.theRun(modelRun)
	p.open(r.Path() + "/studies/" + of.Name)
	p.loaded()
	if n := p.coloured(".plane[data-plane=sagittal] img.mask"); n < 50 {
		t.Errorf("%d pixels of the sagittal mask have a level's colour", n)
	}
	count := func(selector string) int {
		return ask(p, chromedp.Evaluate[int](`document.querySelectorAll(`+"`"+selector+"`"+`).length`))
	}
	if n := count("#viewer svg rect.box"); n < 7 {
		t.Errorf("%d boxes are drawn", n)
	}
	p.press("b")
	if n := count("#viewer svg rect.box"); n != 0 {
		t.Errorf("%d boxes are drawn after b", n)
	}
	p.press("m")
	if n := count("#viewer img.mask.hidden"); n != 3 {
		t.Errorf("%d masks are hidden after m", n)
	}
	p.press("m")
	if n := count("#viewer img.mask.hidden"); n != 0 {
		t.Errorf("%d masks are hidden after m twice", n)
	}
	at := func() int {
		return ask(p, chromedp.Evaluate[int](`Number(document.querySelector(".plane[data-plane=axial] input").value)`))
	}
	before := at()
	p.press(kb.ArrowDown)
	p.press(kb.ArrowDown)
	p.press(kb.ArrowUp)
	if got := at(); got != before+1 {
		t.Errorf("slice %d after down, down, up from %d", got, before)
	}
	p.wait(`document.querySelector(".plane[data-plane=axial] img.mask").src.endsWith("/` + "axial/" + `" + document.querySelector(".plane[data-plane=axial] input").value)`)
	p.press("2")
	p.wait(`document.querySelector(".plane[data-plane=sagittal] img.grey").src.includes("from=")`)
	p.wait(`document.querySelector(".plane[data-plane=axial] img.grey").src.includes("from=-160&to=240")`)
	p.press("t")
	p.wait(`document.querySelector(".plane[data-plane=sagittal] img.mask").src.includes(document.querySelector(".plane[data-plane=sagittal]").dataset.drawn)`)
	p.press("?")
	p.wait(`document.getElementById("help").open`)
	p.press("?")
	p.wait(`!document.getElementById("help").open`)
	p.loaded()
	p.quiet("keys")
	p.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("img.crop").click()`))
	p.wait(`document.getElementById("enlarged").open && document.querySelector("#enlarged img").complete`)
	p.press(kb.ArrowRight)
	p.wait(`document.querySelector("#enlarged h3").textContent.includes("place")`)
	p.press(kb.Escape)
	next := r.Studies[slices.Index(r.Studies, of)+1]
	p.press(kb.ArrowRight)
	p.wait(`location.pathname.endsWith("/studies/` + next.Name + `")`)
	p.quiet("next study")
}

// coloured counts the pixels of a picture that have a level's colour.
func (p *tab) coloured(selector string) int {
	p.t.Helper()
	var colours []string
	for level := range picture.Palette {
		colours = append(colours, `"`+picture.Hex(level)+`"`)
	}
	return ask(p, chromedp.Evaluate[int](`(() => {
		const img = document.querySelector("`+selector+`"), canvas = document.createElement("canvas");
		canvas.width = img.naturalWidth; canvas.height = img.naturalHeight;
		const to = canvas.getContext("2d");
		to.drawImage(img, 0, 0);
		const all = to.getImageData(0, 0, canvas.width, canvas.height).data, levels = [`+strings.Join(colours, ",")+`].map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
		let n = 0;
		for (let i = 0; i < all.length; i += 4) if (all[i + 3] > 200 && levels.some((l) => l.every((v, k) => Math.abs(v - all[i + k]) < 4))) n++;
		return n;
	})()`))
}

func TestTheListIsReadByKeys(t *testing.T) {
	b := open(t, Options{})
	p := newTab(t, b, 1400, 900)
	r, _ := b.theRun(modelRun)
	p.open(r.Path() + "/studies")
	p.press(kb.ArrowDown)
	p.press(kb.ArrowDown)
	if got := ask(p, chromedp.Evaluate[string](`document.activeElement.textContent`)); got != r.Studies[1].Name {
		t.Errorf("on %q after two rows, want %q", got, r.Studies[1].Name)
	}
	p.press("/")
	if got := ask(p, chromedp.Evaluate[string](`document.activeElement.name`)); got != "q" {
		t.Errorf("after / on %q", got)
	}
	p.press("refus\r")
	p.wait(`location.search.includes("refus")`)
	p.quiet("list")
}

func TestAListOfThousandsIsPagedByKeys(t *testing.T) {
	store, err := artifacts.Open(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ref := manyStudies(t, store, 2000)
	p := newTab(t, openStore(t, store, Options{Token: "the-token"}), 1400, 900)
	p.open(ref.Path() + "/studies")
	for page := 2; page <= 4; page++ {
		p.press(kb.ArrowRight)
		p.wait(fmt.Sprintf(`location.search === "?page=%d" && document.querySelectorAll("#studies tbody tr").length === %d`, page, rowsPerPage))
	}
	p.press(kb.ArrowLeft)
	p.wait(`location.search === "?page=3"`)
	p.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("th a[href*='sort=found']").click()`))
	p.wait(`location.search.includes("sort=found") && document.querySelector("#studies tbody tr a").textContent === "1.2.00099"`)
	p.quiet("the list")
}

// BenchmarkStudyInABrowser is from the address of a study's page to its pictures, all of them, in a browser that has kept none.
func BenchmarkStudyInABrowser(b *testing.B) {
	_, data := testStore(b)
	shown := open(b, Options{Data: data})
	r, of := shown.theRun(modelRun)
	p := newTab(b, shown, 1400, 1000)
	if _, err := chromedp.Call(p.ctx, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p.open(r.Path() + "/studies/" + of.Name)
		p.loaded()
	}
}

func TestTheVolumeInThreeDimensionsShowsTheMask(t *testing.T) {
	folder := os.Getenv("CSPINE_NIIVUE_DIR")
	if folder == "" {
		t.Skip("CSPINE_NIIVUE_DIR is not set: ./run.sh setup view")
	}
	b := open(t, Options{NiiVue: folder})
	p := newTab(t, b, 1400, 1000)
	r, of := b.theRun(modelRun)
	p.open(r.Path() + "/studies/" + of.Name)
	p.loaded()
	p.do(chromedp.Click(`#volume-open`))
	p.wait(`document.getElementById("volume").dataset.ready === "yes"`)
	for _, view := range []string{"render", "multi"} {
		p.do(chromedp.Click(`#volume-tools [data-view=` + view + `]`))
		p.do(chromedp.Evaluate[chromedp.Void](`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`, chromedp.EvalAwaitPromise))
		shot := ask(p, chromedp.Screenshot(`#volume-canvas`))
		img, err := png.Decode(bytes.NewReader(shot))
		if err != nil {
			t.Fatal(err)
		}
		if dir := os.Getenv("CSPINE_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "volume-"+view+".png"), shot, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if n := colourful(img); n < 200 {
			t.Errorf("%s: %d pixels have any colour", view, n)
		}
	}
	p.quiet("three dimensions")
}

// colourful counts the pixels that are not grey.
func colourful(img image.Image) (n int) {
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			if max(r, g, b)-min(r, g, b) > 0x3000 {
				n++
			}
		}
	}
	return n
}
