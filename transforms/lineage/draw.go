package lineage

import (
	"fmt"
	"io"
	"strings"
)

// Dot writes nodes, and all that they were made of, as a graph for Graphviz.
func Dot(w io.Writer, roots []*Node) error {
	d := newDrawing(roots)
	var b strings.Builder
	b.WriteString("digraph lineage {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for i, n := range d.nodes {
		fmt.Fprintf(&b, "  n%d [label=\"%s\"];\n", i, strings.Join(n.lines, `\n`))
	}
	for _, e := range d.edges {
		fmt.Fprintf(&b, "  n%d -> n%d [label=\"%s\"%s];\n", e.from, e.to, e.name, map[bool]string{true: ", style=dashed"}[e.part])
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Mermaid writes nodes, and all that they were made of, as a flowchart for Mermaid.
func Mermaid(w io.Writer, roots []*Node) error {
	d := newDrawing(roots)
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, n := range d.nodes {
		fmt.Fprintf(&b, "  n%d[\"%s\"]\n", i, strings.Join(n.lines, "<br>"))
	}
	for _, e := range d.edges {
		arrow := "-->"
		if e.part {
			arrow = "-.->"
		}
		fmt.Fprintf(&b, "  n%d %s|%s| n%d\n", e.from, arrow, e.name, e.to)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// drawing is a graph with its texts. Edges lead from what is read to what is made of it.
type drawing struct {
	nodes []box
	edges []arrow
	known map[any]int // nodes by *Node, and by the text of what comes from outside
}

type box struct{ lines []string }

type arrow struct {
	from, to int
	name     string
	part     bool
}

func newDrawing(roots []*Node) *drawing {
	d := &drawing{known: map[any]int{}}
	for _, n := range roots {
		d.node(n)
	}
	return d
}

// node adds a node with all that it was made of, unless it is there, and returns its number.
func (d *drawing) node(n *Node) int {
	if i, ok := d.known[n]; ok {
		return i
	}
	i := d.add(n, strings.TrimSpace(n.Row.Step+" "+n.Row.Part), n.Row.Subject, n.Row.Digest[:12])
	for _, e := range n.Inputs {
		from := 0
		if e.Of != nil {
			from = d.node(e.Of)
		} else {
			from = d.outside(e)
		}
		d.edges = append(d.edges, arrow{from, i, e.Name, e.Part})
	}
	return i
}

func (d *drawing) outside(e Edge) int {
	if i, ok := d.known[e.Digest]; ok {
		return i
	}
	return d.add(e.Digest, e.Name, e.Digest.String()[:12])
}

func (d *drawing) add(key any, lines ...string) int {
	d.known[key] = len(d.nodes)
	d.nodes = append(d.nodes, box{lines})
	return len(d.nodes) - 1
}
