// Package lineage follows an artifact back to the files it comes from: what it was made of, by which recipe, and what that was made of.
//
// Invariants:
//   - It must say what the records and one run's manifest say, and nothing that is only likely. An input that the manifest does not know is
//     named and goes no further.
//   - An artifact appears once, however many others were made of it.
package lineage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/resample"
	"strconv"
)

// Node is an artifact.
type Node struct {
	Row artifacts.Row
	// Record is how it came about; nil if the store has it no more.
	Record *artifacts.Record
	Inputs []Edge
	// Files are the keys in the data set of the slices that it was made of, where it was made of slices.
	Files []string
}

// Edge is one input of a node.
type Edge struct {
	Name   string
	Digest artifacts.Digest
	// Of is the artifact that the input is, or, if Part is set, of which it is a part. Nil means that it comes from outside: a model, a file.
	Of   *Node
	Part bool
}

// partOf says of which step's artifact an input is a part, by the transform that reads it.
var partOf = map[string]map[string]string{
	"resample": {"slices": "index"},
	"labels":   {"planes": "index"},
	"crop":     {"patch": "boxes", "slices": "index"},
	"verdict":  {"boxes": "boxes"},
}

// Graph finds nodes in one run.
type Graph struct {
	store *artifacts.Store
	rows  []artifacts.Row
	byOut map[string][]int // rows by digest
	bySub map[string][]int // rows by subject
	nodes map[int]*Node
}

// NewGraph returns the graph of a run, of which these are the manifest's rows.
func NewGraph(store *artifacts.Store, rows []artifacts.Row) *Graph {
	g := &Graph{store: store, rows: rows, byOut: map[string][]int{}, bySub: map[string][]int{}, nodes: map[int]*Node{}}
	for i, r := range rows {
		if r.Recipe == "" {
			continue
		}
		g.byOut[r.Digest] = append(g.byOut[r.Digest], i)
		g.bySub[r.Subject] = append(g.bySub[r.Subject], i)
	}
	return g
}

// Rows returns the rows that name an artifact and that keep keeps.
func (g *Graph) Rows(keep func(artifacts.Row) bool) (found []int) {
	for i, r := range g.rows {
		if r.Recipe != "" && keep(r) {
			found = append(found, i)
		}
	}
	return found
}

// Node returns a row's artifact with all that it was made of.
func (g *Graph) Node(ctx context.Context, row int) (*Node, error) {
	if n := g.nodes[row]; n != nil {
		return n, nil
	}
	n := &Node{Row: g.rows[row]}
	g.nodes[row] = n
	recipe, err := artifacts.ParseDigest(n.Row.Recipe)
	if err != nil {
		return nil, err
	}
	record, err := g.store.Record(ctx, recipe)
	switch {
	case errors.Is(err, artifacts.ErrNotFound), errors.Is(err, artifacts.ErrCorrupt):
		return n, nil
	case err != nil:
		return nil, err
	}
	n.Record = &record
	for _, in := range record.Recipe.Inputs {
		e := Edge{Name: in.Name, Digest: in.Digest}
		from, part := g.source(n.Row, in)
		if from >= 0 {
			if e.Of, err = g.Node(ctx, from); err != nil {
				return nil, err
			}
			e.Part = part
		}
		n.Inputs = append(n.Inputs, e)
	}
	n.Files, err = g.files(ctx, n)
	return n, err
}

// source returns the row of the artifact that an input is, or is a part of; −1 if it comes from outside.
func (g *Graph) source(row artifacts.Row, in artifacts.Input) (from int, part bool) {
	if step := partOf[row.Transform][in.Name]; step != "" {
		for _, i := range g.bySub[row.Subject] {
			if g.rows[i].Step == step {
				return i, true
			}
		}
		return -1, false
	}
	same := g.byOut[in.Digest.String()]
	for _, i := range same {
		if g.rows[i].Subject == row.Subject && g.rows[i].Step != row.Step {
			return i, false
		}
	}
	for _, i := range same {
		if g.rows[i].Step != row.Step {
			return i, false
		}
	}
	return -1, false
}

// files lists the slices that a volume or a crop was made of.
func (g *Graph) files(ctx context.Context, n *Node) ([]string, error) {
	if n.Row.Transform != "resample" && n.Row.Transform != "crop" {
		return nil, nil
	}
	from, _ := g.source(n.Row, artifacts.Input{Name: "slices"})
	if from < 0 {
		return nil, nil
	}
	index, err := g.index(ctx, from)
	if index == nil || err != nil {
		return nil, err
	}
	size, _ := strconv.Atoi(param(n.Record.Recipe, "size")) // a crop has none
	picked := resample.Pick(len(index.Slices), size)
	if n.Row.Transform == "crop" {
		b, err := crop.BoxOf(n.Record.Recipe)
		if err != nil {
			return nil, fmt.Errorf("lineage: the crop's box: %w", err)
		}
		picked = crop.Slices(b, len(index.Slices))
	}
	var files []string
	for _, i := range slices.Compact(picked) {
		files = append(files, index.Key(i))
	}
	return files, nil
}

// index reads a study's index; nil if the store has it no more.
func (g *Graph) index(ctx context.Context, row int) (*ingest.Index, error) {
	digest, err := artifacts.ParseDigest(g.rows[row].Digest)
	if err != nil {
		return nil, err
	}
	content, err := g.store.Get(ctx, digest)
	if errors.Is(err, artifacts.ErrNotFound) || errors.Is(err, artifacts.ErrCorrupt) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ingest.Unmarshal(content)
}

func param(r artifacts.Recipe, name string) string {
	for _, p := range r.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}
