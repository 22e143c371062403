package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/pseudonym"
	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/engines"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/crop"
	"github.com/cspine/cspine/transforms/ingest"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/segment"
)

// studyFlags are those of every command that takes raw studies through a pipeline.
type studyFlags struct {
	data, store, from, segmenter, engine, precision, name, config, pictures string
	runner                                                                  runnerFlags

	keyFile   string
	names     *pseudonym.Key // what that holds; check reads it
	keepCrops string
	keep      crop.Keep // what that says; check reads it
	labels    string
	values    segment.LabelValues // what that says; check reads it
	verify    float64
	only      []string
	json      bool
	plan      bool // say what would be done
	isolate   bool
	isolated  func() bool // isolate, or its default

	stderr  func() io.Writer
	trouble bool // with from, said already
}

// addTo gives a command the flags. run says what --run names.
func (p *studyFlags) addTo(c *cobra.Command, run string) {
	p.addInputs(c, run)
	f := c.Flags()
	p.runner.add(f)
	f.BoolVar(&p.isolate, "isolate", false, "work on studies in a process of their own, so that one which needs too much memory, or ends native code, is refused and nothing else happens (default: on Flink and Dataflow)")
	p.isolated = func() bool {
		return p.isolate || !p.runner.InProcess() && !f.Changed("isolate")
	}
	f.StringVar(&p.pictures, "pictures", "", "write a PNG of each study's volume, mask and crops to this folder")
	f.Float64Var(&p.verify, "verify-cache", 0, "compute this share of what is there already all the same, such as 0.01, and compare")
}

// addInputs gives a command the flags that say what is made of what.
func (p *studyFlags) addInputs(c *cobra.Command, run string) {
	p.stderr = c.ErrOrStderr
	f := c.Flags()
	f.StringVar(&p.data, "data", "", "folder or bucket URL of the studies")
	f.StringVar(&p.store, "store", "", "folder or bucket URL of the artifact store")
	f.StringVar(&p.from, "cache-from", "", "another artifact store, only read: what the store misses and it has is copied from there")
	f.StringVar(&p.segmenter, "segmenter", "", "an ONNX model, several with commas between (their mean), 'bundled', or 'labels' to take segmentations/<study>.nii")
	f.StringVar(&p.labels, "labels", "", "values of the label files for C1, C2, …, 0 for one that they don't have (default 1,2,3,4,5,6,7)")
	f.StringVar(&p.engine, "engine", "", "that runs the models: one of "+strings.Join(engines.Names(engines.Inference), ", ")+" (default auto)")
	f.StringVar(&p.precision, "precision", "", "of the models' arithmetic: f32, bf16, or int8 for a quantised model (default f32, or the model's own)")
	f.StringVar(&p.name, "run", "", run)
	f.StringVar(&p.config, "config", "", "parameters, as TOML (see docs/operations.md)")
	f.StringVar(&p.keepCrops, "keep-crops", "", "keep the last run's crop of a vertebra while its new mask agrees with the crop's own: dice=0.99,box=1mm (default: while it is equal)")
	f.StringVar(&p.keyFile, "pseudonymize", "", "name studies by pseudonyms that this key file makes, in all that is for others (see docs/operations.md, Privacy)")
	f.StringSliceVar(&p.only, "study", nil, "only these studies (folder names)")
	f.BoolVar(&p.json, "json", false, "write the summary as JSON, no progress")
}

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// flagValue is a flag that must be given, and what for.
type flagValue struct{ flag, value, what string }

// check refuses what can't be meant. command is what is asked for help, more are its own flags that must be given.
func (p *studyFlags) check(command string, more ...flagValue) error {
	for _, f := range append([]flagValue{
		{"--data", p.data, "where the studies lie"},
		{"--store", p.store, "where artifacts are kept"},
		{"--segmenter", p.segmenter, "an ONNX file, 'bundled' or 'labels'"},
		{"--run", p.name, "a name for what is made"},
	}, more...) {
		if f.value == "" {
			return usage("%s is missing: %s; see 'cspine %s --help'", f.flag, f.what, command)
		}
	}
	if !runName.MatchString(p.name) {
		return usage("--run %q: use letters, digits, '.', '_' and '-'", p.name)
	}
	if p.from != "" && absolute(p.from) == absolute(p.store) {
		return usage("--cache-from %s is the store itself: name another one, or leave it out", p.from)
	}
	if p.precision != "" && !slices.Contains(models.Precisions, models.Precision(p.precision)) {
		return usage("--precision %q is not one of %v", p.precision, models.Precisions)
	}
	if p.engine != "" && !slices.Contains(engines.Names(engines.Inference), p.engine) {
		return usage("--engine %q is not one of %s", p.engine, strings.Join(engines.Names(engines.Inference), ", "))
	}
	if !(p.verify >= 0 && p.verify <= 1) {
		return usage("--verify-cache %g is no share: it lies between 0 and 1", p.verify)
	}
	if p.labels != "" {
		if p.segmenter != "labels" {
			return usage("--labels is for --segmenter labels and --task segmentation")
		}
		var err error
		if p.values, err = segment.ParseLabelValues(p.labels); err != nil {
			return usage("--labels %w", err)
		}
	}
	if p.keepCrops != "" {
		var err error
		if p.keep, err = crop.ParseKeep(p.keepCrops); err != nil {
			return usage("--keep-crops %w", err)
		}
	}
	if p.keyFile != "" {
		var err error
		if p.names, err = pseudonym.Read(p.keyFile); err != nil {
			return usage("--pseudonymize: %w", err)
		}
	}
	if err := p.runner.check(); err != nil {
		return err
	}
	return p.runner.reachable(flagValue{"--data", p.data, "studies"}, flagValue{"--store", p.store, "cspine"}, flagValue{"--cache-from", p.from, "cspine"}, flagValue{"--pseudonymize", p.keyFile, "key"})
}

// open opens both places, and counts the studies that are asked for.
func (p *studyFlags) open(ctx context.Context) (site transforms.Site, store *artifacts.Store, err error) {
	site = transforms.Site{Data: absolute(p.data), Store: absolute(p.store), Plan: p.plan, Verify: p.verify}
	if p.from != "" {
		site.From = absolute(p.from)
	}
	if p.isolated != nil {
		site.Isolate = p.isolated()
	}
	if p.names != nil {
		site.KeyFile, site.KeyID = absolute(p.keyFile), p.names.ID()
	}
	data, store, err := site.Open(ctx)
	if err != nil {
		return site, nil, err
	}
	p.sayTrouble(store)
	all, err := ingest.Studies(ctx, data)
	if err != nil {
		return site, nil, site.Unnamed(err)
	}
	site.Studies = len(ingest.Select(all, p.only))
	if site.Studies == 0 {
		return site, nil, usage("--study %v: %s has %d studies, none of these", p.only, data, len(all))
	}
	site.Earlier, err = earlierRun(ctx, store, p.name)
	return site, store, err
}

// earlierRun returns the key of the manifest that a run goes on from: the newest of its name, else the newest of all.
func earlierRun(ctx context.Context, store *artifacts.Store, run string) (string, error) {
	key, err := manifest.Newest(ctx, store, run)
	if key != "" || err != nil {
		return key, err
	}
	return manifest.Newest(ctx, store, "")
}

// options are those of a run begun now, as far as to the boxes.
func (p *studyFlags) options(site transforms.Site, cfg config, segmenter segment.Model) pipelines.PrepareOptions {
	return pipelines.PrepareOptions{Site: site, Run: p.name, ID: runID(), Only: p.only, Ingest: cfg.Ingest, Resample: cfg.Resample, Model: segmenter, Boxes: cfg.Boxes, Keep: p.keep, Labels: p.values}
}

// report says what a run did, by print or as the JSON of all, and draws the pictures. incomplete makes the command end with its own status.
func (p *studyFlags) report(ctx context.Context, out io.Writer, store *artifacts.Store, rows []artifacts.Row, s *summary, all any, print func(), incomplete bool) error {
	p.sayTrouble(store)
	s.borrowed(store)
	if !p.json {
		print()
	} else if err := writeJSON(out, all); err != nil {
		return err
	}
	if p.pictures != "" {
		if err := writePictures(ctx, store, rows, p.pictures, out); err != nil {
			return err
		}
	}
	if n := len(s.Differing); n > 0 {
		return fmt.Errorf("%s came out other than what the store has: see 'not reproducible'", plural(n, "artifact", "artifacts"))
	}
	if incomplete {
		return &exitError{code: exitFound}
	}
	return nil
}

// sayTrouble says once what is wrong with the store of --cache-from, which fails no run.
func (p *studyFlags) sayTrouble(store *artifacts.Store) {
	if _, trouble := store.Borrowed(); trouble != nil && !p.trouble {
		p.trouble = true
		fmt.Fprintf(p.stderr(), "cspine: --cache-from %v; what it does not give is computed\n", trouble)
	}
}

// model puts the segmenter's files into the store, where every worker finds them.
func (p *studyFlags) model(ctx context.Context, store *artifacts.Store, m segment.Model) (segment.Model, error) {
	if p.segmenter == "labels" {
		return segment.Model{}, nil
	}
	if p.precision != "" {
		m.Precision = p.precision
	}
	if p.engine != "" {
		m.Engine = p.engine
	}
	files, m, err := readSegmenter(p.segmenter, m)
	if err != nil {
		return m, err
	}
	m.Digests, err = p.storeModels(ctx, store, files)
	return m, err
}

// storeModels puts models into the store, unless nothing is to be done, and returns their digests.
func (p *studyFlags) storeModels(ctx context.Context, store *artifacts.Store, files [][]byte) (digests []string, err error) {
	for _, file := range files {
		digest := artifacts.DigestOf(file)
		digests = append(digests, digest.String())
		if p.plan || p.runner.dry {
			continue
		}
		if _, err := store.Stat(ctx, digest); err == nil {
			continue // packing a model takes longer than asking
		}
		if _, err := store.Put(ctx, artifacts.Content{Data: file}); err != nil {
			return nil, err
		}
	}
	return digests, nil
}
