package pipelines

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/shard"
	"github.com/cspine/cspine/transforms/train"
)

// graphText writes a pipeline's graph, a line a step: what it is, and which collections go in and out.
func graphText(t *testing.T, p *beam.Pipeline) string {
	t.Helper()
	edges, nodes, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range edges {
		var in, out []string
		for _, i := range e.Input {
			in = append(in, fmt.Sprint(i.From.ID()))
		}
		for _, o := range e.Output {
			out = append(out, fmt.Sprint(o.To.ID()))
		}
		name := e.Scope().String()
		if e.DoFn != nil {
			name += "/" + e.DoFn.Name()[strings.LastIndex(e.DoFn.Name(), "/")+1:]
		}
		fmt.Fprintf(&b, "%-9s %-48s %s → %s\n", e.Op, strings.TrimPrefix(name, "root"), strings.Join(in, " "), strings.Join(out, " "))
	}
	for _, n := range nodes {
		fmt.Fprintf(&b, "%3d %s\n", n.ID(), n.Type())
	}
	return b.String()
}

func TestGraphs(t *testing.T) {
	site := transforms.Site{Data: "data", Store: "store"}
	for _, c := range []struct {
		golden string
		build  func(beam.Scope)
	}{
		{"prepare.golden", func(s beam.Scope) {
			Prepare(s, PrepareOptions{Site: site, Run: "run", ID: "1", Model: segment.Model{Digests: []string{"model"}}, Shard: shard.Layout{Buckets: 4}})
		}},
		{"prepare-labels.golden", func(s beam.Scope) {
			Prepare(s, PrepareOptions{Site: site, Run: "run", ID: "1", Shard: shard.Layout{Buckets: 4}})
		}},
		{"prepare-segmentation.golden", func(s beam.Scope) {
			PrepareSegmentation(s, PrepareOptions{Site: site, Run: "run", ID: "1", Shard: shard.Layout{Buckets: 4}})
		}},
		{"predict.golden", func(s beam.Scope) {
			Predict(s, PredictOptions{PrepareOptions: PrepareOptions{Site: site, Run: "run", ID: "1", Model: segment.Model{Digests: []string{"model"}}},
				Classifiers: classify.Ensemble{Files: []classify.File{{Digest: "model"}}}})
		}},
		{"train.golden", func(s beam.Scope) {
			Train(s, TrainOptions{Site: site, Run: "run", ID: "1", Dataset: "bones", Tasks: []train.Task{{Stage: train.ClassifierStage, Model: "model", Fold: 0, Seed: 1}, {Stage: train.ClassifierStage, Model: "model", Fold: 1, Seed: 1}}})
		}},
	} {
		p, s := beam.NewPipelineWithRoot()
		c.build(s)
		got := graphText(t, p)
		file := filepath.Join("testdata", c.golden)
		if os.Getenv("CSPINE_UPDATE") != "" {
			if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("the graph of %s changed; if that is meant, run: CSPINE_UPDATE=1 go test ./pipelines -run Graphs\n%s", c.golden, diff)
		}
	}
}
