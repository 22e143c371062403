// Command cspine turns raw CT studies into training-ready vertebra crops and keeps every intermediate
// result as a cached artifact.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	_ "github.com/cspine/cspine/artifacts/cloud" // s3://, gs://, azblob://
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/pipelines/runners"
	"github.com/cspine/cspine/transforms"
)

// The exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1 // the command could not do its work
	exitUsage  = 2 // the command was asked the wrong way
	exitFound  = 3 // the work is done, but something was found: studies in quarantine, or damage
)

// exitError carries an exit code. An empty message means that the command has said everything.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	// A distributed runner starts this same binary as its worker.
	limitMemory()
	if runners.AsWorker(os.Args[1:]) {
		fmt.Fprintln(os.Stderr, "cspine:", runners.Work(os.Args[1:]))
		os.Exit(exitFailed)
	}
	if slices.Equal(os.Args[1:], []string{transforms.ApartArgument}) {
		os.Exit(guarded(os.Stderr, func() int {
			if err := transforms.ServeApart(context.Background(), os.Stdin, os.Stdout); err != nil {
				return exitFailed
			}
			return exitOK
		}))
	}
	os.Exit(guarded(os.Stderr, func() int { return run(os.Args[1:], os.Stdout, os.Stderr) }))
}

// guarded keeps a panic's text from the terminal: it may quote what was read. Its place is told.
func guarded(stderr io.Writer, work func() int) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintln(stderr, "cspine:", refusal.Recovered(p))
			code = exitFailed
		}
	}()
	return work()
}

// run is main without the process, so that tests can call it.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(stderr, "cspine:", exit.err)
		}
		return exit.code
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "cspine: interrupted; finished work is kept, run the same command to go on")
		return exitFailed
	}
	fmt.Fprintln(stderr, "cspine:", err)
	return exitFailed
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var verbose bool
	root := &cobra.Command{
		Use:   "cspine",
		Short: "From raw CT studies to a cervical-spine fracture detector, every step cached",
		Long: `cspine turns raw CT studies into training-ready vertebra crops and keeps every
intermediate result as a cached artifact: after a new model, only what it
changes is computed again.

Exit status of every command: 0 all good, 1 failed, 2 wrong usage,
3 done, but something was found: studies in quarantine, or damage.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			handler := slog.DiscardHandler
			if verbose {
				handler = slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
			}
			slog.SetDefault(slog.New(handler))
		},
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.PersistentFlags().BoolVar(&verbose, "verbose", false, "log what the runner does")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; see '%s --help'", err, c.CommandPath())
	})
	root.AddCommand(newPrepare(), newPlan(), newPredict(), newExport(), newInspect(), newWhy(), newLineage(), newPhantom(), newModel(), newTrain(), newEvaluate(), newView(), newReport(), newVerify(), newGC(), newDoctor())
	asUsage(root)
	return root
}

// asUsage makes wrong arguments of every command below c an error of usage. A command that only groups others prints
// its help where none of them is named.
func asUsage(c *cobra.Command) {
	path := c.CommandPath()
	for _, below := range c.Commands() {
		asUsage(below)
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.Args = func(_ *cobra.Command, given []string) error {
			if len(given) > 0 {
				return usage("there is no command %q; see '%s --help'", given[0], path)
			}
			return nil
		}
		c.RunE = func(c *cobra.Command, _ []string) error {
			_ = c.Help()
			return &exitError{code: exitUsage}
		}
		return
	}
	args := c.Args
	if args == nil {
		args = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, given []string) error {
		if err := args(c, given); err != nil {
			return usage("%w; see '%s --help'", err, path)
		}
		return nil
	}
}
