package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/nifti"
	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/picture"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/shard"
)

type inspectFlags struct {
	store, png, mask string
	pixelDigests     bool
	showValues, json bool
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
			switch {
			case n.pixelDigests && (n.png != "" || n.mask != "" || n.store != "" || n.showValues || n.json):
				return usage("--pixel-digests takes files and folders alone")
			case n.pixelDigests:
				return digestPixels(c.OutOrStdout(), args)
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
	fmt.Fprintf(out, "size        %s, stored as %s\n", byteCount(r.Output.Size), byteCount(r.Output.Stored))
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

// dicomReport is what inspect says of a DICOM file.
type dicomReport struct {
	Verdict dicomVerdict `json:"verdict"`
	// What follows is nil where the header can't be read, or the first frame not decoded.
	Modality    string             `json:"modality,omitempty"`
	Pixels      *dicom.PixelFormat `json:"pixels,omitempty"`
	SpacingMM   *[2]float64        `json:"spacing_mm,omitempty"` // between rows, between columns
	ThicknessMM float64            `json:"thickness_mm,omitempty"`
	TiltDegrees float64            `json:"gantry_tilt_degrees,omitempty"`
	PositionMM  *[3]float64        `json:"position_mm,omitempty"`
	Orientation *[6]float64        `json:"orientation,omitempty"`
	Slope       float64            `json:"slope,omitempty"`
	Intercept   float64            `json:"intercept,omitempty"`
	Stored      *valueRange        `json:"stored_values,omitempty"`
	HU          *valueRange        `json:"hu,omitempty"` // of CT

	Elements []dicom.Element `json:"elements"`
	// Unlisted says why the list of elements ends before the file does.
	Unlisted string `json:"unlisted,omitempty"`
}

// dicomVerdict is "usable", or the reason code for which a file is no slice of a study.
type dicomVerdict struct {
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

const usable = "usable"

// valueRange sums up the values of a frame.
type valueRange struct {
	Least    float64 `json:"least"`
	Greatest float64 `json:"greatest"`
	Mean     float64 `json:"mean"`
}

func dicomCode(err error) string {
	if de, ok := errors.AsType[*dicom.Error](err); ok {
		return de.Code
	}
	return ""
}

// dicom reports on a DICOM file, and returns a picture of its first frame where that can be decoded. What is no DICOM file at all is an error.
func (n *inspectFlags) dicom(out io.Writer, data []byte) (image.Image, error) {
	file, size := bytes.NewReader(data), int64(len(data))
	var r dicomReport
	elements, err := dicom.Elements(file, size, n.showValues)
	if code := dicomCode(err); code == dicom.Empty || code == dicom.NotDICOM || err != nil && code == "" {
		return nil, err
	}
	if r.Elements = elements; err != nil {
		r.Unlisted = err.Error()
	}
	h, err := dicom.ReadHeader(file, size, &dicom.Options{HeaderOnly: true})
	var img image.Image
	if err == nil {
		p := &h.Pixels
		r.Modality, r.Pixels = dicom.CodeString(h.Modality), p
		p.Photometric = dicom.CodeString(p.Photometric) // it may be a text in the wrong place
		first := h
		var frames []*dicom.Header
		if frames, err = h.Split(); len(frames) > 0 {
			first = frames[0]
		}
		r.SpacingMM, r.ThicknessMM, r.TiltDegrees = &first.SpacingMM, first.ThicknessMM, first.GantryTiltDegrees
		r.PositionMM, r.Orientation, r.Slope, r.Intercept = &first.PositionMM, &first.Orientation, first.Slope, first.Intercept
		var decoding error
		if img, decoding = r.sum(first, data); err == nil {
			err = decoding
		}
		_, strict := dicom.ReadHeader(file, size, nil)
		switch {
		case strict != nil:
			err = strict
		case err != nil:
		case h.Pixels.Frames > 1 && frames == nil:
			r.Verdict = dicomVerdict{string(ingest.MultiFrame), "several frames without functional groups that say where they lie", "split the object into single slices, for example with `dcm2dcm` or `emf2sf`"}
		case !first.HasGeometry:
			r.Verdict = dicomVerdict{string(ingest.NoGeometry), "no valid position or orientation", "export the series again with ImagePositionPatient and ImageOrientationPatient"}
		default:
			r.Verdict.Code = usable
		}
	}
	if err != nil {
		de, ok := errors.AsType[*dicom.Error](err)
		if !ok {
			return nil, err
		}
		detail := de.Detail
		if de.Tag != "" {
			detail = "at " + de.Tag + ": " + detail
		}
		if de.Err != nil {
			detail += ": " + de.Err.Error()
		}
		r.Verdict = dicomVerdict{de.Code, detail, de.Remedy}
	}
	if n.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return img, e.Encode(r)
	}
	r.print(out)
	return img, nil
}

// sum decodes the first frame, sums it up and draws it.
func (r *dicomReport) sum(h *dicom.Header, data []byte) (image.Image, error) {
	p := h.Pixels
	if p.Offset == 0 {
		return nil, nil // the strict header refuses it
	}
	value, err := p.Value(data)
	if err != nil {
		return nil, err
	}
	s, err := dicom.DecodeSamples(value, p, 0)
	if err != nil {
		return nil, err
	}
	values := s.Float
	if values == nil {
		values = make([]float64, len(s.Int))
		for i, v := range s.Int {
			values[i] = float64(v)
		}
	}
	v := valueRange{Least: slices.Min(values), Greatest: slices.Max(values)}
	for _, x := range values {
		v.Mean += x / float64(len(values))
	}
	if math.IsNaN(v.Mean) || math.IsInf(v.Mean, 0) {
		return nil, nil // there is nothing to be summed up
	}
	r.Stored = &v
	if h.Modality == "CT" {
		a, b := v.Least*h.Slope+h.Intercept, v.Greatest*h.Slope+h.Intercept
		r.HU = &valueRange{min(a, b), max(a, b), v.Mean*h.Slope + h.Intercept}
	}
	img := image.NewGray(image.Rect(0, 0, p.Columns, p.Rows))
	for i, x := range values {
		if v.Greatest > v.Least {
			img.Pix[i] = uint8(255 * (x - v.Least) / (v.Greatest - v.Least))
		}
	}
	return img, nil
}

func (r *dicomReport) print(out io.Writer) {
	if r.Verdict.Code == usable {
		fmt.Fprintln(out, "verdict     a usable CT slice")
	} else {
		fmt.Fprintf(out, "verdict     %s: %s\n", r.Verdict.Code, r.Verdict.Detail)
		if r.Verdict.Remedy != "" {
			fmt.Fprintf(out, "remedy      %s\n", r.Verdict.Remedy)
		}
	}
	if p := r.Pixels; p != nil {
		fmt.Fprintf(out, "DICOM       %s, %s\n", r.Modality, p.TransferSyntax.Name())
		fmt.Fprintf(out, "pixels      %d x %d, %d of %d bits, signed %t, %s, frames %d\n", p.Rows, p.Columns, p.BitsStored, p.BitsAllocated, p.Signed, p.Photometric, p.Frames)
		fmt.Fprintf(out, "spacing     %g x %g mm, slice %g mm, gantry tilt %g°\n", r.SpacingMM[0], r.SpacingMM[1], r.ThicknessMM, r.TiltDegrees)
		fmt.Fprintf(out, "position    %v\norientation %v\nrescale     x %g %+g\n", *r.PositionMM, *r.Orientation, r.Slope, r.Intercept)
	}
	if v := r.Stored; v != nil {
		fmt.Fprintf(out, "stored      %g…%g, mean %.2f\n", v.Least, v.Greatest, v.Mean)
	}
	if v := r.HU; v != nil {
		fmt.Fprintf(out, "HU          %g…%g, mean %.2f\n", v.Least, v.Greatest, v.Mean)
	}
	fmt.Fprintf(out, "elements    %d: tag, VR, length, keyword\n", len(r.Elements))
	for _, e := range r.Elements {
		length, name := fmt.Sprint(e.Length), e.Keyword
		if e.Length < 0 {
			length = "?"
		}
		if e.Private {
			name = strings.TrimSpace("private " + name)
		}
		line := fmt.Sprintf("%s%s %-2s %6s  %s", strings.Repeat("  ", 1+e.Depth), e.Tag, e.VR, length, name)
		if e.Value != "" {
			line += " = " + e.Value
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	if r.Unlisted != "" {
		fmt.Fprintln(out, "and then    ", r.Unlisted)
	}
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
		fmt.Fprintf(out, "%-11s %d artifacts, %s\n", name, made[name].n, byteCount(made[name].bytes))
	}
	files, err := store.ListNamed(ctx, "datasets/")
	if err != nil {
		return err
	}
	for _, f := range files {
		fmt.Fprintf(out, "data set    %s, %s\n", f.Key, byteCount(f.Size))
	}
	return nil
}
