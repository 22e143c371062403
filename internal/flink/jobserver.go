package flink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Distribution is a folder with what deploy/flink/setup.sh puts into it: job-server/*.jar and flink/*.jar.
type Distribution struct{ Dir string }

// FolderVariable names the environment variable that says where the distribution lies.
const FolderVariable = "CSPINE_FLINK_DIR"

// Find returns the distribution that the environment names.
func Find() (Distribution, error) {
	d := Distribution{os.Getenv(FolderVariable)}
	const remedy = "'./run.sh setup flink' fetches it, or --job-server names one that runs"
	if d.Dir == "" {
		return d, errors.New("the job server of Beam is not here: " + remedy)
	}
	if jars, _ := filepath.Glob(filepath.Join(d.Dir, "job-server", "*.jar")); len(jars) == 0 {
		return d, fmt.Errorf("%s=%s has no job-server/*.jar: %s", FolderVariable, d.Dir, remedy)
	}
	return d, nil
}

// opened are the packages that Flink and Beam look into by reflection, which Java 17 must be told.
var opened = []string{
	"java.base/java.lang", "java.base/java.util", "java.base/java.net", "java.base/java.io", "java.base/java.nio", "java.base/sun.nio.ch",
	"java.base/java.lang.reflect", "java.base/java.text", "java.base/java.time", "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
	"java.base/java.util.concurrent.locks", "java.base/sun.net.util", "java.management/sun.management",
}

// JobServer is a running job server.
type JobServer struct {
	Endpoint string // host:port of Beam's job API

	stop func()
	done chan struct{}
	log  *tail
}

// Start starts a job server that hands its jobs to master, the host:port of a cluster's REST service or Local, and waits until it
// answers. Close ends it.
func (d Distribution) Start(ctx context.Context, master string) (*JobServer, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("java is missing: install a JRE of version 11 or 17: %w", err)
	}
	scratch, err := os.MkdirTemp("", "cspine-job-server-")
	if err != nil {
		return nil, err
	}
	s := &JobServer{done: make(chan struct{}), log: &tail{}}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s.Endpoint = "localhost:" + ports[0]
	var args []string
	for _, pkg := range opened {
		args = append(args, "--add-opens="+pkg+"=ALL-UNNAMED")
	}
	if master != Local {
		// It hands a job over and waits: what lets it start sooner counts for more than what lets it compute faster.
		args = append(args, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
	}
	args = append(args, "-Xmx1g", "-cp", filepath.Join(d.Dir, "job-server", "*"), "org.apache.beam.runners.flink.FlinkJobServerDriver",
		"--job-host=localhost", "--job-port="+ports[0], "--artifact-port="+ports[1], "--expansion-port="+ports[2],
		"--artifacts-dir="+scratch, "--flink-master="+master)
	cmd := exec.Command(java, args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = dieWithParent()
	started := make(chan error, 1)
	go func() {
		defer func() { _ = os.RemoveAll(scratch) }()
		defer close(s.done)
		// The system ends the child with the thread that started it, so that thread has to stay.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start Beam's job server: %w", err)
	}
	s.stop = func() { _ = cmd.Process.Signal(syscall.SIGTERM) }
	if err := s.wait(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// patience is how long a job server may take to answer; it takes 2 to 4 seconds on an idle machine.
const patience = 2 * time.Minute

func (s *JobServer) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the job server of Beam does not answer after %s", patience))
	defer cancel()
	for {
		conn, err := net.DialTimeout("tcp", s.Endpoint, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.done:
			return fmt.Errorf("the job server of Beam ended at once: %s", s.log.last())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Close ends the job server, and waits for that.
func (s *JobServer) Close() {
	s.stop()
	<-s.done
}

// WriteLog writes the last of what the job server said.
func (s *JobServer) WriteLog(w io.Writer) { _, _ = w.Write(s.log.bytes()) }

// freePorts finds ports that nothing listens on. Another process may take one before it is used; the server then fails to start and says so.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

// tail keeps the last 64 KiB that are written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const most = 64 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text); n > 2*most {
		t.text = append([]byte(nil), t.text[n-most:]...)
	}
	return len(b), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.text)
}

// last returns the cause among the last lines.
func (t *tail) last() string {
	text := strings.TrimSpace(string(t.bytes()))
	if at := strings.LastIndex(text, "Exception"); at >= 0 {
		return Cause(text[strings.LastIndexByte(text[:at], '\n')+1:])
	}
	return text[strings.LastIndexByte(text, '\n')+1:]
}
