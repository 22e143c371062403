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

// exported says which step makes what --what names.
var exported = map[string]string{"volumes": "resample", "masks": "segment", "crops": "crop"}

type exportFlags struct {
	store, run, what, format, out, study string
}

func newExport() *cobra.Command {
	var e exportFlags
	c := &cobra.Command{
		Use:   "export --store URL --what volumes|masks|crops --format npy|nifti --out DIR",
		Short: "Write artifacts as plain files for numpy and viewers",
		Long: `Write the artifacts of a run as plain files, one per study: DIR/<study>.npy, for
crops one per study and vertebra: DIR/<study>_C3.npy. Beside each stands a JSON
file that says how it was made.

Shapes: volumes [128,128,128] (rows, columns, slices), masks [7,128,128,128]
(levels first, probability x 255), crops [15,6,224,224]. As NIfTI, a mask is one
label image (1-7, where the probability is above one half), axes are columns,
rows, slices, and the affine is the study's own.`,
		RunE: func(c *cobra.Command, _ []string) error { return e.export(c) },
	}
	f := c.Flags()
	f.StringVar(&e.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&e.run, "run", "", "which run (default: the newest)")
	f.StringVar(&e.what, "what", "", "volumes, masks or crops")
	f.StringVar(&e.format, "format", "npy", "npy or nifti")
	f.StringVar(&e.out, "out", "", "folder to write to")
	f.StringVar(&e.study, "study", "", "only this study")
	return c
}

func (e *exportFlags) export(c *cobra.Command) error {
	step, ok := exported[e.what]
	if !ok {
		return usage("--what %q is not one of volumes, masks, crops", e.what)
	}
	if e.format != "npy" && e.format != "nifti" {
		return usage("--format %q is not one of npy, nifti", e.format)
	}
	if e.out == "" {
		return usage("--out is missing: the folder to write to")
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
	chosen := outputs(rows, step, e.study)
	if len(chosen) == 0 {
		return fmt.Errorf("%s has no %s%s", key, e.what, map[bool]string{true: " of study " + e.study}[e.study != ""])
	}
	if err := os.MkdirAll(e.out, 0o777); err != nil {
		return err
	}
	for _, row := range chosen {
		if err := e.one(ctx, store, rows, row, key); err != nil {
			return fmt.Errorf("study %s: %w", row.Subject, err)
		}
	}
	fmt.Fprintf(c.OutOrStdout(), "%d files in %s\n", len(chosen), e.out)
	return nil
}

func (e *exportFlags) one(ctx context.Context, store *artifacts.Store, rows []artifacts.Row, row artifacts.Row, key string) error {
	p, err := newProvenance(ctx, store, row, e.what, key)
	if err != nil {
		return err
	}
	a, err := tensor(ctx, store, row.Digest)
	if err != nil {
		return err
	}
	base := filepath.Join(e.out, safeName(row.Subject))
	if row.Part != "" {
		base += "_" + row.Part
	}
	about, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(base+".json", append(about, '\n'), 0o666); err != nil {
		return err
	}
	if e.format == "npy" {
		return os.WriteFile(base+".npy", a.Bytes(), 0o666)
	}
	img, err := e.image(ctx, store, rows, row, a)
	if err != nil {
		return err
	}
	f, err := os.Create(base + ".nii.gz")
	if err != nil {
		return err
	}
	if err := nifti.WriteGz(f, img); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// image lays an array out as NIfTI, with its place in the patient.
func (e *exportFlags) image(ctx context.Context, store *artifacts.Store, rows []artifacts.Row, row artifacts.Row, a *npy.Array) (*nifti.Image, error) {
	content, err := outputOf(ctx, store, rows, "index", row.Subject)
	if err != nil {
		return nil, err
	}
	index, err := ingest.Unmarshal(content)
	if err != nil {
		return nil, err
	}
	switch e.what {
	case "volumes":
		return grey(a.Data, a.Shape, index.Grid(a.Shape[0], a.Shape[1], a.Shape[2])), nil
	case "masks":
		return grey(segment.LabelMap(a).Data, a.Shape[1:], index.Grid(a.Shape[1], a.Shape[2], a.Shape[3])), nil
	}
	box, err := boxOf(ctx, store, rows, row)
	if err != nil {
		return nil, err
	}
	return cropImage(a, box, index), nil
}

// outputOf reads what one step made of a study.
func outputOf(ctx context.Context, store *artifacts.Store, rows []artifacts.Row, step, study string) ([]byte, error) {
	made := outputs(rows, step, study)
	if len(made) == 0 {
		return nil, fmt.Errorf("the run has no output of step %s for it", step)
	}
	return content(ctx, store, made[0].Digest)
}

// boxOf finds the box of a crop's vertebra.
func boxOf(ctx context.Context, store *artifacts.Store, rows []artifacts.Row, row artifacts.Row) (crop.Box, error) {
	content, err := outputOf(ctx, store, rows, "boxes", row.Subject)
	if err != nil {
		return crop.Box{}, err
	}
	found, err := crop.ParseLocated(content)
	if err != nil {
		return crop.Box{}, err
	}
	for _, f := range found {
		if volume.LevelName(f.Level) == row.Part && f.Found {
			return f.Box, nil
		}
	}
	return crop.Box{}, fmt.Errorf("no box of %s", row.Part)
}

// grey turns [rows, columns, slices], slices fastest, into a NIfTI image of columns, rows, slices,
// columns fastest.
func grey(data []uint8, shape []int, lps volume.Affine) *nifti.Image {
	r, c, s := shape[0], shape[1], shape[2]
	out := make([]byte, len(data))
	for i := range r {
		for j := range c {
			for k := range s {
				out[(k*r+i)*c+j] = data[(i*c+j)*s+k]
			}
		}
	}
	return &nifti.Image{Shape: []int{c, r, s}, DType: nifti.Uint8, Data: out, Affine: columnsFirst(lps).FlipLPS()}
}

// columnsFirst swaps the first two indices of an affine.
func columnsFirst(m volume.Affine) volume.Affine {
	for i := range m {
		m[i][0], m[i][1] = m[i][1], m[i][0]
	}
	return m
}

// cropImage turns [positions, channels, rows, columns] into columns, rows, positions, channels.
func cropImage(a *npy.Array, box crop.Box, index *ingest.Index) *nifti.Image {
	positions, channels, r, c := a.Shape[0], a.Shape[1], a.Shape[2], a.Shape[3]
	out := make([]byte, len(a.Data))
	for p := range positions {
		for ch := range channels {
			copy(out[(ch*positions+p)*r*c:], a.Data[(p*channels+ch)*r*c:][:r*c])
		}
	}
	b := crop.SourceBox(box, index.Rows, index.Columns, len(index.Slices))
	at := crop.Positions(box, len(index.Slices))
	lps := index.Region([2]float64{float64(b[0]), float64(b[1])}, [2]float64{float64(b[2]), float64(b[3])},
		[2]float64{float64(at[0].Slice), float64(at[len(at)-1].Slice)}, r, c, positions)
	return &nifti.Image{Shape: []int{c, r, positions, channels}, DType: nifti.Uint8, Data: out, Affine: columnsFirst(lps).FlipLPS()}
}
