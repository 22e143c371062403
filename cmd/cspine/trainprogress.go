package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/cspine/cspine/transforms/train"
)

// trainProgress shows how far trainings are: a bar on a terminal, a line for each epoch elsewhere.
type trainProgress struct {
	out   io.Writer
	quiet bool
	tasks int
	of    int           // epochs of each
	bars  *mpb.Progress // nil unless on a terminal

	mu   sync.Mutex
	now  *trainTask
	bar  *mpb.Bar
	seen int // epochs of the present task that were shown
	told time.Time
}

// tellEvery is how long it is quiet at most where there is no terminal and an epoch takes long.
const tellEvery = 2 * time.Minute

// trainTask is the training under way.
type trainTask struct {
	task    train.Task
	began   time.Time
	first   int64 // updates when this process began
	last    train.StepInfo
	resumed bool
	// text stands beside the bar. mpb asks for it in a goroutine that must not wait for ours.
	text atomic.Pointer[string]
}

func newTrainProgress(out io.Writer, quiet bool, tasks, epochs int) *trainProgress {
	p := &trainProgress{out: out, quiet: quiet, tasks: tasks, of: epochs, told: time.Now()}
	if f, ok := out.(*os.File); ok && !quiet && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(f), mpb.WithWidth(24))
	}
	return p
}

func (p *trainProgress) observe(e train.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil || p.now.task != e.Task {
		p.now = &trainTask{task: e.Task, began: time.Now(), first: -1}
		p.bar, p.seen = nil, 0
	}
	switch {
	case e.Resumed != nil:
		p.now.resumed = true
		p.say("%-14s goes on at epoch %d, step %d\n", e.Task.Name(), e.Resumed.Epoch+1, e.Resumed.Step+1)
	case e.Step != nil:
		p.step(*e.Step)
	case e.History != nil:
		p.epochs(e.History)
	case e.Done && p.bar != nil:
		p.bar.SetTotal(-1, true)
	}
}

func (p *trainProgress) step(s train.StepInfo) {
	t := p.now
	if t.first < 0 {
		t.first = s.Updates - 1
		if p.bars != nil {
			p.bar = p.bars.AddBar(int64(s.Steps)*int64(s.Epochs),
				mpb.PrependDecorators(decor.Name(t.task.Name(), decor.WCSyncSpaceR)),
				mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
					if text := t.text.Load(); text != nil {
						return *text
					}
					return ""
				})))
		}
	}
	t.last = s
	if p.bars == nil && time.Since(p.told) >= tellEvery {
		p.say("%-14s%s\n", t.task.Name(), t.describe())
	}
	if p.bar != nil {
		text := t.describe()
		t.text.Store(&text)
		p.bar.SetCurrent(s.Updates)
	}
}

// describe is the text beside the bar.
func (t *trainTask) describe() string {
	s := t.last
	return fmt.Sprintf(" epoch %d/%d  loss %.4f  lr %.2e  %.2f samples/s  %s left", s.Epoch, s.Epochs, s.MeanLoss, s.Rate, t.speed(), t.left())
}

// speed is samples per second since this process began, measuring included.
func (t *trainTask) speed() float64 {
	return float64(t.last.Updates-t.first) * float64(t.last.Samples) / max(time.Since(t.began).Seconds(), 1e-9)
}

func (t *trainTask) left() time.Duration {
	todo := int64(t.last.Epochs)*int64(t.last.Steps) - t.last.Updates
	each := time.Since(t.began) / time.Duration(max(t.last.Updates-t.first, 1))
	return (time.Duration(todo) * each).Round(time.Second)
}

// epochs writes a line for each epoch that is new.
func (p *trainProgress) epochs(history []train.Epoch) {
	if p.seen == 0 && p.now.resumed && p.now.first < 0 {
		p.seen = len(history) // another process has shown them
	}
	for _, e := range history[p.seen:] {
		line := fmt.Sprintf("%-14s epoch %d/%d  loss %.4f  lr %.2e", p.now.task.Name(), e.Epoch, p.of, e.Loss, e.Rate)
		if v := e.Validation; v != nil {
			line += "  held out: " + v.String()
		}
		if p.now.first >= 0 {
			line += fmt.Sprintf("  %.2f samples/s  %s left", p.now.speed(), p.now.left())
		}
		if e.Best {
			line += "  best"
		}
		p.say("%s\n", line)
	}
	p.seen = len(history)
}

func (p *trainProgress) say(format string, args ...any) {
	p.told = time.Now()
	switch {
	case p.quiet:
	case p.bars != nil:
		fmt.Fprintf(p.bars, format, args...)
	default:
		fmt.Fprintf(p.out, format, args...)
	}
}

// done ends the display. A training that did not come to its end stays as it is.
func (p *trainProgress) done() {
	if p.bars == nil {
		return
	}
	p.mu.Lock()
	bar := p.bar
	p.mu.Unlock()
	if bar != nil && !bar.Completed() {
		bar.Abort(false)
	}
	p.bars.Wait()
}
