package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/volume"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/segment"
)

// exported says which step makes what --what names, in the order of writing.
var exported = []struct{ what, step string }{{"volumes", "resample"}, {"masks", "segment"}, {"crops", "crop"}}

type exportFlags struct {
	store, run, what, format, out, study string
}

func newExport() *cobra.Command {
	var e exportFlags
	c := &cobra.Command{
		Use:   "export --store URL --what volumes|masks|crops|all --format npy|nifti --out DIR",
		Short: "Write artifacts as plain files for numpy and viewers",
		Long: `Write the artifacts of a run as plain files, and beside each a JSON file that
says how it was made.

As npy there is one file per study, DIR/<study>.npy, and for crops one per study
and vertebra, DIR/<study>_C3.npy. Shapes: volumes [128,128,128] (rows, columns,
slices), masks [7,128,128,128] (levels first, probability x 255), crops
[15,6,224,224].

As NIfTI all three are written unless --what names one:
  DIR/<study>_volume.nii.gz    the volume
  DIR/<study>_mask.nii.gz      one label image: 1-7, where the probability is
                               above one half
  DIR/<study>_C3.nii.gz        the crop's 15 places, the middle one of five slices
  DIR/<study>_C3_mask.nii.gz   its channel of the mask, probability x 255
Axes are columns, rows, slices (or places). Affines map to RAS as NIfTI has it, so
that ITK-SNAP and NiiVue show every image where the DICOM series has it: see
"Exported NIfTI" in docs/formats.md.`,
		RunE: func(c *cobra.Command, _ []string) error { return e.export(c) },
	}
	f := c.Flags()
	f.StringVar(&e.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&e.run, "run", "", "which run (default: the newest)")
	f.StringVar(&e.what, "what", "", "volumes, masks, crops, or as NIfTI all (its default)")
	f.StringVar(&e.format, "format", "npy", "npy or nifti")
	f.StringVar(&e.out, "out", "", "folder to write to")
	f.StringVar(&e.study, "study", "", "only this study")
	return c
}

// check refuses what can't be meant.
func (e *exportFlags) check() error {
	if e.format != "npy" && e.format != "nifti" {
		return usage("--format %q is not one of npy, nifti", e.format)
	}
	if e.what == "" && e.format == "nifti" {
		e.what = "all"
	}
	known := e.what == "all"
	for _, kind := range exported {
		known = known || e.what == kind.what
	}
	switch {
	case !known:
		return usage("--what %q is not one of volumes, masks, crops, all", e.what)
	case e.what == "all" && e.format == "npy": // a study's volume and mask would have one name
		return usage("--what all is for --format nifti: name volumes, masks or crops")
	case e.out == "":
		return usage("--out is missing: the folder to write to")
	}
	return nil
}

func (e *exportFlags) export(c *cobra.Command) error {
	if err := e.check(); err != nil {
		return err
	}
	ctx := c.Context()
	store, err := openStore(ctx, e.store)
	if err != nil {
		return err
	}
	defer store.Close()
	key, rows, err := latest(ctx, store, e.run)
	if err != nil {
		return err
	}
	x := exporter{store: store, manifest: key, rows: rows, out: e.out, nifti: e.format == "nifti"}
	for _, kind := range exported {
		if e.what != "all" && e.what != kind.what {
			continue
		}
		for _, row := range outputs(rows, kind.step, e.study) {
			if err := x.export(ctx, kind.what, row); err != nil {
				return fmt.Errorf("study %s: %w", row.Subject, err)
			}
		}
	}
	if x.files == 0 {
		what := map[bool]string{true: "volumes, masks or crops", false: e.what}[e.what == "all"]
		return fmt.Errorf("%s has no %s%s", key, what, map[bool]string{true: " of study " + e.study}[e.study != ""])
	}
	fmt.Fprintf(c.OutOrStdout(), "%d files in %s\n", x.files, e.out)
	return nil
}

// exporter writes the artifacts of one run.
type exporter struct {
	store    *artifacts.Store
	manifest string // its key
	rows     []artifacts.Row
	out      string
	nifti    bool
	files    int // written so far, without those that say how they were made
}

// export writes one artifact.
func (x *exporter) export(ctx context.Context, what string, row artifacts.Row) error {
	p, err := newProvenance(ctx, x.store, row, what, x.manifest)
	if err != nil {
		return err
	}
	a, err := tensor(ctx, x.store, row.Digest)
	if err != nil {
		return err
	}
	base := filepath.Join(x.out, safeName(row.Subject))
	switch {
	case row.Part != "":
		base += "_" + row.Part
	case x.nifti && what == "volumes":
		base += "_volume"
	case x.nifti && what == "masks":
		base += "_mask"
	}
	about, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(x.out, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(base+".json", append(about, '\n'), 0o666); err != nil {
		return err
	}
	if !x.nifti {
		x.files++
		return os.WriteFile(base+".npy", a.Bytes(), 0o666)
	}
	images, err := x.images(ctx, what, p, a)
	if err != nil {
		return err
	}
	for suffix, img := range images {
		if err := writeNIfTI(base+suffix+".nii.gz", img); err != nil {
			return err
		}
		x.files++
	}
	return nil
}

func writeNIfTI(file string, img *nifti.Image) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := nifti.WriteGz(f, img); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// images lays an array out as NIfTI, with its place in the patient: one image, of crops two, by what is added to the file's name.
func (x *exporter) images(ctx context.Context, what string, p provenance, a *npy.Array) (map[string]*nifti.Image, error) {
	content, err := x.output(ctx, "index", p.Study)
	if err != nil {
		return nil, err
	}
	index, err := ingest.Unmarshal(content)
	if err != nil {
		return nil, err
	}
	switch what {
	case "volumes":
		return map[string]*nifti.Image{"": nifti.OfVolume(a.Data, a.Shape, index.Grid(a.Shape[0], a.Shape[1], a.Shape[2]))}, nil
	case "masks":
		return map[string]*nifti.Image{"": nifti.OfVolume(segment.LabelMap(a).Data, a.Shape[1:], index.Grid(a.Shape[1], a.Shape[2], a.Shape[3]))}, nil
	}
	box, err := crop.BoxOf(p.Record.Recipe) // not what the step boxes says now: a run may keep an earlier crop
	if err != nil {
		return nil, err
	}
	slices, mask := cropAffines(box, index)
	return map[string]*nifti.Image{
		"":      cropChannel(a, crop.Neighbours, slices),
		"_mask": cropChannel(a, crop.Channels-1, mask),
	}, nil
}

// output reads what one step made of a study.
func (x *exporter) output(ctx context.Context, step, study string) ([]byte, error) {
	made := outputs(x.rows, step, study)
	if len(made) == 0 {
		return nil, fmt.Errorf("the run has no output of step %s for it", step)
	}
	return content(ctx, x.store, made[0].Digest)
}

// cropChannel turns one channel of [places, channels, rows, columns] into a NIfTI image of columns, rows, places, columns fastest, which
// is the order that it has.
func cropChannel(a *npy.Array, channel int, ras volume.Affine) *nifti.Image {
	places, channels, r, c := a.Shape[0], a.Shape[1], a.Shape[2], a.Shape[3]
	out := make([]byte, 0, places*r*c)
	for p := range places {
		out = append(out, a.Data[(p*channels+channel)*r*c:][:r*c]...)
	}
	return &nifti.Image{Shape: []int{c, r, places}, DType: nifti.Uint8, Data: out, Affine: ras}
}

// cropAffines map (column, row, place) of a crop's slices and of its channel of the mask to RAS millimetres. The two differ a little: slices
// are of the study and cut at whole pixels of it, the mask is of the grid, and both take what is rounded down.
func cropAffines(box crop.Box, index *ingest.Index) (slices, mask volume.Affine) {
	n := len(index.Slices)
	b := crop.SourceBox(box, index.Rows, index.Columns, n)
	var study, grid []int
	for _, p := range crop.Positions(box, n) {
		study, grid = append(study, p.Slice), append(grid, p.MaskSlice)
	}
	slices = index.Region([2]float64{float64(b[0]), float64(b[1])}, [2]float64{float64(b[2]), float64(b[3])},
		places(study), crop.Size, crop.Size, crop.Places)
	ofGrid := index.Grid(crop.Grid, crop.Grid, crop.Grid)
	row, column := float64(box.Row[1]-box.Row[0])/crop.Size, float64(box.Column[1]-box.Column[0])/crop.Size
	along := places(grid)
	// As in Region: the centre of a small cell lies half of it from the edge, a voxel's half a voxel.
	first := ofGrid.Apply(float64(box.Row[0])+row/2-.5, float64(box.Column[0])+column/2-.5, along[0])
	for i := range mask {
		mask[i] = [4]float64{ofGrid[i][0] * row, ofGrid[i][1] * column, ofGrid[i][2] * (along[1] - along[0]) / (crop.Places - 1), first[i]}
	}
	return nifti.ColumnsFirst(slices).FlipLPS(), nifti.ColumnsFirst(mask).FlipLPS()
}

// places returns the first and the last of evenly spaced slices, in fractions, that come nearest to a crop's: an affine can't say that
// places are whole slices, rounded towards the head. None is off by more than half a slice. Where all places are one slice they share
// its thickness, since images without thickness have no affine that can be inverted.
func places(at []int) [2]float64 {
	steps := float64(len(at) - 1)
	first, last := float64(at[0]), float64(at[len(at)-1])
	if first == last {
		half := steps / (steps + 1) / 2
		return [2]float64{first - half, last + half}
	}
	low, high := 0.0, 0.0
	for i, slice := range at {
		off := float64(slice) - (first + (last-first)*float64(i)/steps)
		low, high = min(low, off), max(high, off)
	}
	return [2]float64{first + (low+high)/2, last + (low+high)/2}
}
