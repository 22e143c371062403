package artifacts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// VerifyOptions say how closely Verify looks. The zero value reads no object.
type VerifyOptions struct {
	// ReadData reads everything: objects are decoded and hashed anew, shards hashed, Parquet files given to Parquet.
	ReadData bool
	// Repair removes what is damaged, records before objects, so that the next run makes it anew. Verify then takes an
	// exclusive lease.
	Repair bool
	// Workers is how many files are read at a time, 0 as many as there are CPUs. Each takes memory for one whole file, and what it unpacks to.
	Workers int
	// Parquet, if not nil, says what is wrong with a Parquet file: it knows more of them than this package does.
	Parquet func(ctx context.Context, key string, file io.ReaderAt, size int64) error
	// Progress, if not nil, is told how much of a stage's work is done. Many goroutines call it.
	Progress func(stage string, done, total int)
}

// FindingKind says what is wrong.
type FindingKind string

// The kinds of finding.
const (
	DamagedMarker   FindingKind = "damaged_marker"   // the file that says what store this is
	DamagedRecord   FindingKind = "damaged_record"   // it does not parse, or is not of the recipe it is filed under
	MissingObject   FindingKind = "missing_object"   // a record names it
	WrongSize       FindingKind = "wrong_size"       // of an object, by a record
	DamagedObject   FindingKind = "damaged_object"   // its content does not hash to its name
	DamagedManifest FindingKind = "damaged_manifest" // of a run or of a data set
	DamagedShard    FindingKind = "damaged_shard"    // it does not hash to what its manifest names
	MissingShard    FindingKind = "missing_shard"    // its manifest names it
	OtherShard      FindingKind = "other_shard"      // a sound one, and not the one that its manifest names
	DamagedFile     FindingKind = "damaged_file"     // another named file
	Unreadable      FindingKind = "unreadable"       // its reading failed; what is in it is not known
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind   FindingKind `json:"kind"`
	Key    string      `json:"key"`
	Detail string      `json:"detail"`
	Remedy string      `json:"remedy"`
}

// Verified is what Verify looked at.
type Verified struct {
	Records int   `json:"records"`
	Objects Tally `json:"objects"`
	Files   int   `json:"files"` // named files that are JSON or Parquet
	// Unchecked counts the other named files, which carry no check sum, Strays what no store of this format writes, and Unnamed the objects that neither a
	// record nor a manifest names: nothing is wrong with them.
	Unchecked int   `json:"unchecked_files"`
	Strays    int   `json:"stray_files"`
	Unnamed   Tally `json:"unnamed_objects"`

	Findings int  `json:"findings_count"`
	Removed  int  `json:"removed"` // files, by Repair
	ReadData bool `json:"read_data"`
}

// Verify checks the store against its own rules: every record parses, is filed under its recipe, and its object is there in
// the size it names; manifests of runs and data sets, and the files of trainings, match their check sums; data sets have the shards that their
// manifests name. With ReadData a single flipped bit in any of these is found; but not in an object's frames where it changes nothing of the content,
// and not in named files of other kinds, which carry no check sum.
//
// It calls found, never twice at a time, for all that is wrong; its error is something else, that kept it from going on. A run may be
// under way, but for Repair, which wraps ErrBusy then. It holds about 100 bytes for each artifact.
func (s *Store) Verify(ctx context.Context, o *VerifyOptions, found func(Finding)) (_ Verified, err error) {
	v := &verification{store: s, report: found}
	if o != nil {
		v.VerifyOptions = *o
	}
	v.sum.ReadData = v.ReadData
	if v.Progress == nil {
		v.Progress = func(string, int, int) {}
	}
	if v.Repair {
		lease, busy := s.Exclude(ctx, "the repair of the store")
		if busy != nil {
			return v.sum, busy
		}
		defer func() { err = errors.Join(err, lease.End()) }()
	}
	for _, step := range []func(context.Context) error{v.checkMarker, v.list, v.readObjects, v.readRecords, v.readManifests, v.readDatasets, v.readFiles, v.repair} {
		if err := step(ctx); err != nil {
			return v.sum, err
		}
	}
	for i := range v.objects {
		if !v.objects[i].has(markNamed) {
			v.sum.Unnamed.add(v.objects[i].size)
		}
	}
	return v.sum, nil
}

// verification is one run of Verify.
type verification struct {
	VerifyOptions
	store  *Store
	report func(Finding)

	records, objects census
	manifests        []Info // of runs
	datasets         []Info // manifests of data sets
	files            []Info // other JSON and Parquet files; shards are taken out of it by readDatasets

	mu  sync.Mutex // guards all below, and the objects' marks
	sum Verified
	// What Repair removes, in this order.
	badRecords []Digest
	badObjects []string
	suspects   []Output // objects of a wrong size; those that are sound stay
	badFiles   []string
	badMarker  bool
}

// name marks the objects with this digest as named by something.
func (v *verification) name(d Digest) { v.objects.mark(d, markNamed) }

const (
	remedyAnew  = "remove it and run again: it is made anew"
	remedyLater = "try again; if it stays, the disk or the service is at fault"
)

// add reports a finding. The caller holds v.mu.
func (v *verification) add(kind FindingKind, key, remedy, format string, args ...any) {
	v.sum.Findings++
	v.report(Finding{Kind: kind, Key: key, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
}

// unreadable reports that reading a file failed, unless it is gone by now. It returns an error only if ctx has ended. The caller holds v.mu.
func (v *verification) unreadable(ctx context.Context, key string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.Is(err, ErrNotFound):
		v.add(Unreadable, key, remedyLater, "%v", err)
	}
	return nil
}

// checkMarker: a store that could be opened may still have a flipped bit there, in the words for people.
func (v *verification) checkMarker(ctx context.Context) error {
	want, err := encodeMarker()
	if err != nil {
		return err
	}
	file, err := v.store.driver.Read(ctx, markerKey)
	if err != nil {
		return err
	}
	if !bytes.Equal(file, want) {
		v.badMarker = true
		v.add(DamagedMarker, markerKey, "write into it: "+strings.TrimSpace(string(want)), "it is not what a store of format %d has there", storeFormat)
	}
	return nil
}

// list sorts everything that the store holds by what it is.
func (v *verification) list(ctx context.Context) error {
	for info, err := range v.store.driver.List(ctx, "") {
		if err != nil {
			return err
		}
		v.sort(info)
	}
	v.records.sort()
	v.objects.sort()
	byKey := func(a, b Info) int { return strings.Compare(a.Key, b.Key) }
	for _, infos := range [][]Info{v.manifests, v.datasets, v.files} {
		slices.SortFunc(infos, byKey)
	}
	return nil
}

// sort puts a file with those of its kind.
func (v *verification) sort(info Info) {
	folder, _, _ := strings.Cut(info.Key, "/")
	switch {
	case info.Key == markerKey || folder == leasesFolder:
	case folder == recordsFolder && v.records.addRecord(info, 0):
		v.sum.Records++
	case folder == objectsFolder && v.objects.addObject(info, 0):
		v.sum.Objects.add(info.Size)
	case !isNamedFolder(folder):
		v.sum.Strays++
	case isRunManifest(info.Key):
		v.manifests = append(v.manifests, info)
	case isDatasetManifest(info.Key):
		v.datasets = append(v.datasets, info)
	case path.Ext(info.Key) == ".json" || path.Ext(info.Key) == manifestSuffix:
		v.files = append(v.files, info)
	default:
		v.sum.Unchecked++
	}
}

// readObjects decodes and hashes every object.
func (v *verification) readObjects(ctx context.Context) error {
	if !v.ReadData {
		return nil
	}
	var done atomic.Int64
	return inParallel(ctx, v.Workers, len(v.objects), func(ctx context.Context, i int) error {
		defer func() { v.Progress("objects", int(done.Add(1)), len(v.objects)) }()
		return v.readObject(ctx, &v.objects[i])
	})
}

func (v *verification) readObject(ctx context.Context, o *listed) error {
	stored, err := v.store.driver.Read(ctx, o.objectKey())
	if err == nil {
		_, err = verify(stored, o.digest, o.encoding())
	}
	if err == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !errors.Is(err, ErrCorrupt) {
		return v.unreadable(ctx, o.objectKey(), err)
	}
	o.marks |= markDamaged
	v.badObjects = append(v.badObjects, o.objectKey())
	v.add(DamagedObject, o.objectKey(), remedyAnew, "%v", err)
	return nil
}

// readRecords checks every record, and that its object is there.
func (v *verification) readRecords(ctx context.Context) error {
	var done atomic.Int64
	return inParallel(ctx, requestsAtOnce, len(v.records), func(ctx context.Context, i int) error {
		defer func() { v.Progress("records", int(done.Add(1)), len(v.records)) }()
		return v.checkRecord(ctx, v.records[i].digest)
	})
}

func (v *verification) checkRecord(ctx context.Context, recipe Digest) error {
	r, err := v.store.readRecord(ctx, recipe)
	if err != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !errors.Is(err, ErrCorrupt) {
			return v.unreadable(ctx, recordKey(recipe), err)
		}
		v.badRecords = append(v.badRecords, recipe)
		v.add(DamagedRecord, recordKey(recipe), remedyAnew, "%v", err)
		return nil
	}
	if v.asListed(recipe, &r) {
		return nil
	}
	// The object may be newer than the listing.
	key := objectKey(r.Output.Digest, r.Output.Encoding)
	info, err := v.store.driver.Stat(ctx, key)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case errors.Is(err, ErrNotFound):
		v.badRecords = append(v.badRecords, recipe)
		v.add(MissingObject, key, "run again: it is made anew", "the record of %s %s names it", r.Recipe.Transform, recipe.Short())
	case err != nil:
		return v.unreadable(ctx, key, err)
	case info.Size != r.Output.Stored:
		v.badRecords = append(v.badRecords, recipe)
		v.suspects = append(v.suspects, r.Output)
		v.add(WrongSize, key, "run again: it is made anew", "it has %d bytes, the record of %s %s says %d", info.Size, r.Recipe.Transform, recipe.Short(), r.Output.Stored)
	}
	return nil
}

// asListed reports whether a record's object is in the listing as the record says; a damaged one has been reported. It marks what the record names.
func (v *verification) asListed(recipe Digest, r *Record) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	r.names(v.name)
	o := v.objects.findEncoded(r.Output.Digest, r.Output.Encoding)
	if o != nil && o.has(markDamaged) {
		v.badRecords = append(v.badRecords, recipe) // it goes with its object
		return true
	}
	return o != nil && o.size == r.Output.Stored
}

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
		v.sum.Findings++
		v.report(f)
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

// repair removes what is damaged: records first, since a record's object must be there.
func (v *verification) repair(ctx context.Context) error {
	if !v.Repair {
		return nil
	}
	if err := v.judgeSuspects(ctx); err != nil {
		return err
	}
	var keys []string
	for _, recipe := range v.badRecords {
		keys = append(keys, recordKey(recipe))
	}
	for _, key := range slices.Concat(keys, v.badObjects, v.badFiles) {
		if err := v.store.driver.Delete(ctx, key); err != nil {
			return err
		}
		v.sum.Removed++
	}
	if !v.badMarker {
		return nil
	}
	marker, err := encodeMarker()
	if err != nil {
		return err
	}
	return v.store.driver.Replace(ctx, markerKey, marker)
}

// judgeSuspects reads the objects that have not the size that a record names: another encoder may have made them since.
func (v *verification) judgeSuspects(ctx context.Context) error {
	for _, out := range v.suspects {
		key := objectKey(out.Digest, out.Encoding)
		stored, err := v.store.driver.Read(ctx, key)
		if err == nil {
			_, err = verify(stored, out.Digest, out.Encoding)
		}
		switch {
		case errors.Is(err, ErrCorrupt):
			v.badObjects = append(v.badObjects, key)
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
	}
	slices.Sort(v.badObjects)
	v.badObjects = slices.Compact(v.badObjects)
	return nil
}
