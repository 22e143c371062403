package view

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/transforms"
)

func TestARunUnderWayIsSeenToGoOnAndToEnd(t *testing.T) {
	store, err := artifacts.Open(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	say := func(done int) {
		t.Helper()
		word, err := json.Marshal(transforms.UnderWay{Run: "first", ID: "20260102T030405.000Z", Begun: time.Now(), Told: time.Now(),
			Steps: []transforms.StepUnderWay{{Step: "index", Done: done, Total: 7, Computed: done, Seconds: 1.5}}, Refused: 1})
		if err == nil {
			err = store.PutNamed(t.Context(), transforms.UnderWayKey("first", "20260102T030405.000Z"), word)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	say(2)
	b := openStore(t, store, Options{Token: "the-token"})
	b.page("/", "Under way: run first", `data-live="/live/first/20260102T030405.000Z"`, "2 of 7", "This store has no run that ended")

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+"/live/first/20260102T030405.000Z", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.AddCookie(&http.Cookie{Name: b.cookie(), Value: b.pages.Token()})
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("content type %q", got)
	}
	lines := bufio.NewScanner(answer.Body)
	next := func() (event string, u transforms.UnderWay) {
		t.Helper()
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				event = value
			case "data":
				if err := json.Unmarshal([]byte(value), &u); err != nil {
					t.Fatal(err)
				}
				return event, u
			}
		}
		t.Fatal("the events end", lines.Err())
		return "", u
	}
	if event, u := next(); event != "progress" || u.Steps[0].Done != 2 || u.Refused != 1 {
		t.Errorf("%s %+v", event, u)
	}
	say(5)
	if event, u := next(); event != "progress" || u.Steps[0].Done != 5 {
		t.Errorf("%s %+v", event, u)
	}
	if err := store.DeleteNamed(t.Context(), transforms.UnderWayKey("first", "20260102T030405.000Z")); err != nil {
		t.Fatal(err)
	}
	if event, _ := next(); event != "end" {
		t.Errorf("%s after the run's end", event)
	}
}
