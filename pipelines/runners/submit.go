package runners

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/runnerlib"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
)

func init() { beam.RegisterRunner(Flink, executeOnFlink) }

// keepWorkers is how long Flink keeps a worker that nothing is asked of. Without it every stage of a pipeline would start workers anew, and open models,
// stores and data sets with them; a job's last workers end so much later than the job.
const keepWorkers = time.Minute

// flinkOptions are the options that Beam's Flink runner reads. Beam's own Go runner for it knows them all but one.
type flinkOptions struct {
	runtime.RawOptionsWrapper
	KeepMillis int64 `json:"beam:option:environment_cache_millis:v1"`
}

// executeOnFlink hands a pipeline to Beam's job server and waits for its end, as Beam's universal runner does.
func executeOnFlink(ctx context.Context, p *beam.Pipeline) (beam.PipelineResult, error) {
	endpoint, err := jobopts.GetEndpoint()
	if err != nil {
		return nil, err
	}
	environment := jobopts.GetEnvironmentConfig
	if jobopts.IsLoopback() {
		server, err := extworker.StartLoopback(ctx, 0)
		if err != nil {
			return nil, err
		}
		defer func() { _ = server.Stop(ctx) }()
		environment = server.EnvironmentConfig
	}
	pipeline, err := marshalled(ctx, p, environment)
	if err != nil {
		return nil, err
	}
	connection, err := grpcx.Dial(ctx, endpoint, 2*time.Minute)
	if err != nil {
		return nil, fmt.Errorf("the job server of Beam at %s: %w", endpoint, err)
	}
	defer func() { _ = connection.Close() }()
	jobs := jobpb.NewJobServiceClient(connection)
	hooks.SerializeHooksToOptions()
	beam.PipelineOptions.LoadOptionsFromFlags(nil)
	options, err := tools.OptionsToProto(flinkOptions{runtime.RawOptionsWrapper{Options: beam.PipelineOptions.Export(), AppName: jobopts.GetJobName(),
		Experiments: append(jobopts.GetExperiments(), "beam_fn_api"), RetainDocker: *jobopts.RetainDockerContainers, Parallelism: *jobopts.Parallelism}, keepWorkers.Milliseconds()})
	if err != nil {
		return nil, err
	}
	prepared, err := jobs.Prepare(ctx, &jobpb.PrepareJobRequest{Pipeline: pipeline, PipelineOptions: options, JobName: jobopts.GetJobName()})
	if err != nil {
		return nil, fmt.Errorf("prepare the job: %w", err)
	}
	token, err := runnerlib.Stage(ctx, prepared.GetPreparationId(), prepared.GetArtifactStagingEndpoint().GetUrl(), os.DevNull, prepared.GetStagingSessionToken())
	if err != nil {
		return nil, err
	}
	job, err := runnerlib.Submit(ctx, jobs, prepared.GetPreparationId(), token)
	if err != nil {
		return nil, err
	}
	slog.Debug("submitted", "job", job)
	return nil, runnerlib.WaitForCompletion(ctx, jobs, job)
}

// marshalled is a pipeline as it travels. Every worker has the program already: what Beam would upload in its place is as small as a file can be.
func marshalled(ctx context.Context, p *beam.Pipeline, environment func(context.Context) string) (*pipepb.Pipeline, error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, err
	}
	where, err := graphx.CreateEnvironment(ctx, jobopts.GetEnvironmentUrn(ctx), environment)
	if err != nil {
		return nil, err
	}
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: where, PipelineResourceHints: jobopts.GetPipelineResourceHints()})
	if err != nil {
		return nil, err
	}
	return pipeline, runnerlib.UpdateGoEnvironmentWorker(os.DevNull, pipeline)
}
