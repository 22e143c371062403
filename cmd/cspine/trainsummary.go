package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/pipelines"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/manifest"
	"github.com/cspine/cspine/transforms/train"
)

// trained is what the summary says of a task.
type trained struct {
	Task     string      `json:"task"`
	Model    string      `json:"model,omitempty"` // the artifact
	File     string      `json:"file,omitempty"`  // in the store
	Cached   bool        `json:"cached"`
	Seconds  float64     `json:"seconds,omitempty"`
	Note     *train.Note `json:"training,omitempty"`
	Reason   string      `json:"reason,omitempty"`
	Detail   string      `json:"detail,omitempty"`
	Remedy   string      `json:"remedy,omitempty"`
	Exported string      `json:"out,omitempty"`
}

func (t *trainFlags) conclude(ctx context.Context, out io.Writer, store *artifacts.Store, opts pipelines.TrainOptions) error {
	ctx, interrupted := context.WithoutCancel(ctx), ctx.Err() != nil
	rows, err := manifest.Read(ctx, store, manifest.Key(opts.Run, opts.ID))
	if err != nil {
		return err
	}
	var all []trained
	failed := 0
	for _, task := range opts.Tasks {
		s := trained{Task: task.Name()}
		for _, row := range rows {
			if row.Subject != s.Task {
				continue
			}
			if row.Verdict == transforms.Refused {
				s.Reason, s.Detail, s.Remedy = row.Reason, row.Detail, row.Remedy
				failed++
				break
			}
			s.Model, s.Cached, s.Seconds, s.File = row.Digest, row.Hit, row.Seconds, train.ModelKey(opts.Run, task)
			if s.Note, err = train.ReadNote(ctx, store, row); err != nil {
				return err
			}
			if s.Exported, err = t.export(ctx, store, task, row.Digest); err != nil {
				return err
			}
		}
		all = append(all, s)
	}
	if t.json {
		if err := writeJSON(out, all); err != nil {
			return err
		}
	} else {
		for _, s := range all {
			s.print(out)
		}
	}
	switch {
	case interrupted:
		return &exitError{exitFailed, errors.New("interrupted; checkpoints are saved, run the same command to go on")}
	case failed > 0:
		return &exitError{exitFailed, fmt.Errorf("%d of %d trainings failed", failed, len(all))}
	}
	return nil
}

// export writes the model to the file that --out names.
func (t *trainFlags) export(ctx context.Context, store *artifacts.Store, task train.Task, digest string) (string, error) {
	if t.out == "" {
		return "", nil
	}
	path := t.out
	if t.folds {
		path = ofFold(path, task.Fold)
	}
	file, err := content(ctx, store, digest)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, file, 0o666)
}

func (s *trained) print(out io.Writer) {
	if s.Reason != "" {
		fmt.Fprintf(out, "%-14s %s: %s\n", s.Task, s.Reason, s.Detail)
		if s.Remedy != "" {
			fmt.Fprintf(out, "%-14s → %s\n", "", s.Remedy)
		}
		return
	}
	how := "known"
	if !s.Cached {
		how = time.Duration(s.Seconds * float64(time.Second)).Round(time.Second).String()
	}
	fmt.Fprintf(out, "%-14s %s", s.Task, how)
	if n := s.Note; n != nil {
		fmt.Fprintf(out, ", %d studies, %d epochs", n.Train, n.Epochs)
		if n.Unlabelled > 0 {
			fmt.Fprintf(out, ", %d samples without a label left out", n.Unlabelled)
		}
		if v := n.Validation; v != nil {
			fmt.Fprintf(out, ", best %d: %s on %d held-out studies, C1-C7", n.BestEpoch, v.Headline(), v.Studies)
			for _, x := range v.Levels() {
				fmt.Fprintf(out, " %s", x)
			}
		}
	}
	fmt.Fprintf(out, "\n%-14s %s\n", "", s.File)
	if s.Exported != "" {
		fmt.Fprintf(out, "%-14s %s\n", "", s.Exported)
	}
}
