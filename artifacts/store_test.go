package artifacts_test

import (
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/cspine/cspine/artifacts"
	"github.com/cspine/cspine/artifacts/artifactstest"
)

func TestMemoryConforms(t *testing.T) {
	artifactstest.Run(t, func(t *testing.T) artifactstest.Location {
		bucket := memblob.OpenBucket(nil)
		t.Cleanup(func() { _ = bucket.Close() })
		return func(*testing.T) artifacts.Driver { return artifacts.NewBucketDriver(bucket) }
	})
}

func TestFilesConform(t *testing.T) {
	artifactstest.Run(t, func(t *testing.T) artifactstest.Location {
		folder := t.TempDir()
		return func(t *testing.T) artifacts.Driver {
			d, err := artifacts.OpenDriver(t.Context(), folder, nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	})
}
