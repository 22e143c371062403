package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows how far each step is: bars on a terminal, a plain line now and then elsewhere.
type progress struct {
	out   io.Writer
	quiet bool
	bars  *mpb.Progress // nil unless on a terminal
	steps []*stepProgress
}

type stepProgress struct {
	name  string
	total int
	bar   *mpb.Bar
	p     *progress

	mu     sync.Mutex
	n      int
	start  time.Time
	shown  time.Time
	closed bool
}

func newProgress(out io.Writer, quiet bool) *progress {
	p := &progress{out: out, quiet: quiet}
	if f, ok := out.(*os.File); ok && !quiet && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
	}
	return p
}

// step adds a step of total units.
func (p *progress) step(name string, total int) *stepProgress {
	s := &stepProgress{name: name, total: total, p: p}
	if p.bars != nil {
		s.bar = p.bars.AddBar(int64(total),
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), decor.CountersNoUnit("%d/%d", decor.WCSyncSpace)),
			mpb.AppendDecorators(decor.AverageSpeed(0, "%.1f/s", decor.WCSyncSpace),
				decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), "")))
	}
	p.steps = append(p.steps, s)
	return s
}

// add counts one more unit.
func (s *stepProgress) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(s.n + 1)
}

// to sets how many units are done.
func (s *stepProgress) to(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(n)
}

// plainEvery is how often a step says where it is when there is no terminal.
const plainEvery = 10 * time.Second

func (s *stepProgress) set(n int) {
	now := time.Now()
	if s.start.IsZero() {
		s.start, s.shown = now, now
	}
	s.n = n
	switch {
	case s.bar != nil:
		s.bar.SetCurrent(int64(n))
	case s.p.quiet || s.closed:
	case n >= s.total || now.Sub(s.shown) >= plainEvery:
		s.shown, s.closed = now, n >= s.total
		fmt.Fprintf(s.p.out, "%-9s %d/%d  %s\n", s.name, n, s.total, now.Sub(s.start).Round(100*time.Millisecond))
	}
}

// done ends the display. Steps that did not reach their total stay as they are.
func (p *progress) done() {
	if p.bars == nil {
		return
	}
	for _, s := range p.steps {
		if !s.bar.Completed() {
			s.bar.Abort(false)
		}
	}
	p.bars.Wait()
}
