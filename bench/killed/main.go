// Command killed kills 'cspine prepare' with SIGKILL at random moments, resumes it each time on what it left, and checks that nothing is
// torn or lost and that the shards are those of a run that nobody disturbed.
//
//	go build -o cspine ./cmd/cspine && go build -o killed ./bench/killed
//	./cspine phantom --out data --studies 6 --slices 60 --size 128 --masks 6 --seed 1
//	./killed --cspine ./cspine --kills 200 -- --data data --segmenter labels
//
// After each kill every record is read and every object hashed, and each record of before must still be there and name the same output. A
// run that comes to its end is compared with the undisturbed one, and the next begins from nothing. It prints a line of JSON, and ends with
// status 1 if anything was wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/artifacts/artifactstest"
	"github.com/cspine/cspine/transforms/shard"
)

const run = "killed"

func main() {
	var h harness
	flag.StringVar(&h.cspine, "cspine", ".build/cspine", "the program")
	flag.StringVar(&h.dir, "dir", "", "where to work (default a new folder)")
	kills := flag.Int("kills", 200, "how many kills")
	most := flag.Duration("for", time.Hour, "begin none after this")
	flag.Parse()
	h.args = flag.Args()
	if err := h.measure(context.Background(), *kills, *most); err != nil {
		fmt.Fprintln(os.Stderr, "killed:", err)
		os.Exit(1)
	}
}

// harness is what is run, and where.
type harness struct {
	cspine, dir string
	args        []string // of prepare, but for store and run
}

// result is what came of it.
type result struct {
	Kills     int     `json:"kills"`
	Completed int     `json:"completed"` // runs that came to their end and had the right shards
	Records   int     `json:"records"`   // that were checked, all kills together
	RunS      float64 `json:"run_s"`     // seconds of an undisturbed run, the shortest
	Seconds   float64 `json:"seconds"`
}

func (h *harness) measure(ctx context.Context, kills int, most time.Duration) (err error) {
	if h.dir == "" {
		if h.dir, err = os.MkdirTemp("", "killed"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(h.dir)) }()
	}
	begin := time.Now()
	if _, err := h.prepare("reference", 0); err != nil {
		return err
	}
	undisturbed := time.Since(begin)
	want, err := h.shards(ctx, "reference")
	if err != nil {
		return err
	}
	var r result
	kept := map[artifacts.Digest]artifacts.Output{}
	for r.Kills < kills && time.Since(begin) < most {
		started := time.Now()
		killed, err := h.prepare("store", 1+rand.N(undisturbed*11/10))
		if err != nil {
			return err
		}
		if !killed && len(kept) == 0 { // from nothing to the end: the machine may have been busy before
			undisturbed = min(undisturbed, time.Since(started))
		}
		if killed {
			r.Kills++
			n, err := h.check(ctx, kept)
			if err != nil {
				return fmt.Errorf("kill %d: %w (see %s)", r.Kills, err, h.dir)
			}
			r.Records += n
			continue
		}
		if err := h.compare(ctx, want); err != nil {
			return err
		}
		r.Completed++
		clear(kept)
	}
	if _, err := h.prepare("store", 0); err != nil {
		return err
	}
	if err := h.compare(ctx, want); err != nil {
		return err
	}
	r.Completed++
	r.RunS, r.Seconds = undisturbed.Seconds(), time.Since(begin).Seconds()
	return json.NewEncoder(os.Stdout).Encode(r)
}

// prepare runs cspine and kills it after a time, 0 being never. It returns whether it had to.
func (h *harness) prepare(store string, after time.Duration) (killed bool, err error) {
	ctx := context.Background()
	if after > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, after)
		defer cancel()
	}
	args := append([]string{"prepare", "--store", filepath.Join(h.dir, store), "--run", run, "--json"}, h.args...)
	cmd := exec.CommandContext(ctx, h.cspine, args...) // ends it by SIGKILL
	out, err := cmd.CombinedOutput()
	var status *exec.ExitError
	if errors.As(err, &status) && status.ExitCode() == -1 {
		return true, nil
	}
	if err != nil && (cmd.ProcessState == nil || !cmd.ProcessState.Success()) { // it may have ended well just before it was to be killed
		return false, fmt.Errorf("%w\n%s", err, out)
	}
	return false, nil
}

func (h *harness) open(ctx context.Context, store string) (*artifacts.Store, error) {
	return artifacts.Open(ctx, filepath.Join(h.dir, store), nil)
}

// check reads all that a killed run left. kept are the records that earlier ones left, and becomes those that are there now.
func (h *harness) check(ctx context.Context, kept map[artifacts.Digest]artifacts.Output) (records int, err error) {
	s, err := h.open(ctx, "store")
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if records, err = artifactstest.CheckSound(ctx, s); err != nil {
		return records, err
	}
	now := map[artifacts.Digest]artifacts.Output{}
	for r, err := range s.Records(ctx) {
		if err != nil {
			return records, err
		}
		now[r.RecipeDigest] = r.Output
	}
	for recipe, output := range kept {
		if now[recipe] != output {
			return records, fmt.Errorf("the record %s was of %s and is of %s", recipe.Short(), output.Digest.Short(), now[recipe].Digest.Short())
		}
	}
	maps.Copy(kept, now)
	return records, nil
}

// compare checks a run that came to its end, and clears what it made.
func (h *harness) compare(ctx context.Context, want map[string]string) error {
	got, err := h.shards(ctx, "store")
	if err != nil {
		return err
	}
	if len(want) == 0 || !maps.Equal(got, want) {
		return fmt.Errorf("the shards are %v, undisturbed %v", got, want)
	}
	return os.RemoveAll(filepath.Join(h.dir, "store"))
}

// shards returns the digest of each file of a store's data set: its shards and their manifest.
func (h *harness) shards(ctx context.Context, store string) (map[string]string, error) {
	s, err := h.open(ctx, store)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	files, err := s.ListNamed(ctx, shard.Dir(run)+"/")
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, f := range files {
		data, err := s.GetNamed(ctx, f.Key)
		if err != nil {
			return nil, err
		}
		digests[f.Key] = artifacts.DigestOf(data).String()
	}
	return digests, nil
}
