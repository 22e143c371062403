//go:build unix

package artifacts_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/artifacts/artifactstest"
)

// What a child process is to do, and where, stand in its environment.
const (
	envRole  = "CSPINE_TEST_ROLE"
	envStore = "CSPINE_TEST_STORE"
	envLimit = "CSPINE_TEST_LIMIT" // bytes that the system lets it write to a file
)

func TestMain(m *testing.M) {
	role, ok := map[string]func(context.Context, *artifacts.Store) error{"rounds": doRounds, "limited": doLimited}[os.Getenv(envRole)]
	if !ok {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	s, err := artifacts.Open(ctx, os.Getenv(envStore), &artifacts.Options{NoFlush: os.Getenv(envLimit) != ""})
	if err == nil {
		err = role(ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(role, folder string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), envRole+"="+role, envStore+"="+folder), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// openAt opens a store that is thrown away, and so need not survive the machine.
func openAt(t *testing.T, location string) *artifacts.Store {
	t.Helper()
	s, err := artifacts.Open(t.Context(), location, &artifacts.Options{NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantSound fails the test if a store is not sound, and returns how many records it has.
func wantSound(t *testing.T, s *artifacts.Store) int {
	t.Helper()
	records, err := artifactstest.CheckSound(t.Context(), s)
	if err != nil {
		t.Error(err)
	}
	return records
}

func theRecipe(round, i int) artifacts.Recipe {
	return artifacts.Recipe{Transform: "child", Params: []artifacts.Param{{Name: "round", Value: strconv.Itoa(round)}, {Name: "i", Value: strconv.Itoa(i)}}}
}

// theContent returns bytes that do not compress, the same for the same seed.
func theContent(seed uint64, n int) artifacts.Content {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(data)
	return artifacts.Content{Data: data, Encoding: artifacts.Identity}
}

const recipesARound = 20

// doRounds does a round of recipes for each line that it reads, a round's number. The bytes it makes are others than every other process's,
// which shows who won; it reads what it ended with, and prints its digest.
func doRounds(ctx context.Context, s *artifacts.Store) error {
	for rounds := bufio.NewScanner(os.Stdin); rounds.Scan(); {
		round, err := strconv.Atoi(rounds.Text())
		if err != nil {
			return err
		}
		for i := range recipesARound {
			r, err := s.Do(ctx, theRecipe(round, i), func(context.Context) (artifacts.Content, error) {
				return theContent(rand.Uint64(), 50_000), nil
			})
			if err != nil {
				return err
			}
			if data, err := s.Get(ctx, r.Output.Digest); err != nil || len(data) != 50_000 {
				return fmt.Errorf("read %d bytes: %w", len(data), err)
			}
			fmt.Println(r.Output.Digest)
		}
	}
	return nil
}

// full returns the one number where a test is to be quick, and the other where CSPINE_TEST_FULL is set.
func full(quick, all int) int {
	if os.Getenv("CSPINE_TEST_FULL") != "" {
		return all
	}
	return quick
}

// worker is a child that does rounds.
type worker struct {
	*exec.Cmd
	begin  interface{ Write([]byte) (int, error) }
	finish func() error
	lines  *bufio.Scanner // the digests
}

func startWorker(t *testing.T, folder string) *worker {
	t.Helper()
	w := &worker{Cmd: child("rounds", folder)}
	in, err := w.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.begin, w.lines = in, bufio.NewScanner(out)
	w.finish = func() error { return errors.Join(in.Close(), w.Wait()) }
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestProcessesOnOneStoreEndWithOneDigestARecipe(t *testing.T) {
	const processes = 8
	rounds := full(4, 50)
	folder := t.TempDir()
	workers := make([]*worker, processes)
	for i := range workers {
		workers[i] = startWorker(t, folder)
	}
	for round := range rounds {
		for _, w := range workers {
			fmt.Fprintln(w.begin, round)
		}
		for i := range recipesARound {
			digests := map[string]bool{}
			for _, w := range workers {
				if !w.lines.Scan() {
					t.Fatalf("round %d: a process ended: %v", round, w.lines.Err())
				}
				digests[w.lines.Text()] = true
			}
			if len(digests) != 1 {
				t.Errorf("round %d, recipe %d: processes ended with %d digests", round, i, len(digests))
			}
		}
	}
	for _, w := range workers {
		if err := w.finish(); err != nil {
			t.Error(err)
		}
	}
	if records := wantSound(t, openAt(t, folder)); records != rounds*recipesARound {
		t.Errorf("%d records, want %d", records, rounds*recipesARound)
	}
}

func TestKilledWriterLeavesASoundStore(t *testing.T) {
	folder := t.TempDir()
	least := 0
	for round := range full(4, 50) {
		w := startWorker(t, folder)
		fmt.Fprintln(w.begin, round)
		for range 3 { // in the middle of its work
			w.lines.Scan()
		}
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		_ = w.Process.Kill()
		_ = w.Wait()
		least += 3
		records := wantSound(t, openAt(t, folder))
		if records < least {
			t.Errorf("%d records are left of at least %d", records, least)
		}
		least = records
	}
}

// The points at which a disk gets full.
const points = 20

// doGrowing does recipes whose contents are larger each time, as far as it comes.
func doGrowing(ctx context.Context, s *artifacts.Store) (outputs []artifacts.Output, err error) {
	for i := range points {
		r, err := s.Do(ctx, theRecipe(0, i), func(context.Context) (artifacts.Content, error) {
			return theContent(uint64(i), 2000+5000*i), nil
		})
		if err != nil {
			return outputs, err
		}
		outputs = append(outputs, r.Output)
	}
	return outputs, nil
}

// doLimited does growing recipes until the system lets it write no more.
func doLimited(ctx context.Context, s *artifacts.Store) error {
	limit, err := strconv.ParseUint(os.Getenv(envLimit), 10, 64)
	if err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	_, err = doGrowing(ctx, s)
	return wantFull(err, syscall.EFBIG)
}

// wantFull checks that an error is of this kind and says which file of the store could not be written.
func wantFull(err error, kind syscall.Errno) error {
	if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), kind.Error()) || !strings.Contains(fmt.Sprint(err), "artifacts: ") {
		return fmt.Errorf("error is %w, want %w and where", err, kind)
	}
	return nil
}

func TestFullDiskIsAnErrorAndLeavesASoundStoreThatGoesOn(t *testing.T) {
	want, err := doGrowing(t.Context(), openAt(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	resume := func(t *testing.T, folder string) {
		t.Helper()
		s := openAt(t, folder)
		wantSound(t, s)
		wantNothingUnfinished(t, folder)
		got, err := doGrowing(t.Context(), s)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("resumed: %v, %v", got, err)
		}
		wantSound(t, s)
	}
	t.Run("limited files", func(t *testing.T) {
		for point := range points {
			folder := t.TempDir()
			limit := fmt.Sprint(envLimit, "=", 1000+5000*point)
			if err := child("limited", folder, limit).Run(); err != nil {
				t.Fatalf("point %d: %v", point, err)
			}
			resume(t, folder)
		}
	})
	t.Run("small disk", func(t *testing.T) {
		disk := smallDisk(t, 4<<20)
		ballast := filepath.Join(disk, "ballast")
		need := 0
		for _, o := range want {
			need += int(o.Stored)
		}
		for point := range points {
			leave := need * point / points
			fill(t, ballast, leave)
			folder := filepath.Join(disk, "store")
			s, err := artifacts.Open(t.Context(), folder, nil)
			if err == nil {
				_, err = doGrowing(t.Context(), s)
			}
			if err := wantFull(err, syscall.ENOSPC); err != nil {
				t.Errorf("%d bytes of room: %v", leave, err)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			resume(t, folder)
			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// smallDisk mounts a file system of a few bytes for the time of a test, which is skipped where that can't be.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %v: %s", err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", disk).Run(); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// fill writes a file that leaves no more than so many bytes of a disk, to a page.
func fill(t *testing.T, name string, leave int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := 0
	for err == nil {
		var n int
		n, err = f.Write(make([]byte, 4096))
		size += n
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(max(0, size-leave))); err != nil {
		t.Fatal(err)
	}
}

// wantNothingUnfinished fails the test if a store holds temporary files.
func wantNothingUnfinished(t *testing.T, folder string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(folder, "tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Errorf("%s was left", f.Name())
	}
}
