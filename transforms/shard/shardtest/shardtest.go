// Package shardtest publishes data sets for tests of what reads them.
package shardtest

import (
	"bytes"
	"io"
	"iter"
	"testing"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/shard"
)

// Crops publishes a data set of crops under a name, in a shard for each of the lists that is not empty.
func Crops(t testing.TB, store *artifacts.Store, name string, shards ...[]shard.Sample) {
	t.Helper()
	publish(t, store, name, shard.Crops, shards, shard.Write, shard.NewPart)
}

// Segmentations publishes a data set of volumes with their labels, as Crops does.
func Segmentations(t testing.TB, store *artifacts.Store, name string, shards ...[]shard.Segmentation) {
	t.Helper()
	publish(t, store, name, shard.Segmentations, shards, shard.WriteSegmentations, shard.NewSegmentationPart)
}

func publish[S any](t testing.TB, store *artifacts.Store, name, task string, shards [][]S, write func(io.Writer, iter.Seq2[S, error], shard.Options) (shard.Stats, error),
	describe func(file string, size int64, sha256 string, rows []S) shard.Part) {
	t.Helper()
	var parts []shard.Part
	for i, rows := range shards {
		if len(rows) == 0 {
			continue
		}
		var file bytes.Buffer
		if _, err := write(&file, sequence(rows), shard.Options{}); err != nil {
			t.Fatal(err)
		}
		out, err := store.Put(t.Context(), artifacts.Content{Data: file.Bytes(), Encoding: artifacts.Identity})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, describe(shard.FileName(i, len(shards)), out.Size, out.Digest.String(), rows))
	}
	text, err := shard.NewManifest(task, name, parts, nil).JSON()
	if err == nil {
		err = store.PutNamed(t.Context(), shard.Dir(name)+"/"+shard.ManifestFile, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func sequence[S any](rows []S) iter.Seq2[S, error] {
	return func(yield func(S, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}
