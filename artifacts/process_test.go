//go:build unix

package artifacts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a child process is to do, and where, stand in its environment.
const (
	envRole  = "CSPINE_TEST_ROLE"
	envStore = "CSPINE_TEST_STORE"
)

func TestMain(m *testing.M) {
	role, ok := map[string]func(*Store) error{"write": writeRecipes, "no room": writeWithoutRoom}[os.Getenv(envRole)]
	if !ok {
		os.Exit(m.Run())
	}
	s, err := Open(context.Background(), os.Getenv(envStore), nil)
	if err == nil {
		err = role(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(role, folder string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"="+role, envStore+"="+folder)
	cmd.Stderr = os.Stderr
	return cmd
}

const childRecipes = 40

func childRecipe(i int) Recipe {
	return Recipe{Transform: "child", Params: []Param{{"i", strconv.Itoa(i)}}}
}

// writeRecipes does all recipes, with other bytes each time, and prints the digests it ends with.
func writeRecipes(s *Store) error {
	for i := range childRecipes {
		r, err := s.Do(context.Background(), childRecipe(i), func(context.Context) (Content, error) {
			data := make([]byte, 50_000)
			for j := range data {
				data[j] = byte(rand.Uint32())
			}
			return Content{Data: data}, nil
		})
		if err != nil {
			return err
		}
		if _, err := s.Get(context.Background(), r.Output.Digest); err != nil {
			return err
		}
		fmt.Println(r.Output.Digest)
	}
	return nil
}

// writeWithoutRoom writes more than the system lets it.
func writeWithoutRoom(s *Store) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20_000, Max: 20_000}); err != nil {
		return err
	}
	_, err := s.Put(context.Background(), Content{Data: make([]byte, 50_000), Encoding: Identity})
	if !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("error is %w, want %w", err, syscall.EFBIG)
	}
	return nil
}

func TestProcessesOnOneStoreEndWithOneDigestARecipe(t *testing.T) {
	folder := t.TempDir()
	const processes = 4
	var outputs [processes]strings.Builder
	var running [processes]*exec.Cmd
	for i := range running {
		running[i] = child("write", folder)
		running[i].Stdout = &outputs[i]
		if err := running[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if outputs[i].String() != outputs[0].String() || strings.Count(outputs[i].String(), "\n") != childRecipes {
			t.Error("two processes ended with different digests")
		}
	}
}

func TestKilledWriterLeavesASoundStore(t *testing.T) {
	folder := t.TempDir()
	for range 5 {
		cmd := child("write", folder)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for range 3 { // in the middle of its work
			_, _ = lines.ReadString('\n')
		}
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()

		s := openFolder(t, folder)
		records := 0
		for r, err := range s.Records(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(t.Context(), r.Output.Digest); err != nil {
				t.Error(err)
			}
			if _, hit, err := s.Lookup(t.Context(), r.RecipeDigest); !hit {
				t.Errorf("a record misses: %v", err)
			}
			if err := s.RemoveRecord(t.Context(), r.RecipeDigest); err != nil {
				t.Error(err)
			}
			records++
		}
		if records < 2 {
			t.Errorf("%d records before the kill", records)
		}
	}
}

func TestFullDiskLeavesNothingBehind(t *testing.T) {
	folder := t.TempDir()
	put(t, openFolder(t, folder), Content{Data: []byte("x")})
	if err := child("no room", folder).Run(); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{tempFolder, objectsFolder} {
		_ = filepath.WalkDir(filepath.Join(folder, sub), func(path string, e os.DirEntry, err error) error {
			if info, infoErr := os.Stat(path); err == nil && infoErr == nil && info.Size() >= 20_000 {
				t.Errorf("%s was left", path)
			}
			return err
		})
	}
	put(t, openFolder(t, folder), Content{Data: make([]byte, 50_000), Encoding: Identity})
}
