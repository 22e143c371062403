package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/lineage"
	"github.com/cspine/cspine/transforms/manifest"
)

// lineageFlags are those of the commands that follow an artifact back.
type lineageFlags struct {
	store, name  string
	dot, mermaid bool
}

func (l *lineageFlags) addTo(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&l.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&l.name, "run", "", "name of the run (default: the newest run of the store that has it)")
}

func newWhy() *cobra.Command {
	var l lineageFlags
	c := &cobra.Command{
		Use:   "why STUDY[/VERTEBRA]|DIGEST --store URL",
		Short: "Say where an artifact comes from, and why it was computed",
		Long: `Say where an artifact comes from: by which recipe it was made, when and why, of what, and
what that was made of, back to the slices of the study.

A study is named by its UID or its end, a vertebra as C4 behind a slash, and any artifact by
the first six digits of its digest or of its recipe's.`,
		Example: `  cspine why 1.2.826.0.1.3680043.10/C4 --store store
  cspine why 3fa94c --store store`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			roots, key, err := l.find(c.Context(), args[0])
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			fmt.Fprintf(out, "by %s\n", key)
			w := &whyWriter{out: out, seen: map[*lineage.Node]bool{}}
			for _, n := range roots {
				fmt.Fprintln(out)
				w.node(n, "", "")
			}
			return nil
		},
	}
	l.addTo(c)
	return c
}

func newLineage() *cobra.Command {
	var l lineageFlags
	c := &cobra.Command{
		Use:   "lineage STUDY[/VERTEBRA]|DIGEST --store URL --dot|--mermaid",
		Short: "Draw what an artifact was made of",
		Long: `Draw what an artifact was made of, as a graph for Graphviz (--dot) or for Mermaid
(--mermaid). What is drawn is what 'cspine why' tells.`,
		Example: `  cspine lineage 1.2.826.0.1.3680043.10/C4 --store store --dot | dot -Tsvg > lineage.svg`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if l.dot == l.mermaid {
				return usage("give --dot or --mermaid")
			}
			roots, _, err := l.find(c.Context(), args[0])
			if err != nil {
				return err
			}
			write := lineage.Mermaid
			if l.dot {
				write = lineage.Dot
			}
			return write(c.OutOrStdout(), roots)
		},
	}
	l.addTo(c)
	c.Flags().BoolVar(&l.dot, "dot", false, "write it for Graphviz")
	c.Flags().BoolVar(&l.mermaid, "mermaid", false, "write it for Mermaid")
	return c
}

// find returns what is asked for, and the manifest that says where it comes from.
func (l *lineageFlags) find(ctx context.Context, what string) (roots []*lineage.Node, key string, err error) {
	keep, err := asked(what)
	if err != nil {
		return nil, "", err
	}
	store, err := openStore(ctx, l.store)
	if err != nil {
		return nil, "", err
	}
	keys, err := manifest.Keys(ctx, store, l.name)
	if err != nil {
		return nil, "", err
	}
	for _, key := range slices.Backward(keys) {
		rows, err := manifest.Read(ctx, store, key)
		if err != nil {
			return nil, "", err
		}
		g := lineage.NewGraph(store, rows)
		found := g.Rows(keep)
		if len(found) == 0 {
			continue
		}
		for _, i := range found {
			n, err := g.Node(ctx, i)
			if err != nil {
				return nil, "", err
			}
			roots = append(roots, n)
		}
		return roots, key, nil
	}
	where := "the store's manifests know"
	if l.name != "" {
		where = "the manifests of run " + l.name + " know"
	}
	return nil, "", fmt.Errorf("%s no artifact %q", where, what)
}

// asked tells which rows are meant by a study's name with or without a vertebra, or by a digest.
func asked(what string) (func(artifacts.Row) bool, error) {
	if hexDigest.MatchString(what) {
		return func(r artifacts.Row) bool {
			return strings.HasPrefix(r.Digest, what) || strings.HasPrefix(r.Recipe, what)
		}, nil
	}
	study, vertebra, one := strings.Cut(what, "/")
	if one && volume.LevelOf(vertebra) < 0 {
		return nil, usage("%q: a vertebra is one of C1 to C7", what)
	}
	return func(r artifacts.Row) bool {
		if !strings.HasSuffix(r.Subject, study) || study == "" {
			return false
		}
		if one {
			return r.Part == vertebra && (r.Step == "crop" || r.Step == "classify")
		}
		return r.Step == "crop" || r.Step == "verdict" || r.Step == "labelmap"
	}, nil
}

// whyWriter writes nodes as a tree, each once.
type whyWriter struct {
	out  io.Writer
	seen map[*lineage.Node]bool
}

// node writes a node behind a first indent, and what it was made of behind the others.
func (w *whyWriter) node(n *lineage.Node, first, rest string) {
	name := strings.TrimSpace(n.Row.Step + " " + n.Row.Part)
	if w.seen[n] {
		fmt.Fprintf(w.out, "%s%s %.12s (see above)\n", first, name, n.Row.Digest)
		return
	}
	w.seen[n] = true
	fmt.Fprintf(w.out, "%s%s %.12s of %s, %s\n", first, name, n.Row.Digest, n.Row.Subject, inwords.Bytes(n.Row.Bytes))
	if n.Record == nil {
		fmt.Fprintf(w.out, "%s   its record is gone from the store\n", rest)
		return
	}
	r := n.Record.Recipe
	fmt.Fprintf(w.out, "%s   %s version %d, %s, in %.2f s; in this run: %s\n", rest, r.Transform, r.Version, n.Record.Created.Format("2006-01-02 15:04:05"), n.Record.Seconds, n.Row.Why)
	var settings []string
	for _, p := range r.Params {
		settings = append(settings, p.Name+" "+p.Value)
	}
	if len(settings) > 0 {
		fmt.Fprintf(w.out, "%s   %s\n", rest, strings.Join(settings, ", "))
	}
	if len(n.Files) > 0 {
		fmt.Fprintf(w.out, "%s   %s: %s\n", rest, plural(len(n.Files), "slice", "slices"), sliceFiles(n.Files))
	}
	for i, e := range n.Inputs {
		branch, below := "├─ ", "│  "
		if i == len(n.Inputs)-1 {
			branch, below = "└─ ", "   "
		}
		head := rest + branch + e.Name
		switch {
		case e.Of == nil:
			fmt.Fprintf(w.out, "%s %.12s\n", head, e.Digest)
		case e.Part:
			w.node(e.Of, fmt.Sprintf("%s %.12s, part of ", head, e.Digest), rest+below)
		default:
			w.node(e.Of, head+": ", rest+below)
		}
	}
}

// sliceFiles names the files of a study's slices.
func sliceFiles(files []string) string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = path.Base(f)
	}
	if len(names) > 6 {
		return fmt.Sprintf("%s … %s in %s", strings.Join(names[:3], ", "), strings.Join(names[len(names)-2:], ", "), path.Dir(files[0]))
	}
	return strings.Join(names, ", ") + " in " + path.Dir(files[0])
}
