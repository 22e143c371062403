package artifacts

import (
	"bytes"
	"context"
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
	v.tell(Finding{Kind: kind, Key: key, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (v *verification) tell(f Finding) {
	v.sum.Findings++
	v.report(f)
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
