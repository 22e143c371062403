package view

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/phantom"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/models/bundled"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/pipelines/runners"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
)

// The studies of the tests' store: phantoms, and one that is refused. Run "drawn" takes masks from label files, "model" from the bundled segmenter, and
// asks a classifier with random weights.
var tests struct {
	once  sync.Once
	dir   string
	err   error
	store *artifacts.Store
	data  *source.Source
}

const (
	testStudies = 3
	brokenStudy = "1.2.3.4.5"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if tests.dir != "" {
		_ = os.RemoveAll(tests.dir)
	}
	os.Exit(code)
}

// testStore makes the store once.
func testStore(t testing.TB) (*artifacts.Store, *source.Source) {
	t.Helper()
	tests.once.Do(func() {
		if tests.dir, tests.err = os.MkdirTemp("", "cspine-view"); tests.err == nil {
			tests.err = makeStore(context.Background(), tests.dir)
		}
	})
	if tests.err != nil {
		t.Fatal(tests.err)
	}
	return tests.store, tests.data
}

func makeStore(ctx context.Context, dir string) (err error) {
	data := filepath.Join(dir, "data")
	if _, err := phantom.Write(ctx, data, phantom.Options{Studies: testStudies, Slices: 60, Masks: testStudies, Seed: 3, Size: 160, Syntax: "mixed"}); err != nil {
		return err
	}
	broken := filepath.Join(data, "train_images", brokenStudy)
	if err := os.MkdirAll(broken, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(broken, "1.dcm"), []byte("this is no slice"), 0o666); err != nil {
		return err
	}
	site := transforms.Site{Data: data, Store: filepath.Join(dir, "store"), Studies: testStudies + 1}
	if tests.data, tests.store, err = site.Open(ctx); err != nil {
		return err
	}
	run := func(build func(beam.Scope)) error {
		_, err := runners.Reported(ctx, build)
		return err
	}
	drawn := pipelines.PrepareOptions{Site: site, Run: "drawn", ID: "20260102T030405.000Z", Shard: shard.Layout{Buckets: 2}}
	if err := run(func(s beam.Scope) { pipelines.Prepare(s, drawn) }); err != nil {
		return err
	}
	put := func(file []byte) (string, error) {
		out, err := tests.store.Put(ctx, artifacts.Content{Data: file})
		return out.Digest.String(), err
	}
	segmenter, err := put(bundled.Segmenter())
	if err != nil {
		return err
	}
	network, err := nets.Classifier{Type: 1, Size: 32, Hidden: 16}.Build(1)
	if err != nil {
		return err
	}
	ensemble := classify.Ensemble{Engine: "gorgonia"}
	spec, err := ensemble.Check(network)
	if err != nil {
		return err
	}
	classifier, err := put(network)
	if err != nil {
		return err
	}
	ensemble.Files = []classify.File{{Digest: classifier, Spec: spec}}
	answers := pipelines.PredictOptions{PrepareOptions: pipelines.PrepareOptions{Site: site, Run: "model", ID: "20260203T040506.000Z",
		Model: segment.Model{Digests: []string{segmenter}, Engine: "gorgonia"}}, Classifiers: ensemble}
	return run(func(s beam.Scope) { pipelines.Predict(s, answers) })
}

var (
	drawnRun = runRef{"drawn", "20260102T030405.000Z"}
	modelRun = runRef{"model", "20260203T040506.000Z"}
)

// browser asks a server as a browser that knows the token.
type browser struct {
	t      testing.TB
	server *httptest.Server
	pages  *Server
}

func open(t testing.TB, o Options) *browser {
	t.Helper()
	store, _ := testStore(t)
	o.Token = "the-token"
	return openStore(t, store, o)
}

func openStore(t testing.TB, store *artifacts.Store, o Options) *browser {
	t.Helper()
	pages := New(store, o)
	if err := pages.truth.readAll(t.Context()); err != nil {
		t.Log(err) // of stores that are damaged
	}
	server := httptest.NewServer(pages)
	t.Cleanup(func() {
		server.Close()
		pages.Close()
	})
	return &browser{t, server, pages}
}

// ask returns the status, the headers and the text of an answer.
func (b *browser) ask(path string) (int, http.Header, string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.server.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	request.AddCookie(&http.Cookie{Name: b.cookie(), Value: b.pages.Token()})
	return b.send(request)
}

func (b *browser) cookie() string {
	return "cspine-view-" + b.server.URL[strings.LastIndexByte(b.server.URL, ':')+1:]
}

func (b *browser) send(request *http.Request) (int, http.Header, string) {
	b.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

// page returns the text of a page that must be there, and has all that is wanted.
func (b *browser) page(path string, wants ...string) string {
	b.t.Helper()
	status, _, text := b.ask(path)
	if status != http.StatusOK {
		b.t.Fatalf("%s: %d\n%.2000s", path, status, text)
	}
	for _, want := range wants {
		if !strings.Contains(text, want) {
			b.t.Errorf("%s lacks %q", path, want)
		}
	}
	return text
}

// theRun returns a run of the tests' store, and one of its studies that was not refused.
func (b *browser) theRun(ref runRef) (*run, *study) {
	b.t.Helper()
	r, err := b.pages.runs.get(b.t.Context(), ref)
	if err != nil {
		b.t.Fatal(err)
	}
	at := slices.IndexFunc(r.Studies, func(s *study) bool { return s.Masked() })
	if at < 0 {
		b.t.Fatalf("run %s has no study with a mask", ref.Name)
	}
	return r, r.Studies[at]
}
