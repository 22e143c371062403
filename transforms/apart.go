package transforms

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"sync"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/refusal"
)

// A study may end the process that works on it: by memory that the system does not give, or by a fault in native code. On a cluster such a
// study would end worker after worker, and at last the run. Apart works on elements in a child process, so that the worker stays. All elements of
// a process share one child, and with it what a process has once. If it ends, each element that was in it is tried again in a child of its own, one at a
// time: that which ends this one, too, is refused.

// CodeEnded is the reason of a study that ended the processes that worked on it.
const CodeEnded refusal.Code = "process_ended"

// ApartArgument, alone, makes the program a child: main then calls ServeApart.
const ApartArgument = "--apart"

// child tells whether this process is one.
var child bool

// Apart tells whether a DoFn hands its elements to WorkApart.
func (s Site) Apart() bool { return s.Isolate && !s.Plan && !child }

// task is what a child is to do, and answer what came of it.
type task struct {
	ID      int
	Fn      string          // type of the DoFn
	With    json.RawMessage // its fields
	Element json.RawMessage
}

type answer struct {
	ID      int
	Emitted []json.RawMessage
	Rows    []artifacts.Row
	Err     string
}

var processors = map[string]func(context.Context, task) (emitted []any, rows []artifacts.Row, err error){}

// WorksApart registers, in init, how a child processes an element of DoFn F.
func WorksApart[F, In, Out any](process func(ctx context.Context, f *F, in In, emit func(Out), outcome func(artifacts.Row)) error) {
	processors[reflect.TypeFor[F]().String()] = func(ctx context.Context, t task) (emitted []any, rows []artifacts.Row, err error) {
		f, in := new(F), *new(In)
		if err := errors.Join(json.Unmarshal(t.With, f), json.Unmarshal(t.Element, &in)); err != nil {
			return nil, nil, err
		}
		err = process(ctx, f, in, func(out Out) { emitted = append(emitted, out) }, func(row artifacts.Row) { rows = append(rows, row) })
		return emitted, rows, err
	}
}

// WorkApart processes an element of DoFn f in a child. Step and subject are those of the row if that ends.
func WorkApart[F, In, Out any](ctx context.Context, f *F, step, subject string, in In, emit func(Out), outcome func(artifacts.Row)) error {
	with, err := json.Marshal(f)
	if err != nil {
		return err
	}
	element, err := json.Marshal(in)
	if err != nil {
		return err
	}
	report := func(row artifacts.Row) {
		observe(row)
		outcome(row)
	}
	a, err := children.do(ctx, task{Fn: reflect.TypeFor[F]().String(), With: with, Element: element})
	var ended *endedError
	if errors.As(err, &ended) {
		report(artifacts.Row{Step: step, Subject: subject, Verdict: Refused, Reason: string(CodeEnded), Detail: ended.Error(),
			Remedy: "if it was killed, give workers more memory or let fewer studies be worked on at a time; else send us the study's kind: 'cspine inspect' describes it"})
		return nil
	}
	if err != nil {
		return err
	}
	for _, row := range a.Rows {
		report(row)
	}
	for _, raw := range a.Emitted {
		var out Out
		if err := json.Unmarshal(raw, &out); err != nil {
			return err
		}
		emit(out)
	}
	if a.Err != "" {
		return errors.New(a.Err)
	}
	return nil
}

// ServeApart does the tasks that come in, side by side, until there are no more: what a child does.
func ServeApart(ctx context.Context, in io.Reader, out io.Writer) error {
	child = true
	sacrifice()
	var mu sync.Mutex
	answers := json.NewEncoder(out)
	var failed error
	var working sync.WaitGroup
	tasks := json.NewDecoder(bufio.NewReader(in))
	for {
		var t task
		if err := tasks.Decode(&t); err != nil {
			working.Wait()
			if errors.Is(err, io.EOF) {
				return failed
			}
			return err
		}
		working.Go(func() {
			a := serve(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			if err := answers.Encode(a); err != nil {
				failed = err
			}
		})
	}
}

func serve(ctx context.Context, t task) (a answer) {
	a.ID = t.ID
	defer func() {
		if p := recover(); p != nil {
			a.Err = refusal.Recovered(p).Error()
		}
	}()
	process, ok := processors[t.Fn]
	if !ok {
		return answer{ID: t.ID, Err: "no child knows " + t.Fn}
	}
	emitted, rows, err := process(ctx, t)
	a.Rows = rows
	for _, e := range emitted {
		raw, jsonErr := json.Marshal(e)
		err = cmp.Or(err, jsonErr)
		a.Emitted = append(a.Emitted, raw)
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

// endedError is a child that ended before it answered.
type endedError struct{ state string }

func (e *endedError) Error() string {
	return "the process that worked on it ended without an answer, twice: " + e.state
}

// family are the children of this process.
type family struct {
	mu     sync.Mutex
	shared *offspring
	alone  sync.Mutex // held while a child has but one task
	start  func() *exec.Cmd
}

var children = family{start: func() *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return exec.Command(self, ApartArgument)
}}

// do has a task done by the shared child, or if that ends by one alone.
func (f *family) do(ctx context.Context, t task) (answer, error) {
	o, err := f.take()
	if err != nil {
		return answer{}, err
	}
	a, err := o.ask(ctx, t)
	var ended *endedError
	if !errors.As(err, &ended) || ctx.Err() != nil {
		return a, err
	}
	f.alone.Lock()
	defer f.alone.Unlock()
	if o, err = bear(f.start()); err != nil {
		return a, err
	}
	defer o.leave()
	return o.ask(ctx, t)
}

// take returns the shared child, a new one if it has ended.
func (f *family) take() (*offspring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shared != nil && !f.shared.gone() {
		return f.shared, nil
	}
	o, err := bear(f.start())
	f.shared = o
	return o, err
}

// offspring is one child process.
type offspring struct {
	in    io.WriteCloser
	ended chan struct{}
	state string // how, once it has

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
}

// bear starts a child. It ends with its input, and so with this process.
func bear(cmd *exec.Cmd) (*offspring, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process to work in: %w", err)
	}
	o := &offspring{in: in, ended: make(chan struct{}), waiting: map[int]chan answer{}}
	go func() {
		answers := json.NewDecoder(bufio.NewReader(out))
		for {
			var a answer
			if answers.Decode(&a) != nil {
				break
			}
			o.mu.Lock()
			waiter := o.waiting[a.ID]
			delete(o.waiting, a.ID)
			o.mu.Unlock()
			if waiter != nil {
				waiter <- a
			}
		}
		_ = in.Close()
		_ = cmd.Wait()
		o.state = cmd.ProcessState.String()
		close(o.ended)
	}()
	return o, nil
}

func (o *offspring) gone() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}

// leave lets the child end.
func (o *offspring) leave() {
	_ = o.in.Close()
	<-o.ended
}

func (o *offspring) ask(ctx context.Context, t task) (answer, error) {
	got := make(chan answer, 1)
	o.mu.Lock()
	o.next++
	t.ID = o.next
	o.waiting[t.ID] = got
	text, err := json.Marshal(t)
	if err == nil {
		_, _ = o.in.Write(append(text, '\n')) // a child that ended is seen below
	}
	o.mu.Unlock()
	if err != nil {
		return answer{}, err
	}
	select {
	case a := <-got:
		return a, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-o.ended:
	}
	select { // it may have answered first
	case a := <-got:
		return a, nil
	default:
		return answer{}, &endedError{o.state}
	}
}

// Keyed is what a child emits where a DoFn emits a key and a value.
type Keyed[V any] struct {
	Key   int
	Value V
}
