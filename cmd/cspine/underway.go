package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
)

// herald says in the store how far a run is, for those who look on. A run that ends before the first word leaves no trace.
type herald struct {
	store *artifacts.Store

	mu    sync.Mutex
	now   transforms.UnderWay
	fresh bool // something is new since the last word
}

// A word goes out this often: to a bucket each is a request.
const heraldEvery = 2 * time.Second

// newHerald begins to tell of a run with these steps, until end is called.
func newHerald(ctx context.Context, store *artifacts.Store, run, id string, steps []*stepProgress) (h *herald, end func()) {
	h = &herald{store: store, now: transforms.UnderWay{Run: run, ID: id, Begun: time.Now().UTC()}, fresh: true}
	for _, s := range steps {
		h.now.Steps = append(h.now.Steps, transforms.StepUnderWay{Step: s.name, Total: s.total})
	}
	ctx = context.WithoutCancel(ctx)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		every := time.NewTicker(heraldEvery)
		defer every.Stop()
		told := false
		for {
			select {
			case <-every.C:
				if h.tell(ctx) && !told {
					told = true
					if err := transforms.SweepUnderWay(ctx, store, run); err != nil {
						slog.Debug("herald", "error", err)
					}
				}
			case <-stop:
				if told {
					if err := store.DeleteNamed(ctx, transforms.UnderWayKey(run, id)); err != nil {
						slog.Debug("herald", "error", err)
					}
				}
				return
			}
		}
	}()
	return h, sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
}

// passed counts a unit of a step.
func (h *herald) passed(step string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.step(step); s != nil {
		s.Done++
		h.fresh = true
	}
}

// observe counts what a row tells.
func (h *herald) observe(row artifacts.Row) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if row.Verdict == transforms.Refused {
		h.now.Refused++
	}
	if s := h.step(row.Step); s != nil && row.Verdict == transforms.OK && !row.Hit {
		s.Computed++
		s.Seconds += row.Seconds
	}
}

func (h *herald) step(name string) *transforms.StepUnderWay {
	for i := range h.now.Steps {
		if h.now.Steps[i].Step == name {
			return &h.now.Steps[i]
		}
	}
	return nil
}

// tell writes the word, also if nothing is new: that the run is still there is.
func (h *herald) tell(ctx context.Context) bool {
	h.mu.Lock()
	now := time.Now().UTC()
	if !h.fresh && now.Sub(h.now.Told) < 10*heraldEvery {
		h.mu.Unlock()
		return false
	}
	h.fresh, h.now.Told = false, now
	word, err := json.Marshal(h.now)
	key := transforms.UnderWayKey(h.now.Run, h.now.ID)
	h.mu.Unlock()
	if err == nil {
		err = h.store.PutNamed(ctx, key, append(word, '\n'))
	}
	if err != nil {
		slog.Debug("herald", "error", err)
	}
	return err == nil
}
