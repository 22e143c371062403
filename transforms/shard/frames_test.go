package shard

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/planezstd"
	"github.com/cspine/cspine/transforms"
)

// shardOf makes a shard of crops that are in the store packed as pack says, after something has happened to the store, and returns its digest.
func shardOf(t *testing.T, location string, pack func(i int, array *npy.Array) artifacts.Content, happens func()) (digest string, rows []artifacts.Row) {
	t.Helper()
	store, err := artifacts.Open(t.Context(), location, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	samples := samplesOf(7, 3, 6, 16, 16)
	var made []inputs
	for i := range samples {
		s := &samples[i]
		out, err := store.Put(t.Context(), pack(i, npy.FromUint8(s.Tensor, s.Shape...)))
		if err != nil {
			t.Fatal(err)
		}
		s.Tensor, s.CropDigest = nil, out.Digest.String()
		made = append(made, inputs{{s.StudyUID + s.Vertebra, s.CropDigest}})
	}
	happens()
	_, err = transforms.Run(t.Context(), store, "shard", "shard-00000", func(r artifacts.Row) { rows = append(rows, r) }, func(r *transforms.Report) error {
		recipe, err := recipeOf("shard", samples, made)
		if err != nil {
			return err
		}
		res, err := writeShard(context.Background(), r, crops, recipe, samples, made)
		digest = res.Output.Digest.String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return digest, rows
}

func nothing() {}

func plain(_ int, a *npy.Array) artifacts.Content { return artifacts.Content{Data: a.Bytes()} }

func sealedAs(l planezstd.Layout) func(int, *npy.Array) artifacts.Content {
	return func(_ int, a *npy.Array) artifacts.Content { return transforms.Packed(a, l) }
}

var rightLayout = planezstd.Layout{Row: 16, Plane: 256}

func TestAShardIsTheSameHoweverItsCropsArePacked(t *testing.T) {
	want, _ := shardOf(t, "mem://", plain, nothing)
	for name, pack := range map[string]func(int, *npy.Array) artifacts.Content{
		"frames":                   sealedAs(rightLayout),
		"frames of another layout": sealedAs(planezstd.Layout{Row: 4, Plane: 64}),
		"some of each": func(i int, a *npy.Array) artifacts.Content {
			return []func(int, *npy.Array) artifacts.Content{plain, sealedAs(rightLayout)}[i%2](i, a)
		},
	} {
		if got, _ := shardOf(t, "mem://", pack, nothing); got != want {
			t.Errorf("%s: the shard is %.12s, not %.12s", name, got, want)
		}
	}
}

func TestFramesOfSomethingElseAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		pack func(i int, a *npy.Array) artifacts.Content
		says string
	}{
		"another shape": {func(i int, a *npy.Array) artifacts.Content {
			return sealedAs(rightLayout)(i, npy.FromUint8(a.Data[:256], 1, 16, 16))
		}, "sample C1 of study 1.2.826.0"},
		"another type": {func(i int, a *npy.Array) artifacts.Content {
			b := npy.New(npy.Int16, 3, 6, 16, 8)
			return sealedAs(rightLayout)(i, b)
		}, "sample C1 of study 1.2.826.0"},
		"a frame without a head": {func(_ int, a *npy.Array) artifacts.Content {
			return artifacts.Content{Data: a.Bytes(), Frames: rightLayout.Name(), Encode: func(dst, src []byte) []byte { return planezstd.Append(dst, nil, src, rightLayout) }}
		}, "not a frame with a head"},
	} {
		_, rows := shardOf(t, "mem://", c.pack, nothing)
		if len(rows) != 1 || rows[0].Verdict != transforms.Refused || !strings.Contains(rows[0].Detail, c.says) {
			t.Errorf("%s: %+v does not say %q", name, rows, c.says)
		}
	}
}

func TestNoShardIsMadeOfADamagedCrop(t *testing.T) {
	dir := t.TempDir()
	_, rows := shardOf(t, dir, sealedAs(rightLayout), func() {
		objects, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*.zst"))
		if err != nil || len(objects) != 7 {
			t.Fatalf("%d objects, %v", len(objects), err)
		}
		file, err := os.ReadFile(objects[3])
		if err != nil {
			t.Fatal(err)
		}
		file[len(file)/2] ^= 4
		if err := os.Chmod(objects[3], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(objects[3], file, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if len(rows) != 1 || rows[0].Reason != string(transforms.CodeArtifact) {
		t.Errorf("%+v", rows)
	}
}
