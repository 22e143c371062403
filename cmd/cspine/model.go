package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cspine/cspine/models/nets"
)

func newModel() *cobra.Command {
	c := &cobra.Command{Use: "model", Short: "Build networks as ONNX files, and say what such a file is"}
	c.AddCommand(newModelBuild())
	return c
}

type modelBuildFlags struct {
	out     string
	seed    uint64
	options nets.Options
}

func newModelBuild() *cobra.Command {
	var b modelBuildFlags
	var names []string
	about := "Write a network with fresh weights as an ONNX file. The networks:\n"
	for _, n := range nets.Networks {
		names = append(names, n.Name)
		about += fmt.Sprintf("\n  %-12s %s", n.Name, n.About)
	}
	c := &cobra.Command{
		Use:     "build NETWORK --out FILE",
		Short:   "Write a network with fresh weights",
		Long:    about + "\n\nThe same options and seed give the same bytes.",
		Example: "  cspine model build unet-small --out unet.onnx --seed 1",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			for _, n := range nets.Networks {
				if n.Name == args[0] {
					return b.build(c, n)
				}
			}
			return usage("%q is not one of %s", args[0], strings.Join(names, ", "))
		},
	}
	f := c.Flags()
	f.StringVar(&b.out, "out", "", "file to write")
	f.Uint64Var(&b.seed, "seed", 1, "decides the initial weights")
	f.IntVar(&b.options.Size, "size", 0, "edge of the volume in voxels (default: the network's own)")
	f.IntVar(&b.options.Channels, "channels", 0, "channels of the input (default: the network's own)")
	f.IntVar(&b.options.Classes, "classes", 0, "classes of the output (default: the network's own)")
	f.IntVar(&b.options.Blocks, "blocks", 0, "levels, where the network has a choice (default: the network's own)")
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
	fmt.Fprintf(c.OutOrStdout(), "%s, %s\n", b.out, byteCount(int64(len(file))))
	return nil
}
