// Package cloudtest runs the storage services of three clouds in a test's own process, and disturbs them on
// demand, so that everything above them is tested as users have it: opened by URL, through the vendors'
// libraries, over HTTP.
//
// S3 is gofakes3, Google Cloud Storage fake-gcs-server; for Azure there is no such thing in Go, and azure.go
// answers what this project asks. None of them checks a signature or knows rights: Refused plays that.
//
// Invariants:
//   - Requests are counted where they arrive, also those that are disturbed.
//   - A test must not run beside others of its process: credentials stand in the environment, as users have them.
package cloudtest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	_ "github.com/cspine/cspine/artifacts/cloud"
)

// Bucket is the name of the one bucket, or container, that each service has.
const Bucket = "bucket"

// Service is a running service.
type Service struct {
	Name string // the scheme of its URLs

	server   *httptest.Server
	emulator http.Handler
	location func(bucket, folder string) string
	refuse   func(w http.ResponseWriter, status int, code string)
	codes    codes
	requests atomic.Int64
	disturb  atomic.Pointer[func(*http.Request) Trouble]
}

// codes are a service's own names for what goes wrong.
type codes struct{ denied, noBucket, busy, broken string }

// Services are the clouds by the scheme of their URLs.
var Services = map[string]func(testing.TB) *Service{"s3": S3, "gs": GCS, "azblob": Azure}

// S3 starts an S3 service that ends with the test.
func S3(t testing.TB) *Service {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(Bucket); err != nil {
		t.Fatal(err)
	}
	s := start(t, "s3", func(string) http.Handler { return gofakes3.New(backend).Server() })
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	query := url.Values{"endpoint": {s.server.URL}, "region": {"us-east-1"}, "use_path_style": {"true"}}.Encode()
	s.location = func(bucket, folder string) string { return "s3://" + bucket + "/" + folder + "?" + query }
	s.codes = codes{denied: "AccessDenied", noBucket: "NoSuchBucket", busy: "SlowDown", broken: "InternalError"}
	s.refuse = func(w http.ResponseWriter, status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>played</Message></Error>", code)
	}
	return s
}

// GCS starts a Google Cloud Storage service that ends with the test.
func GCS(t testing.TB) *Service {
	t.Helper()
	s := start(t, "gs", func(host string) http.Handler {
		emulator, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: host, ExternalURL: "http://" + host})
		if err != nil {
			t.Fatal(err)
		}
		emulator.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: Bucket})
		return emulator.HTTPHandler()
	})
	t.Setenv("STORAGE_EMULATOR_HOST", s.server.Listener.Addr().String())
	s.location = func(bucket, folder string) string { return "gs://" + bucket + "/" + folder }
	s.codes = codes{denied: "forbidden", noBucket: "notFound", busy: "backendError", broken: "internalError"}
	s.refuse = func(w http.ResponseWriter, status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":%d,"message":"played","errors":[{"reason":%q,"message":"played"}]}}`, status, code)
	}
	return s
}

// Azure starts an Azure Blob Storage service that ends with the test.
func Azure(t testing.TB) *Service {
	t.Helper()
	s := start(t, "azblob", func(string) http.Handler { return newAzure(azureAccount, Bucket) })
	t.Setenv("AZURE_STORAGE_ACCOUNT", azureAccount)
	t.Setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
	query := url.Values{"domain": {s.server.Listener.Addr().String()}, "protocol": {"http"}}.Encode()
	s.location = func(bucket, folder string) string { return "azblob://" + bucket + "/" + folder + "?" + query }
	s.codes = codes{denied: "AuthorizationPermissionMismatch", noBucket: "ContainerNotFound", busy: "ServerBusy", broken: "InternalError"}
	s.refuse = azureRefuse
	return s
}

const azureAccount = "account"

func start(t testing.TB, name string, emulator func(host string) http.Handler) *Service {
	t.Helper()
	s := &Service{Name: name}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	s.emulator = emulator(s.server.Listener.Addr().String())
	return s
}

// Location is the URL of a folder in the bucket.
func (s *Service) Location(folder string) string { return s.location(Bucket, folder) }

// Elsewhere is the URL of a folder in a bucket that there is not.
func (s *Service) Elsewhere(folder string) string { return s.location("nowhere", folder) }

// Requests returns how many have arrived so far.
func (s *Service) Requests() int64 { return s.requests.Load() }

// Trouble is what becomes of a request.
type Trouble int

// The kinds of Trouble.
const (
	None    Trouble = iota
	Busy            // 503 and nothing done
	Broken          // 500 and nothing done
	Reset           // the connection is reset and nothing done
	Lost            // it is done, and the connection reset before the answer
	Cut             // it is done, and the connection reset in the middle of the answer
	Refused         // 403: the caller has no right to it
	Gone            // 404: there is no such bucket
)

// Disturb lets trouble happen: f is asked at every request, from many goroutines. nil ends it.
func (s *Service) Disturb(f func(*http.Request) Trouble) {
	if f == nil {
		s.disturb.Store(nil)
		return
	}
	s.disturb.Store(&f)
}

// EveryNth gives trouble to one request in n, each time another one of kinds.
func EveryNth(n int64, kinds ...Trouble) func(*http.Request) Trouble {
	var count atomic.Int64
	return func(*http.Request) Trouble {
		i := count.Add(1)
		if i%n != 0 {
			return None
		}
		return kinds[i/n%int64(len(kinds))]
	}
}

// Always gives every request the same trouble.
func Always(kind Trouble) func(*http.Request) Trouble {
	return func(*http.Request) Trouble { return kind }
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	trouble := None
	if f := s.disturb.Load(); f != nil {
		trouble = (*f)(r)
	}
	switch trouble {
	case None:
		s.emulator.ServeHTTP(w, r)
	case Busy:
		s.refuse(w, http.StatusServiceUnavailable, s.codes.busy)
	case Broken:
		s.refuse(w, http.StatusInternalServerError, s.codes.broken)
	case Refused:
		s.refuse(w, http.StatusForbidden, s.codes.denied)
	case Gone:
		s.refuse(w, http.StatusNotFound, s.codes.noBucket)
	case Reset:
		reset(w, nil)
	case Lost, Cut:
		answer := httptest.NewRecorder()
		s.emulator.ServeHTTP(answer, r)
		if trouble == Lost {
			answer = nil
		}
		reset(w, answer)
	}
}

// reset breaks the connection of a request, after half of an answer if there is one.
func reset(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	if answer != nil {
		var head strings.Builder
		_ = answer.Result().Header.Write(&head)
		body := answer.Body.Bytes()
		fmt.Fprintf(buffered, "HTTP/1.1 %d %s\r\n%s", answer.Code, http.StatusText(answer.Code), head.String())
		if answer.Header().Get("Content-Length") == "" {
			fmt.Fprintf(buffered, "Content-Length: %d\r\n", len(body))
		}
		fmt.Fprintf(buffered, "\r\n%s", body[:len(body)/2])
		_ = buffered.Flush()
	} else {
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset, where a plain close would be an end
	}
}
