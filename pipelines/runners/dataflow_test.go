package runners_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/pipelines/runners"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/classify"
	"github.com/cspine/cspine/transforms/segment"
	"github.com/cspine/cspine/transforms/train"
)

// jobs are what is printed for Dataflow, with flags as a user gives them.
var jobs = map[string]struct {
	runner runners.Runner
	build  func(beam.Scope)
}{
	"prepare": {runners.Runner{Dataflow: runners.DataflowOptions{Image: "europe-docker.pkg.dev/p/cspine/cpu:1"}},
		func(s beam.Scope) { pipelines.Prepare(s, prepare) }},
	"predict": {runners.Runner{Dataflow: runners.DataflowOptions{Image: "europe-docker.pkg.dev/p/cspine/cpu:1", Machine: "n2-standard-16"},
		Flags: []string{"--max_num_workers=100"}},
		func(s beam.Scope) {
			pipelines.Predict(s, pipelines.PredictOptions{PrepareOptions: prepare, Classifiers: classify.Ensemble{Files: []classify.File{{Digest: "c0"}}, Engine: "openvino"}})
		}},
	"train": {runners.Runner{Dataflow: runners.DataflowOptions{Image: "europe-docker.pkg.dev/p/cspine/cuda:1", Machine: "g2-standard-8",
		Accelerator: "type:nvidia-l4;count:1;install-nvidia-driver"}},
		func(s beam.Scope) {
			pipelines.Train(s, pipelines.TrainOptions{Site: site, Run: "r", ID: "1", Dataset: "r", Engine: "xla", Tasks: []train.Task{{Stage: train.ClassifierStage}}})
		}},
}

var (
	site    = transforms.Site{Data: "gs://b/rsna2022", Store: "gs://b/cspine", Isolate: true}
	prepare = pipelines.PrepareOptions{Site: site, Run: "r", ID: "1", Model: segment.Model{Digests: []string{"5e9"}, Engine: "openvino", Precision: "f32"}}
)

// Beam's flags and options are the process's: each job is printed by one of its own.
func TestMain(m *testing.M) {
	if name := os.Getenv("CSPINE_TEST_JOB"); name != "" {
		j := jobs[name]
		j.runner.Name, j.runner.Job, j.runner.Dataflow.DryRun = runners.Dataflow, "cspine-r-1", os.Stdout
		j.runner.Flags = append(j.runner.Flags, "--project=p", "--region=europe-west4", "--staging_location=gs://b/staging")
		if err := j.runner.Run(context.Background(), j.build); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// What differs from one build, and from one moment, to the next.
var volatile = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`("value": |"cspine_build": )"[0-9a-f]{64}"`), `$1"BUILD"`},
	{regexp.MustCompile(`("pipelineProtoHash": )"[0-9a-f]{64}"`), `$1"HASH"`},
	{regexp.MustCompile(`/go-1-\d+/`), `/go-1-TIME/`},
}

// sorted puts the options that are shown, which come in any order, into one.
func sorted(t *testing.T, job []byte) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(job, &all); err != nil {
		t.Fatal(err)
	}
	shown := all["environment"].(map[string]any)["sdkPipelineOptions"].(map[string]any)["display_data"].([]any)
	key := func(option any) string {
		m := option.(map[string]any)
		return fmt.Sprint(m["namespace"], " ", m["key"])
	}
	slices.SortFunc(shown, func(a, b any) int { return cmp.Compare(key(a), key(b)) })
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func TestTheJobForDataflow(t *testing.T) {
	for name := range jobs {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "CSPINE_TEST_JOB="+name, "GOOGLE_APPLICATION_CREDENTIALS="+os.DevNull)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			got, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr.Bytes())
			}
			got = sorted(t, got)
			for _, v := range volatile {
				got = v.what.ReplaceAll(got, []byte(v.as))
			}
			golden := filepath.Join("testdata", name+".json")
			if os.Getenv("CSPINE_UPDATE") != "" {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the job is another one now; if that is meant, run the test with CSPINE_UPDATE=1\n%s", got)
			}
		})
	}
}
