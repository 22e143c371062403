package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/models/nets"
	"github.com/cspine/cspine/models/onnx"
	"github.com/cspine/cspine/models/program"
)

func newModel() *cobra.Command {
	c := &cobra.Command{Use: "model", Short: "Build networks as ONNX files, inflate them, and say what such a file is"}
	c.AddCommand(newModelInfo(), newModelBuild(), newModelInflate(), newModelQuantise(), newModelCalibrate())
	return c
}

type modelInfoFlags struct {
	store          string
	json, ops, try bool
	shapes         []string
}

func newModelInfo() *cobra.Command {
	var n modelInfoFlags
	c := &cobra.Command{
		Use:   "info FILE|DIGEST",
		Short: "Say what a model is, what it costs, and which engines can run it",
		Long: `Say what an ONNX file is: who wrote it, its ports, its parameters, what a run costs
(a multiplication and an addition of convolutions and matrix products are two
FLOP), its metadata, and which engines can run and train it; if not, which node is
in the way.

A digest, or its first six characters or more, names a model in --store.`,
		Example: `  cspine model info unet.onnx --ops
  cspine model info exported.onnx --shape 1,3,128,128,128 --try`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return n.run(c, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&n.store, "store", "", "folder or bucket URL of the artifact store")
	f.BoolVar(&n.json, "json", false, "print JSON")
	f.BoolVar(&n.ops, "ops", false, "list every operation with its shape, parameters and cost")
	f.BoolVar(&n.try, "try", false, "let every engine of this machine compile it")
	f.StringArrayVar(&n.shapes, "shape", nil, "shape of an input, as 1,3,128,128,128, where the file leaves it open; once for each input")
	return c
}

// modelReport is what info prints.
type modelReport struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest"`
	onnx.Info
	Metadata map[string]string `json:"metadata"`
	// Summary is nil where the graph can't be compiled.
	Summary *program.Summary `json:"summary,omitempty"`
	Engines []engineVerdict  `json:"engines"`
}

// engineVerdict says whether an engine can run and train a model; empty reasons mean that it can.
type engineVerdict struct {
	Engine   string `json:"engine"`
	NotInfer string `json:"not_infer,omitempty"`
	NotTrain string `json:"not_train,omitempty"`
	// Tried tells whether the engine itself compiled it, or refused to.
	Tried bool `json:"tried"`
}

func (n *modelInfoFlags) run(c *cobra.Command, what string) error {
	shapes, err := parseShapes(n.shapes)
	if err != nil {
		return err
	}
	file, err := n.read(c.Context(), what)
	if err != nil {
		return err
	}
	r, err := newModelReport(what, file, shapes)
	if err != nil {
		return err
	}
	if n.try {
		r.try(c.Context(), file)
	}
	if r.Summary != nil && !n.ops {
		r.Summary.Ops = nil
	}
	if n.json {
		return writeJSON(c.OutOrStdout(), r)
	}
	r.print(c.OutOrStdout())
	return nil
}

// read returns a file's content, or an artifact's.
func (n *modelInfoFlags) read(ctx context.Context, what string) ([]byte, error) {
	if _, err := os.Stat(what); err == nil || !hexDigest.MatchString(what) {
		return models.ReadFile(what)
	}
	store, err := openStore(ctx, n.store)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	d, _, err := store.Find(ctx, what)
	if err != nil {
		return nil, err
	}
	return store.Get(ctx, d)
}

func parseShapes(texts []string) ([][]int, error) {
	var shapes [][]int
	for _, text := range texts {
		var shape []int
		for _, part := range strings.Split(text, ",") {
			d, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil || d < 1 {
				return nil, usage("--shape %q: give lengths, such as 1,3,128,128,128", text)
			}
			shape = append(shape, d)
		}
		shapes = append(shapes, shape)
	}
	return shapes, nil
}

func newModelReport(name string, file []byte, shapes [][]int) (*modelReport, error) {
	info, err := models.Info(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	metadata, err := onnx.Metadata(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := &modelReport{File: name, Bytes: int64(len(file)), Digest: artifacts.DigestOf(file).String(), Info: info, Metadata: metadata}
	// Both engines that interpret graphs run what compiles to a program.
	verdict := engineVerdict{}
	for _, training := range []bool{false, true} {
		m, err := onnx.Parse(file)
		if err != nil {
			return nil, err
		}
		p, err := program.Compile(m, &program.Options{InputShapes: shapes, Training: training})
		switch {
		case err == nil:
			s := p.Summary()
			r.Summary = &s
		case training:
			verdict.NotTrain = err.Error()
		default:
			verdict.NotInfer = err.Error()
		}
	}
	for _, name := range []string{"gorgonia", "xla"} {
		verdict.Engine = name
		r.Engines = append(r.Engines, verdict)
	}
	return r, nil
}

// try replaces verdicts by what the engines of this machine say.
func (r *modelReport) try(ctx context.Context, file []byte) {
	for _, name := range engines.Names(engines.Inference)[1:] {
		v := engineVerdict{Engine: name, Tried: true}
		if e, err := engines.Find(name, engines.Inference); err != nil {
			v.NotInfer, v.NotTrain = err.Error(), err.Error()
		} else {
			if net, err := e.Compile(ctx, file, nil); err != nil {
				v.NotInfer = err.Error()
			} else if err := net.Close(); err != nil {
				v.NotInfer = err.Error()
			}
			if _, trains := e.(models.TrainingEngine); !trains {
				v.NotTrain = "the engine does not train"
			}
		}
		i := slices.IndexFunc(r.Engines, func(old engineVerdict) bool { return old.Engine == name })
		if i < 0 {
			r.Engines = append(r.Engines, v)
			continue
		}
		if v.NotTrain == "" {
			v.NotTrain = r.Engines[i].NotTrain
		}
		r.Engines[i] = v
	}
}

func (r *modelReport) print(out io.Writer) {
	fmt.Fprintf(out, "model       %s, %s\n", r.File, inwords.Bytes(r.Bytes))
	fmt.Fprintf(out, "digest      %s\n", r.Digest)
	fmt.Fprintf(out, "written by  %s; ir %d, opset %d\n", r.Producer, r.IRVersion, r.Opsets[""])
	for _, key := range slices.Sorted(maps.Keys(r.Metadata)) {
		fmt.Fprintf(out, "metadata    %s = %s\n", key, r.Metadata[key])
	}
	for _, v := range r.Inputs {
		fmt.Fprintf(out, "input       %s %s %v\n", v.Name, v.Type, v.Shape)
	}
	for _, v := range r.Outputs {
		fmt.Fprintf(out, "output      %s %s %v\n", v.Name, v.Type, v.Shape)
	}
	if s := r.Summary; s != nil {
		fmt.Fprintf(out, "parameters  %d, and %d running statistics\n", s.Parameters, s.Statistics)
		fmt.Fprintf(out, "cost        %.2f GFLOP a run\n", float64(s.FLOPs)/1e9)
	} else {
		fmt.Fprintf(out, "constants   %d\n", r.Parameters)
	}
	var operators []string
	for _, o := range r.Operators {
		operators = append(operators, fmt.Sprintf("%s %d", o.Operator, o.Count))
	}
	fmt.Fprintf(out, "operators   %s\n", strings.Join(operators, ", "))
	for _, v := range r.Engines {
		say := func(not string) string {
			if not != "" {
				return "no: " + not
			}
			return "yes"
		}
		if v.NotInfer == v.NotTrain && v.NotInfer != "" {
			fmt.Fprintf(out, "engine      %-9s can't run it: %s\n", v.Engine, v.NotInfer)
			continue
		}
		fmt.Fprintf(out, "engine      %-9s runs it: %s; trains it: %s\n", v.Engine, say(v.NotInfer), say(v.NotTrain))
	}
	if r.Summary != nil && len(r.Summary.Ops) > 0 {
		fmt.Fprintf(out, "\n%-12s %-24s %10s %10s  %s\n", "operation", "output", "parameters", "MFLOP", "node")
		for _, o := range r.Summary.Ops {
			fmt.Fprintf(out, "%-12s %-24s %10d %10.1f  %s\n", o.Op, fmt.Sprint(o.Shape), o.Parameters, float64(o.FLOPs)/1e6, o.Node)
		}
	}
}

type modelInflateFlags struct {
	undivided bool
	size      int
}

func newModelInflate() *cobra.Command {
	var n modelInflateFlags
	c := &cobra.Command{
		Use:   "inflate IN.onnx OUT.onnx",
		Short: "Turn a network of images into one of volumes",
		Long: `Turn a network of images [N,C,rows,columns] into one of volumes
[N,C,rows,columns,slices], with its weights: kernels are repeated along the new axis
and divided by its length, so that activations keep their scale. Everything else
treats slices as it does columns. A node for which that makes no sense is refused by
its name.`,
		Example: "  cspine model inflate resnet18d-2d.onnx resnet18d-3d.onnx --size 128",
		Args:    cobra.ExactArgs(2),
		RunE:    func(c *cobra.Command, args []string) error { return n.inflate(c, args[0], args[1]) },
	}
	c.Flags().BoolVar(&n.undivided, "undivided", false, "don't divide the kernels, as the reference's code does")
	c.Flags().IntVar(&n.size, "size", 0, "edge of the volume (default: the image's, with as many slices as columns)")
	return c
}

func (n *modelInflateFlags) inflate(c *cobra.Command, from, to string) error {
	if n.size < 0 {
		return usage("--size %d is no length", n.size)
	}
	file, err := models.ReadFile(from)
	if err != nil {
		return err
	}
	file, err = nets.Inflate(file, nets.InflateOptions{Undivided: n.undivided, Size: n.size})
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	info, err := models.Info(file)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err := os.WriteFile(to, file, 0o666); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s, %s: volumes %v\n", to, inwords.Bytes(int64(len(file))), info.Inputs[0].Shape)
	return nil
}

type modelBuildFlags struct {
	out     string
	seed    uint64
	options nets.Options
}

func newModelBuild() *cobra.Command {
	var b modelBuildFlags
	var names []string
	about := "Write a network that finds vertebrae, with fresh weights, as an ONNX file. The networks:\n"
	for _, n := range nets.Networks {
		names = append(names, n.Name)
		about += fmt.Sprintf("\n  %-12s %s", n.Name, n.About)
	}
	c := &cobra.Command{
		Use:     "build NETWORK --out FILE | build classifier --out FILE",
		Short:   "Write a network with fresh weights",
		Long:    about + "\n\nThe same options and seed give the same bytes.",
		Example: "  cspine model build unet-small --out unet.onnx --seed 1\n  cspine model build classifier --type 1 --encoder small --out classifier.onnx",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			for _, n := range nets.Networks {
				if n.Name == args[0] {
					return b.build(c, n)
				}
			}
			return usage("%q is not one of %s, classifier", args[0], strings.Join(names, ", "))
		},
	}
	f := c.Flags()
	f.StringVar(&b.out, "out", "", "file to write")
	f.Uint64Var(&b.seed, "seed", 1, "decides the initial weights")
	f.IntVar(&b.options.Size, "size", 0, "edge of the volume in voxels (default: the network's own)")
	f.IntVar(&b.options.Channels, "channels", 0, "channels of the input (default: the network's own)")
	f.IntVar(&b.options.Classes, "classes", 0, "classes of the output (default: the network's own)")
	f.IntVar(&b.options.Blocks, "blocks", 0, "levels, where the network has a choice (default: the network's own)")
	c.AddCommand(newModelBuildClassifier())
	return c
}

func (b *modelBuildFlags) build(c *cobra.Command, n nets.Network) error {
	if b.out == "" {
		return usage("--out is missing: the file to write")
	}
	file, err := n.Build(b.options, b.seed)
	if err != nil {
		return usage("%w", err)
	}
	if err := os.WriteFile(b.out, file, 0o666); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s, %s\n", b.out, inwords.Bytes(int64(len(file))))
	return nil
}
