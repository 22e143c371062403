// Command bucket is an S3 service on this machine that holds its one bucket in memory, answers late, and counts what it is asked, so that a
// run's requests can be counted, and their time be imagined:
//
//	bucket --late 30ms --data FOLDER cspine prepare --data DATA --store URL …
//
// It runs the command that it is given with each argument "URL" replaced by a store's in the bucket, "DATA" by that of FOLDER's files, which are put there first,
// and credentials in the environment; its last line on standard output is JSON: requests by kind, those for data apart, bytes sent and received.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
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
	data := flag.String("data", "", "a folder whose files are in the bucket from the beginning")
	flag.Parse()
	status, err := serve(*late, *data, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "bucket:", err)
		status = 1
	}
	os.Exit(status)
}

func serve(late time.Duration, data string, command []string) (status int, err error) {
	if len(command) == 0 {
		return 0, errors.New("name a command to run")
	}
	backend := s3mem.New()
	if err := backend.CreateBucket(name); err != nil {
		return 0, err
	}
	if data != "" {
		if err := fill(backend, data); err != nil {
			return 0, err
		}
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
	locations := strings.NewReplacer("URL", "s3://"+name+"/store?"+query.Encode(), "DATA", "s3://"+name+"/"+dataFolder+"?"+query.Encode())
	args := make([]string, len(command))
	for i, arg := range command {
		args[i] = locations.Replace(arg)
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

const dataFolder = "data"

// fill puts a folder's files into the bucket.
func fill(backend *s3mem.Backend, folder string) error {
	files := os.DirFS(folder)
	return fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := fs.ReadFile(files, path)
		if err == nil {
			_, err = backend.PutObject(name, dataFolder+"/"+path, nil, bytes.NewReader(file), int64(len(file)), nil)
		}
		return err
	})
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

// kind is a request's name in S3's price list, and for the studies' files "data" before it.
func kind(r *http.Request) string {
	query := r.URL.Query()
	kind, path := r.Method, r.URL.Path
	if kind == http.MethodGet && (query.Has("list-type") || query.Has("prefix")) {
		kind, path = "LIST", "/"+name+"/"+query.Get("prefix")
	}
	if strings.HasPrefix(path, "/"+name+"/"+dataFolder+"/") {
		return "data " + kind
	}
	return kind
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
