package artifactstest

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

// The named files of Sample.
const (
	sampleManifest = "runs/neck/1.parquet"
	sampleDataset  = "datasets/neck/manifest.json"
	sampleShard    = "datasets/neck/shard-0.parquet"
	sampleNotes    = "runs/neck/notes.txt"
)

// Sample is a small store with one of everything: what a run makes that prepares and trains.
type Sample struct {
	Recipes []artifacts.Recipe // one for each record
	// Model is an object that is an input and has no record, Checkpoint one that a training's file names.
	Model, Checkpoint artifacts.Digest
	// Pointer is the key of that file.
	Pointer string
	// Computed counts the recipes that were not there already.
	Computed int

	texts map[string]string // of the JSON files, without their check sums
}

// FillSample makes the sample in s, or what of it is missing.
func FillSample(t *testing.T, s *artifacts.Store) *Sample {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(c artifacts.Content) artifacts.Digest {
		out, err := s.Put(t.Context(), c)
		must(err)
		return out.Digest
	}
	f := &Sample{texts: map[string]string{}}
	seal := func(key string, v any) {
		file, err := artifacts.SealJSON(v)
		must(err)
		text, err := artifacts.UnsealJSON(file)
		must(err)
		f.texts[key] = string(text)
		must(s.PutNamed(t.Context(), key, file))
	}
	f.Model = put(artifacts.Content{Data: tensor(10, 200)})
	f.Checkpoint = put(artifacts.Content{Data: tensor(11, 200), Encoding: artifacts.Identity})
	var rows []artifacts.Row
	made := func(transform string, inputs []artifacts.Input, c artifacts.Content) artifacts.Result {
		r := artifacts.Recipe{Transform: transform, Version: 1, Inputs: inputs}
		result, err := s.Do(t.Context(), r, func(context.Context) (artifacts.Content, error) {
			f.Computed++
			return c, nil
		})
		must(err)
		f.Recipes = append(f.Recipes, r)
		rows = append(rows, artifacts.Row{Subject: "1.2.3", Step: transform, Transform: transform, Version: 1,
			Recipe: result.RecipeDigest.String(), Digest: result.Output.Digest.String(), Verdict: "ok"})
		return result
	}
	volume := made("resample", []artifacts.Input{{Name: "slices", Digest: artifacts.DigestOf([]byte("elsewhere"))}}, artifacts.Content{Data: tensor(1, 300)})
	mask := made("segment", []artifacts.Input{{Name: "volume", Digest: volume.Output.Digest}, {Name: "model", Digest: f.Model}}, artifacts.Content{Data: tensor(2, 300)})
	shard := made("shard", []artifacts.Input{{Name: "mask", Digest: mask.Output.Digest}}, artifacts.Content{Data: tensor(3, 300), Encoding: artifacts.Identity})

	must(s.PublishFile(t.Context(), sampleShard, shard.Output.Digest))
	type part struct {
		File   string           `json:"file"`
		Bytes  int64            `json:"bytes"`
		SHA256 artifacts.Digest `json:"sha256"`
	}
	seal(sampleDataset, map[string]any{"name": "neck", "shards": []part{{"shard-0.parquet", shard.Output.Size, shard.Output.Digest}}})
	manifest, err := artifacts.WriteManifest(rows)
	must(err)
	must(s.PutNamed(t.Context(), sampleManifest, manifest))
	must(s.PutNamed(t.Context(), sampleNotes, []byte("no check sum")))
	f.Pointer = "trainings/" + artifacts.DigestOf([]byte("training")).String() + "/checkpoints.json"
	seal(f.Pointer, map[string]any{"last": f.Checkpoint, "epoch": 3})
	return f
}

// Served reads everything that a store with the sample in it hands out with a check, and says what is wrong with it by key: content that was served
// and is not what was stored. What is refused, or missed, is not wrong.
func (f *Sample) Served(t *testing.T, s *artifacts.Store) map[string]string {
	t.Helper()
	wrong := map[string]string{}
	want := map[artifacts.Digest][]byte{f.Model: tensor(10, 200), f.Checkpoint: tensor(11, 200)}
	for i, r := range f.Recipes {
		record, hit, err := s.Lookup(t.Context(), r.Digest())
		if err != nil || !hit {
			continue
		}
		data := tensor(i+1, 300)
		want[artifacts.DigestOf(data)] = data
		if record.Output.Digest != artifacts.DigestOf(data) || record.Recipe.Digest() != r.Digest() {
			wrong["record of "+r.Transform] = "it says something else"
		}
	}
	for d, data := range want {
		if got, err := s.Get(t.Context(), d); err == nil && !bytes.Equal(got, data) {
			wrong["object "+d.String()] = "other bytes"
		}
	}
	if file, err := s.GetNamed(t.Context(), sampleManifest); err == nil {
		if rows, err := artifacts.ReadManifest(file); err == nil && (len(rows) != len(f.Recipes) || rows[0].Subject != "1.2.3") {
			wrong[sampleManifest] = "other rows"
		}
	}
	for key, want := range f.texts {
		file, err := s.GetNamed(t.Context(), key)
		if err != nil {
			continue
		}
		if text, err := artifacts.UnsealJSON(file); err == nil && string(text) != want && json.Valid(text) {
			wrong[key] = string(text)
		}
	}
	return wrong
}
