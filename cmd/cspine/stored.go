package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/transforms/manifest"
)

// openStore opens a store that must be there.
func openStore(ctx context.Context, location string) (*artifacts.Store, error) {
	if location == "" {
		return nil, usage("--store is missing: where the artifacts are kept")
	}
	return artifacts.Open(ctx, location, &artifacts.Options{MustExist: true})
}

// latest returns the newest manifest of a run, or of all runs if run is empty.
func latest(ctx context.Context, store *artifacts.Store, run string) (key string, rows []artifacts.Row, err error) {
	key, err = manifest.Newest(ctx, store, run)
	if err != nil {
		return "", nil, err
	}
	if key == "" {
		if run != "" {
			return "", nil, fmt.Errorf("the store has no run %q", run)
		}
		return "", nil, errors.New("the store has no runs yet: 'cspine prepare' makes one")
	}
	rows, err = manifest.Read(ctx, store, key)
	return key, rows, err
}

// outputs returns the rows of one step that name an artifact, of all studies or of one.
func outputs(rows []artifacts.Row, step, study string) []artifacts.Row {
	var kept []artifacts.Row
	for _, r := range rows {
		if r.Step == step && r.Digest != "" && (study == "" || r.Subject == study) {
			kept = append(kept, r)
		}
	}
	return kept
}

// content reads an artifact.
func content(ctx context.Context, store *artifacts.Store, digest string) ([]byte, error) {
	d, err := artifacts.ParseDigest(digest)
	if err != nil {
		return nil, err
	}
	return store.Get(ctx, d)
}

// tensor reads an artifact that is an array.
func tensor(ctx context.Context, store *artifacts.Store, digest string) (*npy.Array, error) {
	data, err := content(ctx, store, digest)
	if err != nil {
		return nil, err
	}
	return npy.Decode(data)
}

// writePictures draws every study of a run: its volume with the mask's outline.
func writePictures(ctx context.Context, store *artifacts.Store, rows []artifacts.Row, dir string, out io.Writer) error {
	masks := firstOf(outputs(rows, "segment", ""))
	volumes := firstOf(outputs(rows, "resample", ""))
	for _, study := range slices.Sorted(maps.Keys(volumes)) {
		vol, err := tensor(ctx, store, volumes[study])
		if err != nil {
			return err
		}
		var mask *npy.Array
		if digest, ok := masks[study]; ok {
			if mask, err = tensor(ctx, store, digest); err != nil {
				return err
			}
		}
		img, err := picture.Study(study, vol, mask)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, safeName(study)+".png")
		if err := writePNG(file, img); err != nil {
			return err
		}
		fmt.Fprintln(out, "picture:", file)
	}
	return nil
}

// firstOf maps each study to its first artifact among rows: one that lies in two folders has several.
func firstOf(rows []artifacts.Row) map[string]string {
	digests := map[string]string{}
	for _, r := range rows {
		if _, ok := digests[r.Subject]; !ok {
			digests[r.Subject] = r.Digest
		}
	}
	return digests
}

// safeName makes a file name of a study's name.
func safeName(study string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, strings.TrimLeft(study, "."))
}

func writePNG(file string, img image.Image) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, img)
}

// provenance is written beside every exported file.
type provenance struct {
	Study    string           `json:"study"`
	Vertebra string           `json:"vertebra,omitempty"`
	What     string           `json:"what"`
	Digest   string           `json:"digest"`
	Manifest string           `json:"manifest"`
	Record   artifacts.Record `json:"record"`
}

func newProvenance(ctx context.Context, store *artifacts.Store, row artifacts.Row, what, manifest string) (provenance, error) {
	p := provenance{Study: row.Subject, Vertebra: row.Part, What: what, Digest: row.Digest, Manifest: manifest}
	recipe, err := artifacts.ParseDigest(row.Recipe)
	if err != nil {
		return p, err
	}
	record, ok, err := store.Lookup(ctx, recipe)
	if err == nil && !ok {
		err = fmt.Errorf("study %s: the record %s is gone; run prepare again", row.Subject, row.Recipe)
	}
	p.Record = record
	return p, err
}
