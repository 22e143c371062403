// Command bucket is an S3 service on this machine that holds its one bucket in memory, answers late, and counts what it is asked, so that a
// run's requests can be counted, and their time be imagined:
//
//	bucket --late 30ms cspine prepare --store URL …
//
// It runs the command that it is given with each argument "URL" replaced by the bucket's, credentials in the environment; its last line on
// standard output is JSON: requests by kind, bytes sent and received.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

const name = "bench"

func main() {
	late := flag.Duration("late", 0, "how long a request waits for its answer")
	flag.Parse()
	status, err := serve(*late, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "bucket:", err)
		status = 1
	}
	os.Exit(status)
}

func serve(late time.Duration, command []string) (status int, err error) {
	if len(command) == 0 {
		return 0, errors.New("name a command to run")
	}
	backend := s3mem.New()
	if err := backend.CreateBucket(name); err != nil {
		return 0, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	b := &bucket{emulator: gofakes3.New(backend).Server(), late: late, Requests: map[string]int64{}}
	go func() {
		_ = http.Serve(listener, b) //nolint:gosec // no timeouts, and its end is no error: it ends with the command
	}()
	query := url.Values{"endpoint": {"http://" + listener.Addr().String()}, "region": {"us-east-1"}, "use_path_style": {"true"}}
	location := "s3://" + name + "/store?" + query.Encode()
	args := make([]string, len(command))
	for i, arg := range command {
		args[i] = strings.ReplaceAll(arg, "URL", location)
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // the user's own
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "BUCKET_COUNTS=http://"+listener.Addr().String()+counts)
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), json.NewEncoder(os.Stdout).Encode(b)
}

// counts is where the command can ask what was counted so far: its URL stands in the environment as BUCKET_COUNTS.
const counts = "/-/counts"

// bucket counts requests and passes them on.
type bucket struct {
	emulator http.Handler
	late     time.Duration

	mu       sync.Mutex
	Requests map[string]int64 `json:"requests"` // by kind
	Received int64            `json:"received"` // bytes of objects
	Sent     int64            `json:"sent"`     // bytes of answers
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == counts {
		b.mu.Lock()
		defer b.mu.Unlock()
		_ = json.NewEncoder(w).Encode(b) // who asked may be gone
		return
	}
	time.Sleep(b.late)
	counted := &countedWriter{ResponseWriter: w}
	b.emulator.ServeHTTP(counted, r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Requests[kind(r)]++
	b.Received += max(r.ContentLength, 0)
	b.Sent += counted.sent
}

// kind is a request's name in S3's price list.
func kind(r *http.Request) string {
	if r.Method == http.MethodGet && (r.URL.Query().Has("list-type") || r.URL.Query().Has("prefix")) {
		return "LIST"
	}
	return r.Method
}

type countedWriter struct {
	http.ResponseWriter
	sent int64
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}
