package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/chart"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/shard"
)

// datasetRow is a data set in the list.
type datasetRow struct {
	Name string
	// Manifest is nil where it can't be read; then Problem says why.
	Manifest *shard.Manifest
	Folds    int
	Problem  string
}

// datasetKey is where a store keeps the manifest of a data set.
func datasetKey(name string) string { return shard.Dir(name) + "/" + shard.ManifestFile }

// datasetNames returns the names of the store's data sets, sorted.
func datasetNames(ctx context.Context, store *artifacts.Store) (names []string, err error) {
	files, err := store.ListNamed(ctx, shard.Dir(""))
	for _, f := range files {
		if name := path.Base(path.Dir(f.Key)); f.Key == datasetKey(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// readDataset reads the manifest of a data set, and names it by its content.
func readDataset(ctx context.Context, store *artifacts.Store, name string) (m *shard.Manifest, digest string, err error) {
	file, err := store.GetNamed(ctx, datasetKey(name))
	if errors.Is(err, artifacts.ErrNotFound) || errors.Is(err, artifacts.ErrKey) {
		return nil, "", missing("the store has no data set of this name", "choose one of the list; 'cspine prepare --run NAME' makes one")
	}
	if err == nil {
		m, err = shard.ReadManifest(file)
	}
	return m, artifacts.DigestOf(file).String(), err
}

func (s *Server) datasets(r *http.Request) (*Page, error) {
	rows, err := s.datasetsContent(r.Context())
	if err != nil {
		return nil, err
	}
	return &Page{Title: "Data sets", Section: "datasets", Template: "datasets", Content: rows}, nil
}

// datasetsContent lists the store's data sets.
func (s *Server) datasetsContent(ctx context.Context) (rows []datasetRow, err error) {
	names, err := datasetNames(ctx, s.store)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		row := datasetRow{Name: name}
		if row.Manifest, _, err = readDataset(ctx, s.store, name); err != nil {
			row.Manifest, row.Problem = nil, told(err).what
		} else {
			row.Folds = len(row.Manifest.Folds())
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// datasetPage is what is known of a data set.
type datasetPage struct {
	*shard.Manifest
	Crops   bool // what its samples are; else volumes
	Folds   []foldOf
	Balance []balanceRow
	Charts  datasetCharts
	Found   []foundRow
	Shards  shardSizes
	// Run is the newest of the data set's name, nil if there is none any more: geometry and grey values are those of its studies.
	Run *run
	// Geometry and Greys say of how many studies indexes and volumes are read.
	Geometry, Greys reading
	// Read tells that the shards are read, as Leaks needs; Problem is why they can't be.
	Read    bool
	Problem string
	Leaks   leaks
	// Again tells that more will be known soon.
	Again bool
}

// datasetCharts are the pictures of a data set; "" for those of which nothing is known yet.
type datasetCharts struct {
	Balance, Shards, Greys template.HTML
	Geometry               []template.HTML
}

// reading says how far something is that is worked out behind the page.
type reading struct{ Done, Of int }

// Left tells whether anything is still to come.
func (r reading) Left() bool { return r.Done < r.Of }

// foldOf counts what a fold has.
type foldOf struct{ Fold, Samples, Studies int }

// balanceRow is a level's labels by fold, as the folds are in order, and their sum.
type balanceRow struct {
	Level int
	Name  string
	Folds []shard.Balance
	Sum   shard.Balance
}

// foundRow says of a level in how many studies it was found, and of a segmentation data set how large it is where it is.
type foundRow struct {
	Level int
	Name  string
	shard.Found
	Voxels, ML float64 // means
}

// shardSizes sum up the sizes of shards in bytes.
type shardSizes struct {
	Smallest, Largest, Mean int64
}

func (s *Server) dataset(r *http.Request) (*Page, error) {
	p, err := s.datasetContent(r.Context(), r.PathValue("name"), s.behind())
	if err != nil {
		return nil, err
	}
	p.Again = s.contents.busy() || s.facts.busy() || s.greys.busy()
	return &Page{Title: "Data set " + p.Name, Section: "datasets", Template: "dataset", Content: p, Run: p.Run}, nil
}

// worked is where a page takes from what has to be worked out; what is not known is left out.
type worked struct {
	contents func(setKey) (contents, bool)
	fact     func(index string) (Fact, bool)
	greys    func(volume string) (greys, bool)
}

// behind has it worked out behind the page.
func (s *Server) behind() worked { return worked{s.contents.get, s.facts.get, s.greys.get} }

// atOnce works it out while somebody waits, as who makes a file does.
func (s *Server) atOnce(ctx context.Context) worked {
	return worked{
		contents: func(key setKey) (contents, bool) {
			c, err := s.measureContents(ctx, key)
			return c, err == nil
		},
		fact: func(index string) (Fact, bool) {
			x, err := readIndex(ctx, s.store, index)
			if err != nil {
				return Fact{}, false
			}
			return factOf(x), true
		},
		greys: func(volume string) (greys, bool) {
			g, err := s.measureGreys(ctx, volume)
			return g, err == nil
		},
	}
}

// reportDataset tells of the data set of a run's name, if there is one.
func (s *Server) reportDataset(ctx context.Context, r *run, section func(file string, content any) error) error {
	names, err := datasetNames(ctx, s.store)
	if err != nil || !slices.Contains(names, r.Name) {
		return err
	}
	p, err := s.datasetContent(ctx, r.Name, s.atOnce(ctx))
	if err != nil {
		return fmt.Errorf("data set %s: %w", r.Name, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return section("dataset", p)
}

// datasetContent is what is known of a data set.
func (s *Server) datasetContent(ctx context.Context, name string, from worked) (*datasetPage, error) {
	m, digest, err := readDataset(ctx, s.store, name)
	if err != nil {
		return nil, err
	}
	m.Name = name // that under which it lies
	p := &datasetPage{Manifest: m, Crops: m.Task == shard.Crops}
	if p.Run, err = s.newestOf(ctx, name); err != nil {
		return nil, err
	}
	p.counts()
	read, known := from.contents(setKey{name, digest})
	if p.Read = known && read.Problem == ""; !p.Read {
		p.Problem = read.Problem
	}
	p.studies(read)
	volumes := p.volumes(read)
	p.Leaks = leaksOf(read, volumes, p.Run)
	p.geometry(from)
	p.intensities(from, volumes)
	return p, nil
}

// newestOf returns the newest run of a name; nil if there is none.
func (s *Server) newestOf(ctx context.Context, name string) (*run, error) {
	key, err := manifest.Newest(ctx, s.store, name)
	if key == "" || err != nil {
		return nil, err
	}
	return s.runs.get(ctx, refAt(key))
}

// LabelFiles tells that its masks come from people: each file then stands for a segmenter.
func (p *datasetPage) LabelFiles() bool { return p.Run != nil && p.Run.Labels }

// counts says what the manifest does.
func (p *datasetPage) counts() {
	folds := p.Manifest.Folds()
	for _, fold := range folds {
		of := foldOf{Fold: fold}
		for _, part := range p.Manifest.Shards {
			of.Samples += part.Folds[fold]
		}
		p.Folds = append(p.Folds, of)
	}
	for level := range volume.Levels {
		name := volume.LevelName(level)
		p.Found = append(p.Found, foundRow{Level: level, Name: name, Found: p.Manifest.Levels[name]})
	}
	if len(p.Manifest.Balance) > 0 {
		p.balance(folds)
	}
	sizes := make([]float64, len(p.Manifest.Shards))
	for i, part := range p.Manifest.Shards {
		sizes[i] = float64(part.Bytes) / 1e6
		if i == 0 || part.Bytes < p.Shards.Smallest {
			p.Shards.Smallest = part.Bytes
		}
		p.Shards.Largest = max(p.Shards.Largest, part.Bytes)
		p.Shards.Mean += part.Bytes
	}
	if n := len(p.Manifest.Shards); n > 0 {
		p.Shards.Mean /= int64(n)
		numbers := make([]string, n)
		for i := range numbers {
			numbers[i] = strconv.Itoa(i)
		}
		p.Charts.Shards = chart.Bars{Title: "Sizes of the shards", X: "shard", Y: "size, MB", Labels: numbers, Series: []chart.Series{{Values: sizes}}}.SVG()
	}
}

// balance counts labels by level and fold.
func (p *datasetPage) balance(folds []int) {
	bars := chart.Bars{Title: "Labels by level and fold", X: "fold", Y: "vertebrae", Whole: true, Series: []chart.Series{{Name: "intact"}, {Name: "fractured"}, {Name: "unknown"}}}
	for level := range volume.Levels {
		row := balanceRow{Level: level, Name: volume.LevelName(level), Folds: make([]shard.Balance, len(folds))}
		for _, b := range p.Manifest.Balance {
			if at := slices.Index(folds, b.Fold); b.Vertebra == row.Name && at >= 0 {
				row.Folds[at] = b
			}
		}
		for i, b := range row.Folds {
			row.Sum.Fractured, row.Sum.Intact, row.Sum.Unknown = row.Sum.Fractured+b.Fractured, row.Sum.Intact+b.Intact, row.Sum.Unknown+b.Unknown
			bars.Labels = append(bars.Labels, strconv.Itoa(folds[i]))
			for k, n := range []int{b.Intact, b.Fractured, b.Unknown} {
				bars.Series[k].Values = append(bars.Series[k].Values, float64(n))
			}
		}
		bars.Groups = append(bars.Groups, chart.Group{Name: row.Name, Bars: len(folds)})
		p.Balance = append(p.Balance, row)
	}
	p.Charts.Balance = bars.SVG()
}

// studies adds what the shards say of studies.
func (p *datasetPage) studies(read contents) {
	for _, of := range read.Studies {
		for i := range p.Folds {
			if slices.Contains(of.Folds, p.Folds[i].Fold) {
				p.Folds[i].Studies++
			}
		}
		ml := of.SpacingMM[0] * of.SpacingMM[1] * of.SpacingMM[2] / 1000
		for level := range p.Found {
			if n := float64(of.Voxels[1+level]); n > 0 {
				p.Found[level].Voxels += n
				p.Found[level].ML += n * ml
			}
		}
	}
	for level := range p.Found {
		if n := p.Found[level].Found.Found; n > 0 {
			p.Found[level].Voxels /= float64(n)
			p.Found[level].ML /= float64(n)
		}
	}
}

// volumes are the digests of the studies' volumes: those that the shards name, else those of the newest run.
func (p *datasetPage) volumes(read contents) map[string]string {
	found := map[string]string{}
	for _, of := range read.Studies {
		found[of.UID] = of.Volume
		if of.Volume == "" && p.Run != nil && p.Run.byName[of.UID] != nil {
			found[of.UID] = p.Run.byName[of.UID].Volume
		}
	}
	if len(read.Studies) == 0 && p.Run != nil {
		for _, of := range p.Run.Studies {
			found[of.Name] = of.Volume
		}
	}
	maps.DeleteFunc(found, func(_, digest string) bool { return digest == "" })
	return found
}

// geometry draws the studies' spacing and size.
func (p *datasetPage) geometry(from worked) {
	if p.Run == nil {
		return
	}
	var known []Fact
	for _, of := range p.Run.Studies {
		if of.Index == "" || of.Refused() {
			continue
		}
		p.Geometry.Of++
		if f, ok := from.fact(of.Index); ok {
			known = append(known, f)
		}
	}
	p.Geometry.Done = len(known)
	if len(known) == 0 {
		return
	}
	histogram := func(title, x string, of func(Fact) float64) {
		values := make([]float64, len(known))
		for i, f := range known {
			values[i] = of(f)
		}
		edges, counts := chart.Bins(values, 24)
		p.Charts.Geometry = append(p.Charts.Geometry, chart.Bars{Title: title, X: x, Y: "studies", Whole: true, Edges: edges, Series: []chart.Series{{Values: counts}}}.SVG())
	}
	histogram("Spacing between slices", "distance of neighbouring slices, mm", func(f Fact) float64 { return f.SpacingMM[2] })
	histogram("Spacing between rows", "distance of neighbouring rows, mm", func(f Fact) float64 { return f.SpacingMM[0] })
	histogram("Slices", "slices of a study", func(f Fact) float64 { return float64(f.Slices) })
	p.Charts.Geometry = append(p.Charts.Geometry, sliceSizes(known))
}

// mostSizes is how many sizes of slices have a bar of their own.
const mostSizes = 6

// sliceSizes draws how many studies have slices of which size, the most frequent first.
func sliceSizes(known []Fact) template.HTML {
	counts := map[[2]int]int{}
	for _, f := range known {
		counts[[2]int{f.Rows, f.Columns}]++
	}
	order := slices.SortedFunc(maps.Keys(counts), func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), slices.Compare(a[:], b[:]))
	})
	bars := chart.Bars{Title: "Sizes of slices", X: "rows × columns", Y: "studies", Whole: true, Series: []chart.Series{{}}}
	others := 0
	for i, size := range order {
		if i >= mostSizes {
			others += counts[size]
			continue
		}
		bars.Labels = append(bars.Labels, fmt.Sprintf("%d × %d", size[0], size[1]))
		bars.Series[0].Values = append(bars.Series[0].Values, float64(counts[size]))
	}
	if others > 0 {
		bars.Labels, bars.Series[0].Values = append(bars.Labels, "others"), append(bars.Series[0].Values, float64(others))
	}
	return bars.SVG()
}

// greyValues is how many grey values a volume can have.
const greyValues = 256

// greys is the share of a volume's voxels that have each grey value.
type greys [greyValues]float64

// measureGreys reads a volume's grey values. Volumes that are read for it push none of those out of memory that somebody looks at.
func (s *Server) measureGreys(ctx context.Context, digest string) (shares greys, err error) {
	vol, err := s.tensors.read(ctx, digest, "volume", 3)
	if err != nil {
		return shares, err
	}
	var counts [greyValues]int
	for _, v := range vol.Data {
		counts[v]++
	}
	for v, n := range counts {
		shares[v] = float64(n) / float64(len(vol.Data))
	}
	return shares, nil
}

// mostVolumes is how many volumes the histogram of grey values is made of.
const mostVolumes = 64

// intensities draws the mean histogram of volumes that lie evenly among all.
func (p *datasetPage) intensities(from worked, volumes map[string]string) {
	names := slices.Sorted(maps.Keys(volumes))
	p.Greys.Of = min(len(names), mostVolumes)
	var mean greys
	for i := range p.Greys.Of {
		shares, ok := from.greys(volumes[names[i*len(names)/p.Greys.Of]])
		if !ok {
			continue
		}
		p.Greys.Done++
		for v, share := range shares {
			mean[v] += share
		}
	}
	if p.Greys.Done == 0 {
		return
	}
	line := chart.Line{Name: "mean of volumes"}
	for v, sum := range mean {
		line.Add(float64(v), 100*sum/float64(p.Greys.Done))
	}
	p.Charts.Greys = chart.Lines{Title: "Grey values of the volumes", X: "grey value, 0 to 255", Y: "share of voxels, % (logarithmic)", Lines: []chart.Line{line},
		XRange: [2]float64{0, greyValues - 1}, WholeX: true, LogY: true}.SVG()
}
