package runners

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

// DataflowOptions say what Dataflow's workers are. Project, region and the like are Beam's own flags.
type DataflowOptions struct {
	// Image is the container image with this program; see deploy/docker.
	Image string
	// Machine is the type of the workers' machines. "" is DefaultMachine.
	Machine string
	// Accelerator is what each of them has, such as "type:nvidia-l4;count:1;install-nvidia-driver".
	Accelerator string
	// DryRun is where the job is written to, as JSON, in place of submitting it.
	DryRun io.Writer
}

// DefaultMachine has 4 processors and 16 GB; a worker takes 2 GB, and each study that is worked on about 0.3 GB.
const DefaultMachine = "n2-standard-4"

// flags are what Beam is told.
func (o *DataflowOptions) flags(job string) []string {
	machine := o.Machine
	if machine == "" {
		machine = DefaultMachine
	}
	flags := []string{"--job_name=" + job, "--sdk_container_image=" + o.Image, "--machine_type=" + machine}
	if o.Accelerator != "" {
		// The option gives every worker one; the hint is for the services that choose workers by steps. In Go it is for the whole pipeline.
		flags = append(flags, "--dataflow_service_options=worker_accelerator="+o.Accelerator, "--resource_hints=accelerator="+o.Accelerator)
	}
	if o.DryRun != nil {
		flags = append(flags, "--dry_run")
	}
	return flags
}

// dry takes from what Beam logs, while run runs, the job that it would submit.
func dry(w io.Writer, run func() error) error {
	var job jobLog
	beamlog.SetLogger(&job)
	defer beamlog.SetLogger(&beamlog.Structural{})
	if err := run(); err != nil {
		return err
	}
	if job.text == "" {
		return errors.New("beam printed no job")
	}
	_, err := fmt.Fprintln(w, job.text)
	return err
}

// jobLog is a logger that keeps the job.
type jobLog struct{ text string }

func (l *jobLog) Log(_ context.Context, _ beamlog.Severity, _ int, text string) {
	if strings.HasPrefix(text, "{\n") {
		l.text = text
	}
}
