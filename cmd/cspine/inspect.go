package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/shard"
)

type inspectFlags struct {
	store, png, mask, config string
	limits                   dicom.Limits // of config
	pixelDigests             bool
	showValues, json         bool
}

func newInspect() *cobra.Command {
	var n inspectFlags
	c := &cobra.Command{
		Use:   "inspect PATH|DIGEST…",
		Short: "Say what a file or an artifact is",
		Long: `Say what a file or an artifact of ours is: a DICOM slice, a NIfTI image, an ONNX
model, an array (.npy), a Parquet shard or manifest, a record, a store.

A digest, or its first six characters or more, names an artifact of --store.
--png draws a slice, a volume, a mask or a crop.

Of a DICOM file all elements are listed, with those in sequences, and the values of
its first frame summed up; a verdict says whether it is a CT slice that prepare would
take, or the reason code and what to do. Values of elements are hidden, since they
are a patient's, but for numbers and codes of how pixels are stored and where they
lie. --show-values shows all, cut to 96 bytes. --json writes the same as JSON.

--pixel-digests takes DICOM files and folders of them, and writes one line of JSON a
file: its pixel format, and of each of its first four frames the SHA-256 of the
stored samples, as int32 little endian (floating point ones as float64), to be
compared with what any other reader makes of them. Colour is refused.`,
		Example: `  cspine inspect study/12.dcm
  cspine inspect study/12.dcm --json --show-values
  cspine inspect --store store 3fa94c --png volume.png
  cspine inspect volume.npy --mask mask.npy --png study.png
  cspine inspect --pixel-digests archive > digests.jsonl`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := readConfig(n.config)
			if err != nil {
				return err
			}
			n.limits = cfg.Ingest.Limits
			switch {
			case n.pixelDigests && (n.png != "" || n.mask != "" || n.store != "" || n.showValues || n.json):
				return usage("--pixel-digests takes files and folders alone")
			case n.pixelDigests:
				return digestPixels(c.OutOrStdout(), args, n.limits)
			case len(args) > 1:
				return usage("inspect takes one file, or one digest, but with --pixel-digests")
			}
			return n.inspect(c, args[0])
		},
	}
	f := c.Flags()
	f.StringVar(&n.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&n.png, "png", "", "draw it to this file")
	f.BoolVar(&n.pixelDigests, "pixel-digests", false, "a line of JSON for each DICOM file: its pixel format, and digests of its samples")
	f.BoolVar(&n.showValues, "show-values", false, "of a DICOM file: show the values of all elements, a patient's among them")
	f.BoolVar(&n.json, "json", false, "of a DICOM file: write JSON")
	f.StringVar(&n.mask, "mask", "", "the mask to outline on a volume: a path, or a digest")
	f.StringVar(&n.config, "config", "", "parameters, as TOML, of which [ingest.limits] count: what DICOM files may ask for")
	return c
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{6,64}$`)

func (n *inspectFlags) inspect(c *cobra.Command, what string) error {
	ctx, out := c.Context(), c.OutOrStdout()
	if info, err := os.Stat(what); err == nil && info.IsDir() {
		return inspectStore(ctx, out, what)
	}
	data, err := n.read(ctx, out, what)
	if err != nil {
		return err
	}
	img, err := n.describe(ctx, out, what, data)
	if err != nil {
		return err
	}
	if n.png == "" {
		return nil
	}
	if n.json {
		out = io.Discard // what is there is JSON
	}
	if img == nil {
		return usage("--png: this is nothing that can be drawn")
	}
	if err := writePNG(n.png, img); err != nil {
		return err
	}
	fmt.Fprintln(out, "drawn to", n.png)
	return nil
}

// read returns the content of a file or of an artifact, and says of an artifact how it was made.
func (n *inspectFlags) read(ctx context.Context, out io.Writer, what string) ([]byte, error) {
	if _, err := os.Stat(what); err == nil || !hexDigest.MatchString(what) {
		return os.ReadFile(what)
	}
	store, err := openStore(ctx, n.store)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	d, kind, err := store.Find(ctx, what)
	if err != nil {
		return nil, err
	}
	if kind == artifacts.KindRecord {
		record, _, err := store.Lookup(ctx, d)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "record      %s\n", d)
		printRecord(out, record)
		d = record.Output.Digest
	} else if err := printMakers(ctx, out, store, d); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "object      %s\n", d)
	return store.Get(ctx, d)
}

// printMakers prints the records that lead to an object.
func printMakers(ctx context.Context, out io.Writer, store *artifacts.Store, d artifacts.Digest) error {
	for r, err := range store.Records(ctx) {
		if err != nil {
			if errors.Is(err, artifacts.ErrCorrupt) {
				continue
			}
			return err
		}
		if r.Output.Digest == d {
			fmt.Fprintf(out, "made by     %s\n", r.RecipeDigest)
			printRecord(out, r.Record)
		}
	}
	return nil
}

func printRecord(out io.Writer, r artifacts.Record) {
	fmt.Fprintf(out, "transform   %s, version %d, %s, %.3f s\n", r.Recipe.Transform, r.Recipe.Version, r.Created.UTC().Format("2006-01-02 15:04:05Z"), r.Seconds)
	for _, p := range r.Recipe.Params {
		fmt.Fprintf(out, "  param     %s = %s\n", p.Name, p.Value)
	}
	for _, in := range r.Recipe.Inputs {
		fmt.Fprintf(out, "  input     %s = %s\n", in.Name, in.Digest)
	}
	fmt.Fprintf(out, "size        %s, stored as %s\n", inwords.Bytes(r.Output.Size), inwords.Bytes(r.Output.Stored))
}

// describe prints what data is, and returns a picture of it where there is one.
func (n *inspectFlags) describe(ctx context.Context, out io.Writer, name string, data []byte) (image.Image, error) {
	if n.json || n.showValues {
		img, err := n.dicom(out, data)
		if code := dicomCode(err); code == dicom.Empty || code == dicom.NotDICOM {
			return nil, usage("--json and --show-values are for DICOM files, which this is not")
		}
		return img, err
	}
	switch {
	case bytes.HasPrefix(data, []byte("\x93NUMPY")):
		return n.array(ctx, out, name, data)
	case bytes.HasPrefix(data, []byte("PAR1")):
		return nil, describeParquet(out, data)
	case isNIfTI(name, data):
		return nil, describeNIfTI(out, data)
	case strings.HasSuffix(name, ".onnx"):
		return nil, describeModel(out, data)
	case json.Valid(data):
		return nil, describeJSON(out, data)
	}
	if describeModel(out, data) == nil { // no DICOM file is a model
		return nil, nil
	}
	img, err := n.dicom(out, data)
	if err != nil {
		return nil, fmt.Errorf("%s is nothing cspine knows: no array, Parquet, NIfTI, ONNX or JSON file, and as DICOM: %w", name, err)
	}
	return img, nil
}

func (n *inspectFlags) array(ctx context.Context, out io.Writer, name string, data []byte) (image.Image, error) {
	a, err := npy.Decode(data)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "array       %s %v\n", a.DType, a.Shape)
	if a.DType != npy.Uint8 {
		return nil, nil
	}
	low, high, sum := uint8(255), uint8(0), 0
	for _, v := range a.Data {
		low, high, sum = min(low, v), max(high, v), sum+int(v)
	}
	fmt.Fprintf(out, "values      %d…%d, mean %.2f\n", low, high, float64(sum)/float64(max(1, len(a.Data))))
	title := filepath.Base(name)
	switch {
	case len(a.Shape) == 3:
		fmt.Fprintln(out, "kind        volume: rows, columns, slices")
		var mask *npy.Array
		if n.mask != "" {
			file, err := n.read(ctx, io.Discard, n.mask)
			if err != nil {
				return nil, err
			}
			if mask, err = npy.Decode(file); err != nil {
				return nil, err
			}
		}
		return picture.Study(title, a, mask)
	case len(a.Shape) == 4 && a.Shape[0] == 7:
		fmt.Fprintln(out, "kind        mask: levels C1-C7, rows, columns, slices; probability x 255")
		blank := npy.New(npy.Uint8, a.Shape[1:]...)
		return picture.Study(title, blank, a)
	case len(a.Shape) == 4:
		fmt.Fprintln(out, "kind        crop: positions, channels (5 slices and the mask), rows, columns")
		return picture.Crop(title, a)
	}
	return nil, nil
}

func isNIfTI(name string, data []byte) bool {
	if strings.HasSuffix(name, ".nii") || strings.HasSuffix(name, ".nii.gz") {
		return true
	}
	return len(data) > 348 && (string(data[344:347]) == "n+1" || string(data[4:7]) == "n+2")
}

func describeNIfTI(out io.Writer, data []byte) error {
	img, err := nifti.Read(bytes.NewReader(data), nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "NIfTI-%d     %s %v\n", img.Version, img.DType, img.Shape)
	for i, row := range img.Affine {
		fmt.Fprintf(out, "%-11s %8.4f %8.4f %8.4f %10.4f\n", []string{"affine RAS", "", ""}[i], row[0], row[1], row[2], row[3])
	}
	labels, err := img.Labels()
	if err != nil {
		return nil // an image of grey values: there are no labels to count
	}
	count := map[uint8]int{}
	for _, l := range labels {
		count[l]++
	}
	for l := range 256 {
		if n := count[uint8(l)]; n > 0 {
			fmt.Fprintf(out, "label %-5d %d voxels\n", l, n)
		}
	}
	return nil
}

func describeModel(out io.Writer, data []byte) error {
	info, err := models.Info(data)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ONNX        ir %d, opsets %v, %d nodes, %d parameters\n", info.IRVersion, info.Opsets, info.Nodes, info.Parameters)
	for _, v := range info.Inputs {
		fmt.Fprintf(out, "input       %s %s %v\n", v.Name, v.Type, v.Shape)
	}
	for _, v := range info.Outputs {
		fmt.Fprintf(out, "output      %s %s %v\n", v.Name, v.Type, v.Shape)
	}
	for _, o := range info.Operators {
		fmt.Fprintf(out, "  %5d %s\n", o.Count, o.Operator)
	}
	return nil
}

func describeParquet(out io.Writer, data []byte) error {
	if rows, err := artifacts.ReadManifest(data); err == nil && len(rows) > 0 && rows[0].Step != "" {
		fmt.Fprintf(out, "manifest    %d rows\n", len(rows))
		summarise(rows, manifest.Steps, 0).print(out)
		return nil
	}
	file, size := bytes.NewReader(data), int64(len(data))
	if r, err := shard.OpenSegmentations(file, size); err == nil {
		return r.Describe(out)
	}
	r, err := shard.Open(file, size)
	if err != nil {
		return err
	}
	return r.Describe(out)
}

func describeJSON(out io.Writer, data []byte) error {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, data, "", "  "); err != nil {
		return err
	}
	const most = 8000
	text := pretty.String()
	if len(text) > most {
		text = text[:most] + "\n…"
	}
	fmt.Fprintln(out, text)
	return nil
}

func inspectStore(ctx context.Context, out io.Writer, dir string) error {
	store, err := openStore(ctx, dir)
	if err != nil {
		return err
	}
	defer store.Close()
	type count struct {
		n     int
		bytes int64
	}
	made := map[string]*count{}
	for r, err := range store.Records(ctx) {
		if err != nil {
			return err
		}
		c := made[r.Recipe.Transform]
		if c == nil {
			c = &count{}
			made[r.Recipe.Transform] = c
		}
		c.n++
		c.bytes += r.Output.Stored
	}
	fmt.Fprintln(out, "store      ", dir)
	var names []string
	for name := range made {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(out, "%-11s %d artifacts, %s\n", name, made[name].n, inwords.Bytes(made[name].bytes))
	}
	files, err := store.ListNamed(ctx, "datasets/")
	if err != nil {
		return err
	}
	for _, f := range files {
		fmt.Fprintf(out, "data set    %s, %s\n", f.Key, inwords.Bytes(f.Size))
	}
	return nil
}
