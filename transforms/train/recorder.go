package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cspine/cspine/artifacts"
)

// recorder writes the records of a training wherever they are wanted, after each epoch.
type recorder struct {
	store *artifacts.Store
	dir   string // in the store
	logs  string // a local folder; empty for none
	task  Task
}

func (r *recorder) write(ctx context.Context, history []Epoch) error {
	ctx = context.WithoutCancel(ctx) // an epoch that is done is recorded
	lines, err := Lines(history)
	if err != nil {
		return err
	}
	files := map[string][]byte{LinesFile: lines, EventsFile: Events(history), CurvesFile: Curves(r.task.Name(), history)}
	for name, data := range files {
		if err := r.store.PutNamed(ctx, r.dir+"/"+name, data); err != nil {
			return fmt.Errorf("train: records: %w", err)
		}
		if r.logs == "" {
			continue
		}
		if err := grow(filepath.Join(r.logs, r.task.Name(), name), data); err != nil {
			return fmt.Errorf("train: records: %w", err)
		}
	}
	return nil
}

// grow gives a file its content. Where that begins with what is there, only the rest is written, so that a program
// that follows the file (TensorBoard) goes on with it.
func grow(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(have) == 0 || !bytes.HasPrefix(data, have) {
		return os.WriteFile(path, data, 0o666)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data[len(have):])
	return errors.Join(err, f.Close())
}
