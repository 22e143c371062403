//go:build unix

// Command crops reads vertebrae of a data set, makes them smaller and augments them, on one processor, and prints how long that took: one of
// the two that bench/crops_versus.py compares.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms/augment"
	"github.com/cspine/cspine/transforms/load"
	"github.com/cspine/cspine/transforms/shard"
)

func main() {
	store := flag.String("store", "", "the artifact store")
	dataset := flag.String("dataset", "", "the data set's name")
	studies := flag.String("studies", "", "the studies' UIDs, with commas between them")
	edge := flag.Int("edge", 112, "side of the slices")
	preset := flag.String("augment", "recommended", "recommended, method or none")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := measure(*store, *dataset, strings.Split(*studies, ","), *edge, *preset); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(location, dataset string, studies []string, edge int, preset string) error {
	ctx := context.Background()
	store, err := artifacts.Open(ctx, location, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	set, err := load.OpenCrops(ctx, store, dataset, load.Options{Readers: 1})
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, uid := range studies {
		wanted[uid] = true
	}
	cases, err := set.Choose(func(s shard.Study) bool { return wanted[s.UID] }).ByVertebra(edge)
	if err != nil {
		return err
	}
	options, ok := map[string]augment.Slices{"recommended": augment.RecommendedSlices(), "method": augment.MethodSlices(), "none": {}}[preset]
	if !ok {
		return fmt.Errorf("no preset %q", preset)
	}
	begin, used := time.Now(), processorTime()
	n := 0
	samples := cases.Augmented(ctx, options, 1, 0, 0)
	if preset == "none" {
		samples = cases.Epoch(ctx, 1, 0, 0)
	}
	for _, err := range samples {
		if err != nil {
			return err
		}
		n++
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"vertebrae": n, "seconds": time.Since(begin).Seconds(), "processor": (processorTime() - used).Seconds(),
	})
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
