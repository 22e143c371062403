package view

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"html/template"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/chart"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/internal/volume"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// Page is what a template shows.
type Page struct {
	Title string
	// Section is which entry of the menu it belongs to.
	Section string
	// Template is the name of its file, without ".html".
	Template string
	Content  any
	// Run is the run that the menu's links stay with; nil where there is none.
	Run *run
	// Scripts are the assets that it runs.
	Scripts []string
	// Alone marks a page that stands in a file by itself, with nothing to load or to lead to.
	Alone bool
}

// href writes an address of this server from parts that may hold anything.
func href(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"href":    href,
	"bytes":   inwords.Bytes,
	"seconds": seconds,
	"short":   func(d string) string { return d[:min(12, len(d))] },
	"percent": func(v float64) string { return strconv.FormatFloat(100*v, 'f', 1, 64) + " %" },
	"fixed":   func(digits int, v float64) string { return strconv.FormatFloat(v, 'f', digits, 64) },
	"count":   count,
	"plural":  plural,
	"level":   volume.LevelName,
	"levels":  levels,
	"colour":  picture.Hex,
	"when":    func(t time.Time) string { return t.Local().Format("2 Jan 2006 15:04:05") },
	"add":     func(a, b int) int { return a + b },
	"share": func(part, whole int) float64 {
		if whole == 0 {
			return 0
		}
		return float64(part) / float64(whole)
	},
	"number": func(digits int, v float64) string {
		if math.IsNaN(v) {
			return "–"
		}
		return strconv.FormatFloat(v, 'f', digits, 64)
	},
	"join":         strings.Join,
	"asset":        assetAddress,
	"compareQuery": CompareQuery,
	"reasonsOf":    func(p *Page, rows []reasonOf, class string) reasonTable { return reasonTable{p, rows, class} },
	"evaluationOf": func(e *evaluation, alone bool) evaluationView { return evaluationView{e, alone} },
	"spark":        func(values []float64) template.HTML { return chart.Spark(values, "") },
	"css":          func() template.CSS { return template.CSS(asset(styleAsset)) }, //nolint:gosec // it is this program's own
}).ParseFS(pageFiles, "pages/*.html"))

func levels() (all []int) {
	for l := range volume.Levels {
		all = append(all, l)
	}
	return all
}

// render writes a page.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, p *Page) {
	text, err := execute(p)
	if err != nil {
		slog.Error("view", "page", p.Template, "error", err)
		http.Error(w, "this page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}

// execute makes a page's text.
func execute(p *Page) ([]byte, error) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, p.Template+".html", p); err != nil {
		return nil, err
	}
	return frame(p, body.Bytes())
}

// frame puts around a page's body what all pages have.
func frame(p *Page, body []byte) ([]byte, error) {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, "frame.html", struct {
		*Page
		Body template.HTML
	}{p, template.HTML(body)}) //nolint:gosec // a template made it
	return out.Bytes(), err
}

// reasonTable is what the table of reasons shows.
type reasonTable struct {
	Page  *Page
	Rows  []reasonOf
	Class string
}

// problem writes a page that says what is wrong and what to do.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	p := told(err)
	s.render(w, r, p.status, &Page{Title: http.StatusText(p.status), Template: "problem", Content: map[string]string{"What": p.what, "Remedy": p.remedy}})
}

// refuse answers a request for a picture or another file that can't be served.
func (s *Server) refuse(w http.ResponseWriter, _ *http.Request, err error) {
	p := told(err)
	http.Error(w, p.what+": "+p.remedy, p.status)
}

// told makes of any error one that a page can tell.
func told(err error) *problemError {
	var p *problemError
	if errors.As(err, &p) {
		return p
	}
	switch {
	case errors.Is(err, artifacts.ErrNotFound):
		return &problemError{http.StatusNotFound, "the store does not have this any more", "'cspine gc' may have deleted it: run again to make it anew", err}
	case errors.Is(err, artifacts.ErrCorrupt):
		return &problemError{http.StatusInternalServerError, "this is damaged in the store", "'cspine verify --read-data --repair' removes what is damaged; run again to make it anew", err}
	}
	slog.Error("view", "error", err)
	return &problemError{http.StatusInternalServerError, "this could not be read: " + err.Error(), "try again; 'cspine verify' tells whether the store is sound", err}
}

// assets serves the files of pages, and the library that draws in three dimensions.
func (s *Server) assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == niivueAsset {
			file := s.niivue()
			if file == "" {
				http.Error(w, "NiiVue is not set up: ./run.sh setup view", http.StatusNotFound)
				return
			}
			keep(w)
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			http.ServeFile(w, r, file)
			return
		}
		content := asset(r.URL.Path)
		if content == nil {
			http.NotFound(w, r)
			return
		}
		keep(w)
		http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(content))
	})
}

const (
	niivueAsset = "niivue.js"
	styleAsset  = "style.css"
)

// asset is the content of a file of pages; nil where there is none.
func asset(name string) []byte {
	content, err := assetFiles.ReadFile("assets/" + name)
	if err == nil && name == styleAsset {
		content = slices.Concat([]byte(chart.Style()), content)
	}
	return content
}

// niivue is the library's file; "" where it is not set up.
func (s *Server) niivue() string {
	if s.options.NiiVue == "" {
		return ""
	}
	file := filepath.Join(s.options.NiiVue, "index.js")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// keep lets a browser keep an answer: its address changes with its content.
func keep(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", fmt.Sprintf("private, immutable, max-age=%d", int(forEver.Seconds())))
}

// assetAddress names an asset by its content, so that a browser never shows one of another build.
func assetAddress(name string) string {
	h := fnv.New64a()
	_, _ = h.Write(asset(name))
	return fmt.Sprintf("/assets/%s?%x", name, h.Sum64())
}

func seconds(s float64) string {
	switch {
	case s == 0:
		return "–"
	case s < 0.1:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s < 100:
		return fmt.Sprintf("%.1f s", s)
	case s < 6000:
		return fmt.Sprintf("%.0f min", s/60)
	}
	return fmt.Sprintf("%.1f h", s/3600)
}

// count writes a number with its thousands apart.
func count(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		if digits[at-1] == '-' {
			break
		}
		digits = digits[:at] + "\u202f" + digits[at:]
	}
	return digits
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
