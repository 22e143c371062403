// Package flink speaks to a Flink cluster: it asks the cluster's REST service what it has and does, and starts Beam's job server, the Java
// program that takes a Beam pipeline and hands it to Flink.
//
// Invariants:
//   - A job server that this package starts must not outlive the process that asked for it, however that ends.
//   - What Flink says of a failure must be told; which of its hundred lines is the cause is decided here.
package flink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Local is the master that stands for a small cluster inside the job server, which ends with it.
const Local = "[local]"

// Cluster is a Flink cluster by the address of its REST service, host:port.
// See https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/.
type Cluster struct{ Address string }

// Overview is what a cluster has.
type Overview struct {
	TaskManagers int    `json:"taskmanagers"`
	Slots        int    `json:"slots-total"`
	Free         int    `json:"slots-available"`
	Version      string `json:"flink-version"`
}

// Job is one of the cluster's jobs.
type Job struct {
	ID    string `json:"jid"`
	Name  string `json:"name"`
	State string `json:"state"` // RUNNING, RESTARTING, FAILED, …
	Start int64  `json:"start-time"`
	End   int64  `json:"end-time"` // -1 while it goes on
}

// Ended tells whether the job has come to an end of any kind.
func (j *Job) Ended() bool {
	return j.State == "FINISHED" || j.State == "FAILED" || j.State == "CANCELED"
}

var client = http.Client{Timeout: 10 * time.Second}

func (c Cluster) ask(ctx context.Context, method, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.Address+path, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("flink at %s does not answer: %w", c.Address, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("flink at %s answers %s to %s %s", c.Address, answer.Status, method, path)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return fmt.Errorf("%s is not the address of Flink's REST service: its answer to %s is not Flink's", c.Address, path)
	}
	return nil
}

// Overview asks what the cluster has.
func (c Cluster) Overview(ctx context.Context) (o Overview, err error) {
	err = c.ask(ctx, http.MethodGet, "/overview", &o)
	if err == nil && o.Version == "" {
		err = fmt.Errorf("%s is not the address of Flink's REST service: its answer to /overview is not Flink's", c.Address)
	}
	return o, err
}

// Job returns the newest job that was submitted to Beam under a name; ok is false if there is none. Beam replaces what are neither letters nor
// digits by zeros, and adds the user, the time and a number.
func (c Cluster) Job(ctx context.Context, name string) (job Job, ok bool, err error) {
	var all struct{ Jobs []Job }
	if err := c.ask(ctx, http.MethodGet, "/jobs/overview", &all); err != nil {
		return job, false, err
	}
	begins := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '0'
	}, strings.ToLower(name)) + "-"
	for _, j := range all.Jobs {
		if strings.HasPrefix(j.Name, begins) && (!ok || j.Start > job.Start) {
			job, ok = j, true
		}
	}
	return job, ok, nil
}

// Cancel asks the cluster to end a job.
func (c Cluster) Cancel(ctx context.Context, id string) error {
	return c.ask(ctx, http.MethodPatch, "/jobs/"+id+"?mode=cancel", nil)
}

// Cause returns why a job failed, in one line; "" if the cluster knows nothing.
func (c Cluster) Cause(ctx context.Context, id string) (string, error) {
	var said struct {
		Root string `json:"root-exception"`
	}
	err := c.ask(ctx, http.MethodGet, "/jobs/"+id+"/exceptions", &said)
	return Cause(said.Root), err
}

// Failure is one time that tasks of a job failed.
type Failure struct {
	At    int64 // ms since 1970
	Cause string
}

// Failures returns when and why a job's tasks failed, the first first, as far back as the cluster remembers.
func (c Cluster) Failures(ctx context.Context, id string) (all []Failure, err error) {
	var said struct {
		History struct {
			Entries []struct {
				Trace string `json:"stacktrace"`
				At    int64  `json:"timestamp"`
			}
		} `json:"exceptionHistory"`
	}
	if err := c.ask(ctx, http.MethodGet, "/jobs/"+id+"/exceptions?maxExceptions=50", &said); err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(said.History.Entries) { // the newest comes first
		all = append(all, Failure{e.At, Cause(e.Trace)})
	}
	return all, nil
}

// Cause finds in a Java stack trace the line to show: what a worker's own Go code returned where that is told, else the innermost cause.
func Cause(trace string) string {
	var innermost, inWorker string
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "at ") || strings.HasPrefix(line, "..."):
		case strings.HasPrefix(line, "caused by:"): // of Beam's Go errors; the last is the first
			inWorker = strings.TrimSpace(strings.TrimPrefix(line, "caused by:"))
			if inWorker == "" {
				inWorker = "\n" // on the next line
			}
		case inWorker == "\n":
			inWorker = line
		case strings.HasPrefix(line, "Caused by:"):
			cause := strings.TrimSpace(strings.TrimPrefix(line, "Caused by:"))
			if !strings.HasSuffix(innermost, plain(cause)) { // else the one around it says the same, and of what
				innermost = cause
			}
		case innermost == "":
			innermost = line
		}
	}
	if inWorker = strings.TrimSpace(inWorker); inWorker != "" {
		return inWorker
	}
	return plain(innermost)
}

// plain leaves out an exception's class, which says little to who reads no Java.
func plain(text string) string {
	if class, said, ok := strings.Cut(text, ": "); ok && strings.Contains(class, ".") && !strings.Contains(class, " ") {
		return said
	}
	return text
}
