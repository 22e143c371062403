package runners

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
)

// A runner starts a worker by what Beam calls a container's boot program, whose flags are known. This program is its own: it asks for the
// pipeline's options, and becomes the worker (exec), so that the process which the runner ends is the worker. Beam's own boot program starts
// a child, which outlives it. See https://beam.apache.org/documentation/runtime/sdk-harness-config/.

// AsWorker tells whether the program was started by a runner, as a boot program or as a worker.
func AsWorker(args []string) bool { return booted(args) || working(args) }

func booted(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		return strings.HasPrefix(strings.TrimPrefix(a, "-"), "-provision_endpoint")
	})
}

// workerFlag comes first among a worker's arguments. The command line has a flag of that name, too, but never first.
const workerFlag = "--worker=true"

func working(args []string) bool { return len(args) > 0 && args[0] == workerFlag }

// Work is what the program does instead of anything else where AsWorker. It returns only if that fails.
func Work(args []string) error {
	if booted(args) {
		return boot(args)
	}
	watchParent()
	flag.Parse()
	beam.Init() // ends the process
	return errors.New("this worker was not told where its work is")
}

// boot becomes the worker that the runner asked for.
func boot(args []string) error {
	set := flag.NewFlagSet("boot", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	id, provision := set.String("id", "", ""), set.String("provision_endpoint", "", "")
	for _, ignored := range []string{"logging_endpoint", "artifact_endpoint", "control_endpoint", "semi_persist_dir"} {
		set.String(ignored, "", "")
	}
	if err := set.Parse(args); err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	info, err := tools.ProvisionInfo(grpcx.WriteWorkerID(context.Background(), *id), *provision)
	if err != nil {
		return fmt.Errorf("start a worker: ask %s what it is to do: %w", *provision, err)
	}
	options, err := tools.ProtoToJSON(info.GetPipelineOptions())
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	if err := checkBuild(options); err != nil {
		return err
	}
	// The worker reads the options from a file by its name. One without a name can't be another worker's, and leaves nothing behind.
	file, err := os.CreateTemp("", "cspine-options-")
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	if err := errors.Join(os.Remove(file.Name()), write(file, options)); err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	fd, err := syscall.Dup(int(file.Fd())) // a copy stays open
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	env := append(os.Environ(), fmt.Sprintf("PIPELINE_OPTIONS_FILE=/dev/fd/%d", fd), fmt.Sprintf("%s=%d", parentVariable, os.Getppid()),
		"RUNNER_CAPABILITIES="+strings.Join(info.GetRunnerCapabilities(), " "))
	if status := info.GetStatusEndpoint().GetUrl(); status != "" {
		env = append(env, "STATUS_ENDPOINT="+status)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	err = syscall.Exec(self, []string{self, workerFlag, "--id=" + *id, "--logging_endpoint=" + info.GetLoggingEndpoint().GetUrl(),
		"--control_endpoint=" + info.GetControlEndpoint().GetUrl()}, env)
	return fmt.Errorf("start a worker: %w", err)
}

func write(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return err
}

// parentVariable tells a worker what process started it.
const parentVariable = "CSPINE_WORKER_OF"

// watchParent ends the process when that which started it is gone: a runner that is killed can't end its workers. (PR_SET_PDEATHSIG is no use:
// it follows the thread that forked, and a task manager's threads come and go.)
func watchParent() {
	parent := os.Getenv(parentVariable)
	if parent == "" || parent == "0" || parent == "1" { // a container's first processes
		return
	}
	go func() {
		for range time.Tick(time.Second) {
			if fmt.Sprint(os.Getppid()) != parent {
				os.Exit(3)
			}
		}
	}()
}

// buildOption is the pipeline option that says which build submitted the pipeline.
const buildOption = "cspine_build"

// build is the digest of the file that this process was started from.
var build = sync.OnceValues(func() (string, error) {
	name, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
})

// stampBuild lets the pipeline's workers know what build it is of.
func stampBuild() error {
	digest, err := build()
	if err != nil {
		return fmt.Errorf("this program's own file: %w", err)
	}
	beam.PipelineOptions.Set(buildOption, digest)
	return nil
}

// checkBuild refuses the options of a pipeline that another build submitted: functions and what they exchange may differ.
func checkBuild(options string) error {
	var all struct {
		Go struct {
			Options map[string]string `json:"options"`
		} `json:"beam:option:go_options:v1"`
	}
	if err := json.Unmarshal([]byte(options), &all); err != nil {
		return fmt.Errorf("start a worker: the pipeline's options: %w", err)
	}
	want := all.Go.Options[buildOption]
	if want == "" {
		return nil
	}
	have, err := build()
	if err != nil {
		return fmt.Errorf("this program's own file: %w", err)
	}
	if have != want {
		return fmt.Errorf("this worker is cspine build %.12s, the pipeline was submitted by build %.12s: install the same file on every worker and where runs are started", have, want)
	}
	return nil
}
