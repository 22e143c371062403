package artifacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// CollectOptions say what Collect keeps. The zero value keeps much, and deletes nothing.
type CollectOptions struct {
	// KeepLast is how many manifests of each run name are kept, the last ones; 0 means 3, a negative number none. Manifests of
	// another pipeline of that name, whose names end otherwise ("….train.parquet"), are counted apart.
	KeepLast int
	// KeepWithin keeps manifests that are younger, too.
	KeepWithin time.Duration
	// KeepRuns keeps all manifests of the runs whose names match one of these patterns (see path.Match), too.
	KeepRuns []string
	// MinAge is the age that everything must have to be deleted; 0 means a day, a negative one none. Runs under way are
	// safe from Collect by their leases; this is for those that can't have one.
	MinAge time.Duration
	// Delete deletes. Without it Collect only tells what would go.
	Delete bool
	// Progress, if not nil, is told how much of a stage's work is done. Many goroutines call it.
	Progress func(stage string, done, total int)
}

// Fate is what becomes of a file when a store is cleaned.
type Fate string

// The fates.
const (
	Kept       Fate = "kept"       // something that is kept names it
	Young      Fate = "young"      // nothing names it, but it is younger than MinAge
	Superseded Fate = "superseded" // a manifest that newer ones follow, or what only such manifests name
	Unnamed    Fate = "unnamed"    // nothing names it: what a run left that never ended, or of which no manifest is kept
	Stale      Fate = "stale"      // a lease whose holder is gone
)

// Goes reports whether this fate is to be deleted.
func (f Fate) Goes() bool { return f != Kept && f != Young }

// Tally counts files.
type Tally struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

func (t *Tally) add(size int64) {
	t.Count++
	t.Bytes += size
}

// Fates counts files by what becomes of them.
type Fates map[Fate]Tally

func (f Fates) add(fate Fate, size int64) {
	t := f[fate]
	t.add(size)
	f[fate] = t
}

// Collected is what Collect found, and deleted if it was told to.
type Collected struct {
	Deleted   bool  `json:"deleted"`
	Manifests Fates `json:"manifests"` // with the files that belong to them
	Records   Fates `json:"records"`
	Objects   Fates `json:"objects"`
	Leases    Fates `json:"leases"`
	// Damaged counts records that are kept and can't be read: Verify names them.
	Damaged int `json:"damaged_records"`
}

// Going counts all that goes.
func (c Collected) Going() (sum Tally) {
	for _, fates := range []Fates{c.Manifests, c.Records, c.Objects, c.Leases} {
		for fate, t := range fates {
			if fate.Goes() {
				sum.Count += t.Count
				sum.Bytes += t.Bytes
			}
		}
	}
	return sum
}

// Collect deletes what no run needs that is kept. What stays:
//
//   - the manifests that the options say, and what their rows name: records and objects;
//   - what is named by a digest in a JSON file below runs/, datasets/, trainings/ or predictions/, or in a file's key there:
//     data sets' shards, trainings' records and checkpoints;
//   - of every record that stays its output, its inputs (a model has no record of its own), and what its note names;
//   - what is younger than MinAge, with what a record so young names;
//   - every other named file, and whatever is not the store's own.
//
// Manifests go first, then records, then objects, so that whatever ends it leaves a sound store.
//
// With Delete it takes an exclusive lease: the error wraps ErrBusy while a run is under way. A manifest or JSON file that is
// damaged ends it before anything is deleted, with an error that wraps ErrCorrupt, and so does a store that has artifacts and
// no manifest at all: what they are wanted for can't be known. It holds about 100 bytes for each artifact, and one manifest at a time.
func (s *Store) Collect(ctx context.Context, o *CollectOptions) (_ Collected, err error) {
	g, err := newCollection(s, o)
	if err != nil {
		return Collected{}, err
	}
	if g.Delete {
		lease, busy := s.Exclude(ctx, "the cleaning of the store")
		if busy != nil {
			return Collected{}, busy
		}
		defer func() { err = errors.Join(err, lease.End()) }()
		for _, held := range lease.Stale {
			g.leases = append(g.leases, doomed{held.Key, 0, Stale})
		}
	}
	for _, step := range []func(context.Context) error{g.list, g.choose, g.readManifests, g.readNamed, g.readRecords} {
		if err := step(ctx); err != nil {
			return Collected{}, err
		}
	}
	g.count()
	if g.Delete {
		err = g.delete(ctx)
	}
	return g.found, err
}

// collection is one run of Collect.
type collection struct {
	CollectOptions
	store  *Store
	cutoff time.Time // what is younger stays

	manifests struct{ kept, superseded []Info }
	named     []Info   // the other named files, but for those that go with their manifest
	attached  []doomed // these
	leases    []doomed

	mu               sync.Mutex // while records are read
	records, objects census     // what is to stay gets markNamed
	found            Collected
}

// doomed is a file that goes.
type doomed struct {
	key  string
	size int64
	fate Fate
}

func newCollection(s *Store, o *CollectOptions) (*collection, error) {
	if o == nil {
		o = &CollectOptions{}
	}
	g := &collection{CollectOptions: *o, store: s, found: Collected{Deleted: o.Delete, Manifests: Fates{}, Records: Fates{}, Objects: Fates{}, Leases: Fates{}}}
	g.KeepLast = max(0, cmp.Or(g.KeepLast, 3))
	g.cutoff = time.Now().Add(-max(0, cmp.Or(g.MinAge, 24*time.Hour)))
	if g.Progress == nil {
		g.Progress = func(string, int, int) {}
	}
	for _, pattern := range g.KeepRuns {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("artifacts: pattern %q: %w", pattern, err)
		}
	}
	if g.KeepLast == 0 && g.KeepWithin <= 0 && len(g.KeepRuns) == 0 {
		return nil, errors.New("artifacts: nothing says which manifests are kept")
	}
	return g, nil
}

// list lists the records and the objects.
func (g *collection) list(ctx context.Context) error {
	for folder, add := range map[string]func(Info, mark) bool{recordsFolder: g.records.addRecord, objectsFolder: g.objects.addObject} {
		for info, err := range g.store.driver.List(ctx, folder+"/") {
			if err != nil {
				return err
			}
			var m mark
			if info.Modified.After(g.cutoff) {
				m = markYoung
			}
			add(info, m)
		}
	}
	g.records.sort()
	g.objects.sort()
	return nil
}

// choose lists the named files and says which manifests stay.
func (g *collection) choose(ctx context.Context) error {
	series := map[string][]Info{} // manifests of one run name and pipeline, in order
	for _, folder := range namedFolders {
		infos, err := g.store.ListNamed(ctx, folder+"/")
		if err != nil {
			return err
		}
		for _, info := range infos {
			if isRunManifest(info.Key) {
				of := seriesOf(info.Key)
				series[of] = append(series[of], info)
			} else {
				g.named = append(g.named, info)
			}
		}
	}
	for _, of := range slices.Sorted(maps.Keys(series)) {
		all := series[of]
		run, _, _ := strings.Cut(of, "/")
		for i, info := range all {
			if i >= len(all)-g.KeepLast || g.keeps(run, info.Modified) {
				g.manifests.kept = append(g.manifests.kept, info)
			} else {
				g.manifests.superseded = append(g.manifests.superseded, info)
			}
		}
	}
	if len(series) == 0 && len(g.records)+len(g.objects) > 0 {
		return errors.New("artifacts: the store has artifacts, and no manifest below runs/ that says what they are wanted for: let a run end first")
	}
	g.attach()
	return nil
}

// keeps reports whether a manifest stays that is not among the last.
func (g *collection) keeps(run string, modified time.Time) bool {
	if modified.After(g.cutoff) || g.KeepWithin > 0 && time.Since(modified) < g.KeepWithin {
		return true
	}
	return slices.ContainsFunc(g.KeepRuns, func(pattern string) bool {
		ok, _ := path.Match(pattern, run)
		return ok
	})
}

// attach takes the files that belong to superseded manifests, such as lists of refused studies, out of named.
func (g *collection) attach() {
	going := map[string]bool{}
	for _, m := range g.manifests.superseded {
		going[strings.TrimSuffix(m.Key, manifestSuffix)] = true
	}
	g.named = slices.DeleteFunc(g.named, func(info Info) bool {
		for at, c := range info.Key {
			if c == '.' && going[info.Key[:at]] && !strings.Contains(info.Key[at:], "/") && !info.Modified.After(g.cutoff) {
				g.attached = append(g.attached, doomed{info.Key, info.Size, Superseded})
				return true
			}
		}
		return false
	})
}

// readManifests takes what the manifests' rows name.
func (g *collection) readManifests(ctx context.Context) error {
	done, total := 0, len(g.manifests.kept)+len(g.manifests.superseded)
	read := func(infos []Info, m mark) error {
		for _, info := range infos {
			file, err := g.store.driver.Read(ctx, info.Key)
			if err == nil {
				err = manifestDigests(file, func(recipe, output Digest) {
					g.records.mark(recipe, m)
					g.objects.mark(output, m)
				})
			}
			if err != nil && !errors.Is(err, ErrNotFound) {
				return unknowable(info.Key, err)
			}
			done++
			g.Progress("manifests", done, total)
		}
		return nil
	}
	if err := read(g.manifests.kept, markNamed); err != nil {
		return err
	}
	return read(g.manifests.superseded, markSuperseded)
}

// unknowable says why nothing can be deleted.
func unknowable(key string, err error) error {
	return fmt.Errorf("artifacts: nothing was deleted, since what %s names can't be known: %w", key, err)
}

// readNamed takes what other named files and their keys name, be it a recipe or a content.
func (g *collection) readNamed(ctx context.Context) error {
	see := func(d Digest) {
		g.records.mark(d, markNamed)
		g.objects.mark(d, markNamed)
	}
	for _, info := range g.named {
		digestsIn([]byte(info.Key), see)
		if path.Ext(info.Key) != ".json" {
			continue
		}
		text, err := g.store.readJSON(ctx, info.Key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return unknowable(info.Key, err)
		}
		digestsIn(text, see)
	}
	return nil
}

// readRecords takes what the records name that stay.
func (g *collection) readRecords(ctx context.Context) error {
	var done atomic.Int64
	return inParallel(ctx, requestsAtOnce, len(g.records), func(ctx context.Context, i int) error {
		defer func() { g.Progress("records", int(done.Add(1)), len(g.records)) }()
		if g.records[i].fate().Goes() {
			return nil
		}
		r, err := g.store.readRecord(ctx, g.records[i].digest)
		g.mu.Lock()
		defer g.mu.Unlock()
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case errors.Is(err, ErrCorrupt):
			g.found.Damaged++
			return nil
		case err != nil:
			return err
		}
		r.names(func(d Digest) { g.objects.mark(d, markNamed) })
		return nil
	})
}

// fate says what becomes of a record or an object.
func (l *listed) fate() Fate {
	switch {
	case l.has(markNamed):
		return Kept
	case l.has(markYoung):
		return Young
	case l.has(markSuperseded):
		return Superseded
	}
	return Unnamed
}

// count tells what becomes of all.
func (g *collection) count() {
	for _, m := range g.manifests.kept {
		g.found.Manifests.add(Kept, m.Size)
	}
	for _, d := range g.manifestsGoing() {
		g.found.Manifests.add(d.fate, d.size)
	}
	for _, d := range g.leases {
		g.found.Leases.add(d.fate, d.size)
	}
	for i := range g.records {
		g.found.Records.add(g.records[i].fate(), g.records[i].size)
	}
	for i := range g.objects {
		g.found.Objects.add(g.objects[i].fate(), g.objects[i].size)
	}
}

func (g *collection) manifestsGoing() []doomed {
	going := slices.Clone(g.attached)
	for _, m := range g.manifests.superseded {
		going = append(going, doomed{m.Key, m.Size, Superseded})
	}
	return going
}

// delete deletes what goes, in the order that leaves a sound store whenever it ends.
func (g *collection) delete(ctx context.Context) error {
	var done atomic.Int64
	total := g.found.Going().Count
	remove := func(ctx context.Context, key string) error {
		defer func() { g.Progress("deleted", int(done.Add(1)), total) }()
		return g.store.driver.Delete(ctx, key)
	}
	named := slices.Concat(g.manifestsGoing(), g.leases)
	if err := inParallel(ctx, requestsAtOnce, len(named), func(ctx context.Context, i int) error { return remove(ctx, named[i].key) }); err != nil {
		return err
	}
	for _, kind := range []struct {
		all census
		key func(*listed) string
	}{{g.records, (*listed).recordKey}, {g.objects, (*listed).objectKey}} {
		err := inParallel(ctx, requestsAtOnce, len(kind.all), func(ctx context.Context, i int) error {
			if l := &kind.all[i]; l.fate().Goes() {
				return remove(ctx, kind.key(l))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// seriesOf names the run and the pipeline that a manifest belongs to: of runs/neck/<time>.train.parquet it is neck/train.
func seriesOf(key string) string {
	_, name, _ := strings.Cut(strings.TrimSuffix(key, manifestSuffix), "/")
	run, id, _ := strings.Cut(name, "/")
	pipeline := path.Ext(id)
	if strings.ContainsAny(pipeline, "0123456789") { // a part of the time
		pipeline = ""
	}
	return run + "/" + strings.TrimPrefix(pipeline, ".")
}
