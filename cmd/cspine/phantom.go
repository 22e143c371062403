package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/internal/phantom"
)

func newPhantom() *cobra.Command {
	var out string
	var opts phantom.Options
	c := &cobra.Command{
		Use:   "phantom --out DIR",
		Short: "Write synthetic neck CT studies in the data set's layout",
		Long: `Write synthetic neck CT studies in the data set's layout:

  DIR/train_images/<study>/<n>.dcm   CT slices
  DIR/segmentations/<study>.nii      masks of C1-C7 (labels 1-7) and T1… (8…)
  DIR/train.csv                      which vertebrae are fractured

Equal seeds give equal files.`,
		Example: "  cspine phantom --out data --studies 6 --slices 300 --masks 6 --syntax mixed",
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return usage("--out is missing: the folder to write to")
			}
			if opts.Studies < 1 || opts.Slices < 1 || opts.Masks < 0 {
				return usage("--studies and --slices must be at least 1, --masks at least 0")
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
			fmt.Fprintf(c.OutOrStdout(), "%d studies of %d slices in %s: %s, %.1f s\n",
				summary.Studies, opts.Slices, out, byteCount(summary.Bytes), time.Since(start).Seconds())
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&out, "out", "", "folder to write to")
	f.IntVar(&opts.Studies, "studies", 6, "number of studies")
	f.IntVar(&opts.Slices, "slices", 300, "slices of each study")
	f.IntVar(&opts.Masks, "masks", 6, "how many studies get a mask")
	f.Uint64Var(&opts.Seed, "seed", 1, "equal seeds give equal studies")
	f.StringVar(&opts.Syntax, "syntax", "mixed", "how pixels are stored: explicit, implicit, jpeg-lossless or mixed")
	f.IntVar(&opts.Size, "size", 512, "rows and columns of a slice")
	return c
}
