package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/internal/inwords"
	"github.com/cspine/cspine/internal/phantom"
)

func newPhantom() *cobra.Command {
	var out, slices, size, vary string
	var opts phantom.Options
	c := &cobra.Command{
		Use:   "phantom --out DIR",
		Short: "Write synthetic neck CT studies in the data set's layout",
		Long: `Write synthetic neck CT studies in the data set's layout:

  DIR/train_images/<study>/<n>.dcm   CT slices
  DIR/segmentations/<study>.nii      masks of C1-C7 (labels 1-7) and T1… (8…)
  DIR/train.csv                      which vertebrae are fractured

Equal seeds give equal files. With --vary wide patients, poses, scanners, fields of
view and ways of storing pixels differ much more: to train a segmenter on.
--slices and --size may be ranges, of which every study draws one. --fractured 0.3
breaks three vertebrae in ten: to train a classifier on.`,
		Example: "  cspine phantom --out data --studies 6 --slices 300 --masks 6 --syntax mixed\n" +
			"  cspine phantom --out training --studies 500 --masks 500 --vary wide --slices 100-220 --size 256",
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return usage("--out is missing: the folder to write to")
			}
			var err error
			if opts.Slices, opts.SlicesTo, err = span("--slices", slices); err != nil {
				return err
			}
			if opts.Size, opts.SizeTo, err = span("--size", size); err != nil {
				return err
			}
			if opts.Studies < 1 || opts.Masks < 0 {
				return usage("--studies must be at least 1, --masks at least 0")
			}
			switch vary {
			case "usual":
			case "wide":
				opts.Wide = true
			default:
				return usage("--vary %q is not one of usual, wide", vary)
			}
			bar := newProgress(c.ErrOrStderr(), false)
			studies := bar.step("studies", opts.Studies)
			opts.Progress = func(done, _ int) { studies.to(done) }
			start := time.Now()
			summary, err := phantom.Write(c.Context(), out, opts)
			bar.done()
			if errors.Is(err, phantom.ErrOptions) {
				return usage("%w", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%d studies of %s slices in %s: %s, %.1f s\n",
				summary.Studies, slices, out, inwords.Bytes(summary.Bytes), time.Since(start).Seconds())
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&out, "out", "", "folder to write to")
	f.IntVar(&opts.Studies, "studies", 6, "number of studies")
	f.StringVar(&slices, "slices", "300", "slices of each study, or a range such as 60-600")
	f.IntVar(&opts.Masks, "masks", 6, "how many studies get a mask")
	f.Uint64Var(&opts.Seed, "seed", 1, "equal seeds give equal studies")
	f.StringVar(&opts.Syntax, "syntax", "mixed", "how pixels are stored: explicit, implicit, jpeg-lossless or mixed")
	f.StringVar(&size, "size", "512", "rows and columns of a slice, or a range such as 256-512")
	f.Float64Var(&opts.Fractured, "fractured", 0, "chance of each vertebra to be broken (default: as in the RSNA's training set)")
	f.StringVar(&vary, "vary", "usual", "how far studies differ: usual, or wide (to train on)")
	return c
}

// span reads a number, or a range of numbers.
func span(flag, text string) (from, to int, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err = strconv.Atoi(first)
	if err == nil {
		to, err = strconv.Atoi(last)
	}
	if err != nil || from < 1 || to < from {
		return 0, 0, usage("%s %q: give a number such as 300, or a range such as 60-600", flag, text)
	}
	return from, to, nil
}
