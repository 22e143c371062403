package runners

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/cspine/cspine/internal/flink"
)

// Loopback is the worker that stands for this process: Flink then only moves the elements.
const Loopback = "loopback"

// FlinkOptions say which cluster, and what works there.
type FlinkOptions struct {
	// Master is the host:port of the cluster's REST service. "" is a small cluster inside the job server, which ends with the run.
	Master string
	// JobServer is the host:port of Beam's job server, if one runs. "" starts one for this run.
	JobServer string
	// Worker is the file of this program on the task managers, Loopback, or docker:IMAGE. "" is the file that this process was started from.
	Worker string
	// Cores is how many processors a worker that is a process uses at a time; 0 is all of its machine. A study alone keeps several busy, so a
	// cluster that others use, too, should give each worker what its slots stand for.
	Cores int
}

// check refuses what can't be meant.
func (o *FlinkOptions) check() error {
	if o.JobServer != "" && o.Master == "" {
		return nil // the job server knows
	}
	if strings.Contains(o.Master, "/") {
		return fmt.Errorf("flink's master is a host and the port of its REST service, such as flink:8081; got %q", o.Master)
	}
	return nil
}

// onFlink is a job's place.
type onFlink struct {
	r           *Runner
	cluster     flink.Cluster // no address: embedded, or unknown
	server      *flink.JobServer
	endpoint    string
	worker      string
	parallelism int
}

// onFlink finds out what there is, and starts what there is not.
func (r *Runner) onFlink(ctx context.Context) (on *onFlink, err error) {
	o := &r.Flink
	if err := o.check(); err != nil {
		return nil, err
	}
	on = &onFlink{r: r, endpoint: o.JobServer, worker: o.Worker, parallelism: r.Parallelism}
	if on.worker == "" {
		if on.worker, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	if o.Master != "" && o.Master != flink.Local {
		on.cluster.Address = o.Master
		has, err := on.cluster.Overview(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case on.parallelism != 0:
		case has.Slots == 0: // some clusters start task managers when there is work
			return nil, fmt.Errorf("flink at %s has no task slots: start a task manager, or say by --parallelism how many are to be had", o.Master)
		default:
			on.parallelism = has.Slots
		}
		slog.Debug("flink", "version", has.Version, "slots", has.Slots, "free", has.Free)
	}
	if on.parallelism == 0 {
		on.parallelism = runtime.NumCPU()
	}
	if on.endpoint == "" {
		here, err := flink.Find()
		if err != nil {
			return nil, err
		}
		master := o.Master
		if master == "" {
			master = flink.Local
		}
		if on.server, err = here.Start(ctx, master); err != nil {
			return nil, err
		}
		on.endpoint = on.server.Endpoint
	}
	return on, nil
}

// flags are what Beam is told.
func (on *onFlink) flags() []string {
	flags := []string{"--endpoint=" + on.endpoint, "--parallelism=" + strconv.Itoa(on.parallelism), "--job_name=" + on.r.Job}
	if on.worker == Loopback {
		return append(flags, "--environment_type=LOOPBACK")
	}
	if image, ok := strings.CutPrefix(on.worker, "docker:"); ok {
		return append(flags, "--environment_type=DOCKER", "--environment_config="+image)
	}
	env := map[string]string{}
	for _, name := range handedOn {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	if cores := on.r.Flink.Cores; cores > 0 {
		env["GOMAXPROCS"] = strconv.Itoa(cores)
	}
	process, _ := json.Marshal(map[string]any{"command": on.worker, "env": env}) // strings always can be
	return append(flags, "--environment_type=PROCESS", "--environment_config="+string(process))
}

// handedOn are the variables that a worker needs as they are here, where it is a process on a machine set up alike. Credentials are not among
// them: they belong to the machine.
var handedOn = []string{"CSPINE_NATIVE_DIR", "CSPINE_TRACE"}

// run runs a pipeline, and says what goes wrong meanwhile.
func (on *onFlink) run(ctx context.Context, build func(beam.Scope)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	watching.Go(func() { on.watch(ctx, cancel) })
	err := on.explain(ctx, submit(ctx, Flink, append(on.flags(), on.r.Flags...), build))
	var hopeless *failure
	if errors.As(context.Cause(ctx), &hopeless) {
		err = hopeless // its cancellation is not what went wrong
	}
	cancel(nil)
	watching.Wait()
	return err
}

// explain makes of what Beam returned what a user should read, and cancels on the cluster what was cancelled here.
func (on *onFlink) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if on.server != nil && slog.Default().Enabled(ctx, slog.LevelDebug) {
		on.server.WriteLog(os.Stderr)
	}
	if ctx.Err() != nil {
		return errors.Join(err, on.cancel())
	}
	var failed *failure
	if !errors.As(err, &failed) || on.cluster.Address == "" {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	if job, ok, _ := on.cluster.Job(ctx, on.r.Job); ok {
		if cause, _ := on.cluster.Cause(ctx, job.ID); cause != "" {
			failed.cause = cause
		}
	}
	return err
}

// cancel ends the job on the cluster, and waits for that.
func (on *onFlink) cancel() error {
	if on.cluster.Address == "" {
		return nil // it ends with the job server
	}
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	job, ok, err := on.cluster.Job(ctx, on.r.Job)
	if err != nil || !ok || job.Ended() {
		return err
	}
	if err := on.cluster.Cancel(ctx, job.ID); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if job, ok, err = on.cluster.Job(ctx, on.r.Job); err != nil || !ok || job.Ended() {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
	return fmt.Errorf("job %s is still there after 30 s: cancel it at http://%s", on.r.Job, on.cluster.Address)
}

func (on *onFlink) close() {
	if on.server != nil {
		on.server.Close()
	}
}
