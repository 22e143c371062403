package view

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/cspine/cspine/transforms"
)

// running is a run that is under way.
type running struct {
	transforms.UnderWay
}

// Path is where its news come from.
func (r running) Path() string { return href("live", r.Run, r.ID) }

func (s *Server) running(ctx context.Context) (all []running, err error) {
	under, err := transforms.RunsUnderWay(ctx, s.store)
	for _, u := range under {
		all = append(all, running{u})
	}
	return all, err
}

// live tells how far a run is, as often as that changes, as server-sent events (HTML standard, 9.2): "progress" with an UnderWay as JSON, and "end".
func (s *Server) live(w http.ResponseWriter, r *http.Request) error {
	ref := refOf(r)
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for last := (time.Time{}); ; {
		under, err := s.running(r.Context())
		if err != nil {
			return err
		}
		at := -1
		for i, u := range under {
			if u.Run == ref.Name && u.ID == ref.ID {
				at = i
			}
		}
		if at < 0 {
			_, _ = fmt.Fprint(w, "event: end\ndata: {}\n\n")
			return flush.Flush()
		}
		if u := under[at].UnderWay; u.Told.After(last) {
			last = u.Told
			data, err := json.Marshal(u)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "event: progress\ndata: %s\n\n", data); err != nil {
				return nil // nobody listens any more
			}
			if err := flush.Flush(); err != nil {
				return nil
			}
		}
		select {
		case <-every.C:
		case <-r.Context().Done():
			return nil
		case <-s.ctx.Done():
			return nil
		}
	}
}
