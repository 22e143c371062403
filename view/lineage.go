package view

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/lineage"
	"github.com/cspine/cspine/transforms/manifest"
)

// lineagePage is where an artifact comes from.
type lineagePage struct {
	Asked string
	Run   runRef
	// Nodes are drawn in columns, what was made last at the left.
	Nodes         []nodeView
	Edges         []edgeView
	Width, Height int
	// Chosen are the artifacts that were asked for, with all that is known of them.
	Chosen []artifactView
}

type nodeView struct {
	X, Y     int
	Name     string
	Digest   string
	Size     string
	Kind     string // "artifact", "chosen", or "outside": a model or a file
	Path     string
	Level    int // −1 if it is no vertebra's
	Computed bool
}

type edgeView struct{ Path, Name string }

type artifactView struct {
	Row    artifacts.Row
	Record *artifacts.Record
	Params []artifacts.Param
	Inputs []inputView
	Slices int
	Study  string // the address of its study
}

type inputView struct{ Name, Digest, Path, Of string }

const (
	nodeWidth, nodeHeight = 168, 46
	columnGap, rowGap     = 74, 16
)

func (s *Server) lineage(r *http.Request) (*Page, error) {
	digest := r.PathValue("digest")
	if digest == "" {
		digest = strings.ToLower(strings.TrimSpace(r.FormValue("digest")))
	}
	page := &Page{Title: "Lineage", Section: "lineage", Template: "lineage"}
	if digest == "" {
		page.Content = &lineagePage{}
		return page, nil
	}
	if len(digest) < 6 || strings.Trim(digest, "0123456789abcdef") != "" {
		return nil, wrong("this is no digest", "give at least the first six of its hexadecimal digits: pages and 'cspine why' have them")
	}
	p, err := s.lineagePage(r.Context(), digest)
	if err != nil {
		return nil, err
	}
	page.Content, page.Title = p, "Lineage of "+digest[:min(12, len(digest))]
	return page, nil
}

// lineagePage finds an artifact in the newest run that knows it.
func (s *Server) lineagePage(ctx context.Context, digest string) (*lineagePage, error) {
	keys, err := manifest.Keys(ctx, s.store, "")
	if err != nil {
		return nil, err
	}
	for _, key := range slices.Backward(keys) {
		run, err := s.runs.get(ctx, refAt(key))
		if err != nil {
			return nil, err
		}
		g := lineage.NewGraph(s.store, run.rows)
		found := g.Rows(func(row artifacts.Row) bool {
			return strings.HasPrefix(row.Digest, digest) || strings.HasPrefix(row.Recipe, digest)
		})
		if len(found) == 0 {
			continue
		}
		p := &lineagePage{Asked: digest, Run: run.runRef}
		var roots []*lineage.Node
		for _, i := range found[:min(len(found), 8)] { // one artifact may be of many studies
			n, err := g.Node(ctx, i)
			if err != nil {
				return nil, err
			}
			roots = append(roots, n)
			p.Chosen = append(p.Chosen, p.describe(run, n))
		}
		p.draw(roots)
		return p, nil
	}
	return nil, missing(fmt.Sprintf("the store's manifests know no artifact %s", digest), "check the digits; 'cspine gc' may have deleted the run that made it")
}

// describe says all that is known of an artifact.
func (p *lineagePage) describe(run *run, n *lineage.Node) artifactView {
	a := artifactView{Row: n.Row, Record: n.Record, Slices: len(n.Files)}
	if run.byName[n.Row.Subject] != nil {
		a.Study = run.Path() + "/studies" + href(n.Row.Subject)
	}
	if n.Record != nil {
		for _, p := range n.Record.Recipe.Params {
			if p.Name != "folder" { // an index's: under pseudonyms, too, it is the data set's own
				a.Params = append(a.Params, p)
			}
		}
	}
	for _, e := range n.Inputs {
		in := inputView{Name: e.Name, Digest: e.Digest.String()}
		if e.Of != nil {
			in.Path, in.Of = href("artifacts", e.Of.Row.Digest), nameOf(e.Of)
		}
		a.Inputs = append(a.Inputs, in)
	}
	return a
}

func nameOf(n *lineage.Node) string { return strings.TrimSpace(n.Row.Step + " " + n.Row.Part) }

// draw lays the graph out: a node stands as far to the right as the longest way to it, so that every arrow goes to the right.
func (p *lineagePage) draw(roots []*lineage.Node) {
	depth := map[*lineage.Node]int{}
	var order []*lineage.Node
	var visit func(n *lineage.Node, at int)
	visit = func(n *lineage.Node, at int) {
		known, seen := depth[n]
		if !seen {
			order = append(order, n)
		}
		if seen && known >= at {
			return
		}
		depth[n] = at
		for _, e := range n.Inputs {
			if e.Of != nil {
				visit(e.Of, at+1)
			}
		}
	}
	for _, n := range roots {
		visit(n, 0)
	}
	filled := map[int]int{} // nodes by column
	place := func(column int) (x, y int) {
		x, y = 8+column*(nodeWidth+columnGap), 8+filled[column]*(nodeHeight+rowGap)
		filled[column]++
		p.Width, p.Height = max(p.Width, x+nodeWidth+8), max(p.Height, y+nodeHeight+8)
		return x, y
	}
	defer func() { p.Height += nodeHeight }() // for edges that go around
	at := map[*lineage.Node]int{}
	for _, n := range order {
		v := nodeView{Name: nameOf(n), Digest: n.Row.Digest, Size: inwords.Bytes(n.Row.Bytes), Kind: "artifact", Path: href("artifacts", n.Row.Digest), Level: volume.LevelOf(n.Row.Part), Computed: !n.Row.Hit}
		if slices.Contains(roots, n) {
			v.Kind = "chosen"
		}
		v.X, v.Y = place(depth[n])
		at[n] = len(p.Nodes)
		p.Nodes = append(p.Nodes, v)
	}
	outside := map[string]int{}
	for _, n := range order {
		for _, e := range n.Inputs {
			to := 0
			if e.Of != nil {
				to = at[e.Of]
			} else {
				key := e.Name + e.Digest.String()
				i, ok := outside[key]
				if !ok {
					v := nodeView{Name: e.Name, Digest: e.Digest.String(), Size: "outside", Kind: "outside", Level: -1}
					v.X, v.Y = place(depth[n] + 1)
					i = len(p.Nodes)
					outside[key] = i
					p.Nodes = append(p.Nodes, v)
				}
				to = i
			}
			p.Edges = append(p.Edges, edge(p.Nodes[at[n]], p.Nodes[to], e))
		}
	}
}

// edge is a curve from the right of a node to the left of what it was made of.
func edge(from, to nodeView, e lineage.Edge) edgeView {
	x1, y1, x2, y2 := from.X+nodeWidth, from.Y+nodeHeight/2, to.X, to.Y+nodeHeight/2
	bow := 0
	if x2-x1 > columnGap { // around the nodes that stand between
		bow = nodeHeight + 2*rowGap
	}
	name := e.Name
	if e.Part {
		name += ", a part"
	}
	return edgeView{Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+columnGap/2, y1+bow, x2-columnGap/2, y2+bow, x2, y2), Name: name}
}
