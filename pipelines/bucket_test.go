package pipelines

import (
	"io/fs"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"gocloud.dev/blob"

	"github.com/cspine/cspine/artifacts"
	_ "github.com/cspine/cspine/artifacts/cloud"
	"github.com/cspine/cspine/transforms"
	"github.com/cspine/cspine/transforms/segment"
)

// s3 starts an S3 server in this process and returns the URL of a folder in its only bucket.
func s3(t *testing.T) func(folder string) string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	query := url.Values{"endpoint": {server.URL}, "region": {"us-east-1"}, "use_path_style": {"true"}}.Encode()
	return func(folder string) string { return "s3://bucket" + folder + "?" + query }
}

func TestBucketsGiveTheCropsThatFoldersGive(t *testing.T) {
	b := newBench(t, 2)
	local := b.prepare(segment.Model{})
	at := s3(t)
	upload(t, b.data, at(""), "rsna/")
	b.site = transforms.Site{Data: at("/rsna"), Store: at("/store")}
	remote := b.prepare(segment.Model{})
	crops := func(rows []artifacts.Row) map[string]string {
		digests := map[string]string{}
		for _, r := range where(rows, func(r artifacts.Row) bool { return r.Step == "crop" || r.Step == "resample" }) {
			digests[r.Subject+" "+r.Part] = r.Digest
		}
		return digests
	}
	if diff := cmp.Diff(crops(local), crops(remote)); diff != "" || len(crops(remote)) != 16 {
		t.Errorf("%d artifacts\n%s", len(crops(remote)), diff)
	}
	if got := computed(b.prepare(segment.Model{})); len(got) != 0 {
		t.Errorf("a second run computed %v", got)
	}
}

// upload copies a folder into a bucket.
func upload(t *testing.T, dir, bucketURL, prefix string) {
	t.Helper()
	bucket, err := blob.OpenBucket(t.Context(), bucketURL)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		return bucket.WriteAll(t.Context(), prefix+path, data, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}
