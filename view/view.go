// Package view is the local page: what a store holds, to be looked at in a browser. Runs, studies with their masks, crops and answers, where an
// artifact comes from, data sets, trainings.
//
// Invariants:
//   - It must only read the store.
//   - It must show nothing of a patient: of a study its name in the manifest, its geometry and its pixels.
//   - Nobody is served who does not know the server's token, whatever their browser sends along (see gate).
//   - A page must come at once. What takes longer than a person waits is worked out behind it, and the page says that it is not known yet.
//   - Every picture's address holds the digests of what it shows, so that a browser may keep it for ever.
//   - No page needs anything from elsewhere: no font, script or picture.
package view

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/source"
	"github.com/cspine/cspine/transforms/plan"
)

// Options are what a server shows besides the store. The zero value is useful.
type Options struct {
	// Token must be known to whoever is served; "" draws one.
	Token string
	// Data, if not nil, is the data set from which studies are shown at full resolution.
	Data *source.Source
	// Plan, if not nil, is what the next run would do: what 'cspine plan --json' writes.
	Plan *Plan
	// NiiVue is the folder of the library that draws in three dimensions; where it is empty or lacks it, pages say how to get it.
	NiiVue string
}

// Plan is what 'cspine plan --json' writes.
type Plan struct {
	Run     string `json:"run"`
	Earlier string `json:"earlier"`
	plan.Plan
}

// Server answers with the pages of one store.
type Server struct {
	store   *artifacts.Store
	options Options
	token   string
	runs    runs
	tensors tensors
	facts   facts
	truth   truth
	moved   backlog[movedKey, Moved]
	dice    backlog[diceKey, Dice]
	// contents and greys are what data sets hold, and the grey values of volumes.
	contents backlog[setKey, contents]
	greys    backlog[string, greys]
	mux      *http.ServeMux
	end      context.CancelFunc
	// ctx is done when the server is closed. Work behind the pages lives as long.
	ctx context.Context
}

// New returns a server of a store's pages, which owns neither the store nor the options' data. Close must be called.
func New(store *artifacts.Store, o Options) *Server {
	s := &Server{store: store, options: o, token: o.Token, mux: http.NewServeMux()}
	if s.token == "" {
		s.token = newToken()
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.runs.store, s.facts.store, s.truth.store, s.tensors.store = store, store, store, store
	s.facts.begin(s.ctx)
	s.truth.begin(s.ctx)
	s.moved.begin(s.ctx, s.measureMoved)
	s.dice.begin(s.ctx, s.measureDice)
	s.contents.begin(s.ctx, s.measureContents)
	s.greys.begin(s.ctx, s.measureGreys)
	s.routes()
	return s
}

// Close ends the work behind the pages.
func (s *Server) Close() { s.end() }

// Token is what whoever is served must know.
func (s *Server) Token() string { return s.token }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.gate(w, r) }

func (s *Server) routes() {
	page := func(pattern string, show func(*http.Request) (*Page, error)) {
		s.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			p, err := show(r)
			if err != nil {
				s.problem(w, r, err)
				return
			}
			s.render(w, r, http.StatusOK, p)
		})
	}
	file := func(pattern string, write func(http.ResponseWriter, *http.Request) error) {
		s.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := write(w, r); err != nil {
				s.refuse(w, r, err)
			}
		})
	}
	page("/{$}", s.home)
	page("/runs/{run}/{id}", s.run)
	page("/runs/{run}/{id}/studies", s.studies)
	page("/runs/{run}/{id}/answers", s.answersPage)
	page("/runs/{run}/{id}/studies/{study}", s.study)
	page("/compare", s.compare)
	page("/compare/{study}", s.compareStudy)
	page("/artifacts", s.lineage)
	page("/artifacts/{digest}", s.lineage)
	page("/datasets", s.datasets)
	page("/datasets/{name}", s.dataset)
	page("/trainings", s.trainings)
	page("/trainings/{run}", s.training)
	file("/slices/{volume}/{plane}/{at}", s.slice)
	file("/masks/{mask}/{plane}/{at}", s.maskSlice)
	file("/full/{index}/{at}", s.fullSlice)
	file("/crops/{crop}", s.cropStrip)
	file("/crops/{crop}/{place}", s.cropPlace)
	file("/thumbnails/{volume}", s.thumbnail)
	file("/volumes/{digest}", s.niftiVolume)
	file("/labels/{digest}", s.niftiLabels)
	file("/live/{run}/{id}", s.live)
	s.mux.Handle("GET /assets/", http.StripPrefix("/assets/", s.assets()))
	s.mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, missing("there is no such page", "go back to the newest run, or look for it in the menu"))
	})
}

// problemError is an error that a page can tell.
type problemError struct {
	status       int
	what, remedy string
	err          error
}

func (p *problemError) Error() string {
	if p.err != nil {
		return fmt.Sprintf("%s: %v", p.what, p.err)
	}
	return p.what
}

func (p *problemError) Unwrap() error { return p.err }

func missing(what, remedy string) error {
	return &problemError{status: http.StatusNotFound, what: what, remedy: remedy}
}

func wrong(what, remedy string) error {
	return &problemError{status: http.StatusBadRequest, what: what, remedy: remedy}
}

// forEver is how long what never changes may be kept.
const forEver = 365 * 24 * time.Hour
