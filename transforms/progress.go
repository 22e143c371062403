package transforms

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/internal/perprocess"
)

// Where steps run in other processes than the one that shows how far they are, these leave word in the store: each a file of rows now and
// then, below the run's progress folder, which the follower reads and deletes. Nothing depends on it but what is shown.

// ProgressFolder is where the workers of a run leave word, as Site.Progress says.
func ProgressFolder(run, id string) string { return path.Join("runs", run, id+progressSuffix) }

const progressSuffix = ".progress"

// A worker leaves word this often: often at first, so that a run is seen to begin.
const (
	firstWord = 2 * time.Second
	lastWord  = 30 * time.Second
)

var tellers perprocess.Shared[struct{}]

// tell makes this process leave word for the site's follower, if it has one.
func (s Site) tell(store *artifacts.Store) {
	if s.Progress == "" {
		return
	}
	_, _ = tellers.Get(s.Store+"\n"+s.Progress, func() (struct{}, error) {
		t := &teller{store: store, prefix: fmt.Sprintf("%s/%016x-", s.Progress, rand.Uint64())}
		Observe(t.add) // as long as the process lives
		go t.run()
		return struct{}{}, nil
	})
}

type teller struct {
	store  *artifacts.Store
	prefix string
	words  int

	mu   sync.Mutex
	rows []artifacts.Row
}

// add keeps of a row what progress is made of.
func (t *teller) add(row artifacts.Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, artifacts.Row{Step: row.Step, Subject: row.Subject, Part: row.Part, Verdict: row.Verdict, Reason: row.Reason, Hit: row.Hit, Seconds: row.Seconds})
}

func (t *teller) run() {
	for wait := firstWord; ; wait = min(wait*5/4, lastWord) {
		time.Sleep(wait)
		if err := t.leaveWord(context.Background()); err != nil {
			slog.Debug("progress", "error", err)
		}
	}
}

// leaveWord writes a file of the rows since the last one, if there are any.
func (t *teller) leaveWord(ctx context.Context) error {
	t.mu.Lock()
	rows := t.rows
	t.rows = nil
	t.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	data, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	t.words++
	return t.store.PutNamed(ctx, fmt.Sprintf("%s%06d.json", t.prefix, t.words), data)
}

// Follow calls f for every row that the workers of a run leave in its progress folder, until stop is called, which reads what is left there.
// f is called from one goroutine. Rows of work that was done twice come twice.
func Follow(ctx context.Context, store *artifacts.Store, folder string, f func(artifacts.Row)) (stop func()) {
	ctx = context.WithoutCancel(ctx)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		sweepProgress(ctx, store, folder)
		every := time.NewTicker(time.Second)
		defer every.Stop()
		for {
			select {
			case <-end:
				readProgress(ctx, store, folder, f)
				return
			case <-every.C:
				readProgress(ctx, store, folder, f)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(end)
		<-ended
	})
}

func readProgress(ctx context.Context, store *artifacts.Store, folder string, f func(artifacts.Row)) {
	files, err := store.ListNamed(ctx, folder+"/")
	if err != nil {
		slog.Debug("progress", "error", err)
		return
	}
	for _, file := range files {
		data, err := store.GetNamed(ctx, file.Key)
		if err != nil {
			slog.Debug("progress", "error", err)
			continue
		}
		var rows []artifacts.Row
		if err := json.NewDecoder(bytes.NewReader(data)).Decode(&rows); err != nil {
			slog.Debug("progress", "file", file.Key, "error", err)
		}
		for _, row := range rows {
			f(row)
		}
		if err := store.DeleteNamed(ctx, file.Key); err != nil {
			slog.Debug("progress", "error", err)
		}
	}
}

// sweepProgress deletes what followers that were killed left behind of runs of the same name.
func sweepProgress(ctx context.Context, store *artifacts.Store, folder string) {
	files, err := store.ListNamed(ctx, path.Dir(folder)+"/")
	if err != nil {
		return
	}
	for _, file := range files {
		if strings.Contains(file.Key, progressSuffix+"/") && !strings.HasPrefix(file.Key, folder+"/") && time.Since(file.Modified) > 24*time.Hour {
			_ = store.DeleteNamed(ctx, file.Key)
		}
	}
}
