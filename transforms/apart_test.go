package transforms

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cspine/cspine/artifacts"
)

// The test's own binary is the child.
func TestMain(m *testing.M) {
	if os.Getenv("CSPINE_TEST_APART") != "" {
		if err := ServeApart(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// lengthFn emits the length of a word, and a row.
type lengthFn struct {
	Site
	Add int
}

func init() {
	WorksApart(func(ctx context.Context, f *lengthFn, in string, emit func(int), outcome func(artifacts.Row)) error {
		return f.ProcessElement(ctx, in, emit, outcome)
	})
}

func (f *lengthFn) ProcessElement(ctx context.Context, word string, emit func(int), outcome func(artifacts.Row)) error {
	if f.Apart() {
		return WorkApart(ctx, f, "length", word, word, emit, outcome)
	}
	switch word {
	case "poison":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	case "slow":
		time.Sleep(200 * time.Millisecond)
	case "fatal":
		return errors.New("the disk is full")
	case "panic":
		panic("no")
	case "pid":
		emit(os.Getpid())
		return nil
	}
	outcome(artifacts.Row{Step: "length", Subject: word, Verdict: OK})
	emit(len(word) + f.Add)
	return nil
}

// apart processes a word in a child, and returns what it emits and reports.
func apart(t *testing.T, word string) (emitted []int, rows []artifacts.Row, err error) {
	t.Helper()
	f := &lengthFn{Site: Site{Isolate: true}, Add: 100}
	err = f.ProcessElement(t.Context(), word, func(n int) { emitted = append(emitted, n) }, func(r artifacts.Row) { rows = append(rows, r) })
	return emitted, rows, err
}

// ownChildren gives the test children of its own, and counts them.
func ownChildren(t *testing.T) *atomic.Int32 {
	var born atomic.Int32
	before := children.start
	children.start = func() *exec.Cmd {
		born.Add(1)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "CSPINE_TEST_APART=1")
		return cmd
	}
	t.Cleanup(func() {
		if children.shared != nil {
			children.shared.leave()
		}
		children.shared, children.start = nil, before
	})
	return &born
}

func TestAnElementIsProcessedInAChild(t *testing.T) {
	born := ownChildren(t)
	var seen []artifacts.Row
	defer Observe(func(r artifacts.Row) { seen = append(seen, r) })()
	emitted, rows, err := apart(t, "four")
	if err != nil || len(emitted) != 1 || emitted[0] != 104 || len(rows) != 1 || rows[0].Subject != "four" || len(seen) != 1 {
		t.Errorf("%v, %v, %v, observed %v", emitted, rows, err, seen)
	}
	pid, _, err := apart(t, "pid")
	if err != nil || pid[0] == os.Getpid() || born.Load() != 1 {
		t.Errorf("process %v, %v; ours is %d, children were %d", pid, err, os.Getpid(), born.Load())
	}
}

func TestWhatEndsItsProcessTwiceIsRefusedAndTheOthersAreNot(t *testing.T) {
	born := ownChildren(t)
	words := []string{"slow", "a", "poison", "slow", "slow", "b"}
	var wg sync.WaitGroup
	for _, word := range words {
		wg.Go(func() {
			emitted, rows, err := apart(t, word)
			switch {
			case err != nil || len(rows) != 1:
				t.Errorf("%s: %v, %v", word, rows, err)
			case word == "poison":
				if r := rows[0]; len(emitted) != 0 || r.Verdict != Refused || r.Reason != "process_ended" || r.Step != "length" || r.Subject != word || !strings.Contains(r.Detail, "killed") {
					t.Errorf("%+v, emitted %v", r, emitted)
				}
			case len(emitted) != 1 || emitted[0] != 100+len(word) || rows[0].Verdict != OK:
				t.Errorf("%s: %v, %+v", word, emitted, rows)
			}
		})
	}
	wg.Wait()
	if n := born.Load(); n < 2 || n > 2+int32(len(words)) {
		t.Errorf("%d children", n)
	}
}

func TestWhatEndsTheRunInAChildEndsItHere(t *testing.T) {
	ownChildren(t)
	if _, _, err := apart(t, "fatal"); err == nil || err.Error() != "the disk is full" {
		t.Error(err)
	}
	if _, _, err := apart(t, "panic"); err == nil {
		t.Error("a panic was lost")
	}
	if emitted, _, err := apart(t, "after"); err != nil || len(emitted) != 1 {
		t.Errorf("%v, %v: the child should live", emitted, err)
	}
}
