package runners

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cspine/cspine/internal/flink"
)

// TestAJobThatCannotBeginIsGivenUp asks a cluster whose job's tasks fail again and again, as Flink 1.19 says it.
func TestAJobThatCannotBeginIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		began   bool
		givenUp bool
	}{"no worker began": {false, true}, "workers are at work": {true, false}} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/jobs/overview":
					fmt.Fprint(w, `{"jobs":[{"jid":"a","name":"cspine0first-root-1128124938-67a71b50","start-time":10,"end-time":-1,"state":"RESTARTING"}]}`)
				case "/jobs/a/exceptions":
					n := int(asked.Add(1)) * 2
					var entries []string
					for i := range n {
						entries = append(entries, fmt.Sprintf(`{"exceptionName":"java.lang.Exception","stacktrace":"java.lang.Exception: x\nCaused by: java.lang.IllegalStateException: Process died with exit code 1\n\tat a.b(c.java:1)","timestamp":%d}`, n-i))
					}
					fmt.Fprintf(w, `{"exceptionHistory":{"entries":[%s],"truncated":false}}`, strings.Join(entries, ","))
					if asked.Load() == 3 {
						cancel() // long enough
					}
				default:
					http.NotFound(w, r)
				}
			}))
			defer server.Close()
			var said []string
			r := &Runner{Job: "cspine-first", Trouble: func(text string) { said = append(said, text) }, Began: func() bool { return c.began }}
			on := &onFlink{r: r, cluster: flink.Cluster{Address: strings.TrimPrefix(server.URL, "http://")}}
			var reason error
			on.watch(ctx, func(err error) { reason = err })
			if len(said) != 1 || !strings.Contains(said[0], "exit code 1") {
				t.Errorf("said %q", said)
			}
			if (reason != nil) != c.givenUp {
				t.Errorf("given up for %v", reason)
			}
			if c.givenUp && !strings.Contains(reason.Error(), "no worker began, and its tasks failed 4 times") {
				t.Error(reason)
			}
		})
	}
}
