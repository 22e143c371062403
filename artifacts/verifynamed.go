package artifacts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync/atomic"
)

// readManifests reads the runs' manifests.
func (v *verification) readManifests(ctx context.Context) error {
	v.sum.Files += len(v.manifests)
	for i, info := range v.manifests {
		file, err := v.store.driver.Read(ctx, info.Key)
		if err == nil {
			err = manifestDigests(file, func(_, output Digest) { v.name(output) })
		}
		if err == nil && v.ReadData && v.Parquet != nil {
			err = v.asParquet(ctx, info.Key, file)
		}
		v.Progress("manifests", i+1, len(v.manifests))
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrCorrupt) {
			if err := v.unreadable(ctx, info.Key, err); err != nil {
				return err
			}
			continue
		}
		v.badFiles = append(v.badFiles, info.Key)
		v.add(DamagedManifest, info.Key, "remove it, and run again before the store is cleaned: it alone may name what that run made", "%v", err)
	}
	return nil
}

// asParquet lets the caller's function read a file. What it finds wraps ErrCorrupt.
func (v *verification) asParquet(ctx context.Context, key string, file []byte) error {
	if err := v.Parquet(ctx, key, bytes.NewReader(file), int64(len(file))); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return corrupt("%v", err)
	}
	return nil
}

// dataset is what this package knows of a data set's manifest.
type dataset struct {
	Shards []struct {
		File   string `json:"file"`
		Bytes  int64  `json:"bytes"`
		SHA256 Digest `json:"sha256"`
	} `json:"shards"`
}

// readDatasets checks the data sets' manifests, and their shards by them.
func (v *verification) readDatasets(ctx context.Context) error {
	v.sum.Files += len(v.datasets)
	for i, info := range v.datasets {
		if err := v.readDataset(ctx, info.Key); err != nil {
			return err
		}
		v.Progress("data sets", i+1, len(v.datasets))
	}
	return nil
}

func (v *verification) readDataset(ctx context.Context, key string) error {
	for {
		text, err := v.store.readJSON(ctx, key)
		var set dataset
		if err == nil {
			if err = json.Unmarshal(text, &set); err != nil {
				err = corrupt("%v", err)
			}
		}
		if errors.Is(err, ErrCorrupt) {
			v.badFiles = append(v.badFiles, key)
			v.add(DamagedManifest, key, remedyAnew, "%v", err)
			return nil
		}
		if err != nil {
			return v.unreadable(ctx, key, err)
		}
		digestsIn(text, v.name)
		findings, err := v.checkShards(ctx, key, &set)
		if err != nil {
			return err
		}
		// A run that ended meanwhile has published other shards, and then another manifest.
		if len(findings) > 0 && v.changed(ctx, key, text) {
			continue
		}
		v.take(findings)
		return nil
	}
}

// changed reports whether a JSON file has another text by now.
func (v *verification) changed(ctx context.Context, key string, text []byte) bool {
	again, err := v.store.readJSON(ctx, key)
	return err == nil && !bytes.Equal(text, again)
}

// take reports what was found of shards.
func (v *verification) take(findings []Finding) {
	for _, f := range findings {
		if f.Kind == DamagedShard {
			v.badFiles = append(v.badFiles, f.Key)
		}
		v.tell(f)
	}
}

// checkShards compares a data set's files with its manifest, and takes them off the files that are still to be read.
func (v *verification) checkShards(ctx context.Context, manifest string, set *dataset) ([]Finding, error) {
	findings := make([]*Finding, len(set.Shards))
	err := inParallel(ctx, v.Workers, len(set.Shards), func(ctx context.Context, i int) (err error) {
		shard := set.Shards[i]
		findings[i], err = v.checkShard(ctx, path.Dir(manifest)+"/"+shard.File, shard.Bytes, shard.SHA256)
		return err
	})
	if err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	var all []Finding
	for i, shard := range set.Shards {
		mine[path.Dir(manifest)+"/"+shard.File] = true
		if findings[i] != nil {
			all = append(all, *findings[i])
		}
	}
	before := len(v.files)
	v.files = slices.DeleteFunc(v.files, func(info Info) bool { return mine[info.Key] })
	v.sum.Files += before - len(v.files)
	return all, nil
}

// checkShard says what is wrong with a published shard, if anything.
func (v *verification) checkShard(ctx context.Context, key string, size int64, digest Digest) (*Finding, error) {
	if err := checkNamedKey(key); err != nil {
		return &Finding{DamagedFile, key, err.Error(), remedyAnew}, nil
	}
	info, err := v.store.driver.Stat(ctx, key)
	var file []byte
	if err == nil && (v.ReadData || info.Size != size) {
		file, err = v.store.driver.Read(ctx, key)
	}
	got := DigestOf(file)
	switch {
	case errors.Is(err, ErrNotFound):
		return &Finding{MissingShard, key, "the data set's manifest names it", "run again: it is published anew"}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && !errors.Is(err, ErrCorrupt):
		return &Finding{Unreadable, key, err.Error(), remedyLater}, nil
	case err != nil:
		return &Finding{DamagedShard, key, err.Error(), remedyAnew}, nil
	case file == nil && size == info.Size:
		return nil, nil
	case got != digest && v.objects.findEncoded(got, Identity) != nil:
		return &Finding{OtherShard, key, fmt.Sprintf("it is the object %s, the data set's manifest names %s: a run was stopped while it published", got.Short(), digest.Short()),
			"run again: the data set is published anew"}, nil
	case got != digest:
		return &Finding{DamagedShard, key, fmt.Sprintf("its %d bytes hash to %s, the data set's manifest names %d that hash to %s", len(file), got.Short(), size, digest.Short()), remedyAnew}, nil
	}
	if v.Parquet == nil {
		return nil, nil
	}
	if err := v.asParquet(ctx, key, file); err != nil {
		if !errors.Is(err, ErrCorrupt) {
			return nil, err
		}
		return &Finding{DamagedShard, key, err.Error(), remedyAnew}, nil
	}
	return nil, nil
}

// readFiles checks the other named files that can be.
func (v *verification) readFiles(ctx context.Context) error {
	v.sum.Files += len(v.files)
	var done atomic.Int64
	return inParallel(ctx, v.Workers, len(v.files), func(ctx context.Context, i int) error {
		defer func() { v.Progress("files", int(done.Add(1)), len(v.files)) }()
		return v.readFile(ctx, v.files[i].Key)
	})
}

func (v *verification) readFile(ctx context.Context, key string) error {
	var text, file []byte
	var err error
	switch {
	case path.Ext(key) == ".json":
		text, err = v.store.readJSON(ctx, key)
	case v.ReadData && v.Parquet != nil:
		if file, err = v.store.driver.Read(ctx, key); err == nil {
			err = v.asParquet(ctx, key, file)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	digestsIn(text, v.name)
	switch {
	case errors.Is(err, ErrCorrupt):
		v.badFiles = append(v.badFiles, key)
		v.add(DamagedFile, key, remedyAnew, "%v", err)
		return nil
	case err != nil:
		return v.unreadable(ctx, key, err)
	}
	return nil
}
