package flink

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answers is a REST service that says what Flink 1.19.3 said, cut to the fields that are read.
func answers(t *testing.T, by map[string]string) Cluster {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := by[r.Method+" "+r.URL.RequestURI()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	return Cluster{strings.TrimPrefix(server.URL, "http://")}
}

func TestAClusterSaysWhatItHas(t *testing.T) {
	c := answers(t, map[string]string{"GET /overview": `{"taskmanagers":2,"slots-total":4,"slots-available":3,"jobs-running":1,"flink-version":"1.19.3"}`})
	got, err := c.Overview(t.Context())
	if want := (Overview{TaskManagers: 2, Slots: 4, Free: 3, Version: "1.19.3"}); got != want || err != nil {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestWhatIsNoClusterIsSaidToBeNone(t *testing.T) {
	for name, text := range map[string]string{"a page": "<html>", "another service": `{"status":"up"}`} {
		t.Run(name, func(t *testing.T) {
			c := answers(t, map[string]string{"GET /overview": text})
			if _, err := c.Overview(t.Context()); err == nil || !strings.Contains(err.Error(), "not the address of Flink's REST service") {
				t.Error(err)
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		if _, err := (Cluster{"localhost:1"}).Overview(t.Context()); err == nil || !strings.Contains(err.Error(), "flink at localhost:1 does not answer") {
			t.Error(err)
		}
	})
}

func TestTheNewestJobOfANameIsFound(t *testing.T) {
	c := answers(t, map[string]string{
		"GET /jobs/overview": `{"jobs":[
			{"jid":"a","name":"cspine0first020261128t-root-1128124938-67a71b50","start-time":10,"end-time":20,"state":"FAILED"},
			{"jid":"b","name":"cspine0first020261128t-root-1128124938-67a71b50","start-time":30,"end-time":-1,"state":"RUNNING"},
			{"jid":"c","name":"cspine0first020261129t-root-1128124938-67a71b50","start-time":40,"end-time":-1,"state":"RUNNING"}]}`,
		"PATCH /jobs/b?mode=cancel": `{}`,
	})
	job, ok, err := c.Job(t.Context(), "cspine-first.20261128T")
	if !ok || err != nil || job.ID != "b" || job.Ended() {
		t.Errorf("%+v, %t, %v", job, ok, err)
	}
	if _, ok, err := c.Job(t.Context(), "none"); ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	if err := c.Cancel(t.Context(), job.ID); err != nil {
		t.Error(err)
	}
}

func TestFailuresComeInTheirOrder(t *testing.T) {
	c := answers(t, map[string]string{"GET /jobs/b/exceptions?maxExceptions=50": `{"root-exception":"x","exceptionHistory":{"entries":[
		{"exceptionName":"java.lang.Exception","stacktrace":"java.lang.Exception: second\n","timestamp":20},
		{"exceptionName":"java.lang.Exception","stacktrace":"java.lang.Exception: first\n","timestamp":10}],"truncated":false}}`})
	got, err := c.Failures(t.Context(), "b")
	if err != nil || len(got) != 2 || got[0] != (Failure{10, "first"}) || got[1] != (Failure{20, "second"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheCauseOfAFailureIsFoundInItsTrace(t *testing.T) {
	for name, c := range map[string]struct{ trace, want string }{
		"what a worker returned": {`org.apache.flink.runtime.JobException: Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy
	at org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handleFailure(ExecutionFailureHandler.java:180)
Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 4: process bundle failed for instruction 4 using plan 1 : while executing Process for Plan[1]
	caused by:
disk full
	at org.apache.beam.runners.fnexecution.control.FnApiControlClient$ResponseStreamObserver.onNext(FnApiControlClient.java:180)
	... 3 more
`, "disk full"},
		"Java's own": {`org.apache.flink.runtime.JobException: Recovery is suppressed
	at org.apache.flink.runtime.X.y(X.java:1)
Caused by: java.lang.Exception: Job failed
	at org.apache.flink.runtime.X.y(X.java:1)
Caused by: java.lang.IllegalStateException: Process died with exit code 1
	at org.apache.beam.runners.fnexecution.environment.ProcessManager$RunningProcess.isAliveOrThrow(ProcessManager.java:76)
`, "Process died with exit code 1"},
		"a program that is not there": {`java.lang.Exception: The user defined 'open()' method caused an exception
	at org.apache.flink.runtime.X.y(X.java:1)
Caused by: java.io.IOException: Cannot run program "/opt/cspine": error=2, No such file or directory
	at java.base/java.lang.ProcessBuilder.start(ProcessBuilder.java:1143)
Caused by: java.io.IOException: error=2, No such file or directory
	at java.base/java.lang.ProcessImpl.forkAndExec(Native Method)
`, `Cannot run program "/opt/cspine": error=2, No such file or directory`},
		"one line": {"java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id x timed out.\n", "Heartbeat of TaskManager with id x timed out."},
		"nothing":  {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Cause(c.trace); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAJobServerThatDoesNotStartSaysWhy(t *testing.T) {
	if _, err := (Distribution{t.TempDir()}).Start(t.Context(), Local); err == nil || !strings.Contains(err.Error(), "java is missing") && !strings.Contains(err.Error(), "FlinkJobServerDriver") {
		t.Error(err)
	}
	t.Setenv(FolderVariable, t.TempDir())
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "./run.sh setup flink") {
		t.Error(err)
	}
}

func TestStartingIsGivenUp(t *testing.T) {
	s := &JobServer{Endpoint: "localhost:1", done: make(chan struct{}), log: &tail{}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.wait(ctx); err == nil {
		t.Error("a server that answers nothing was taken for one")
	}
}
