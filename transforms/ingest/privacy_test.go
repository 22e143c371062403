package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"

	"github.com/cspine/cspine/internal/dicom"
	"github.com/cspine/cspine/internal/refusal"
	"github.com/cspine/cspine/internal/source"
)

// panicking is a bucket whose files can't be read without a panic that quotes them.
type panicking struct{ driver.Bucket }

func (panicking) NewRangeReader(context.Context, string, int64, int64, *driver.ReaderOptions) (driver.Reader, error) {
	panic("DOE^JANE")
}

func TestAPanicOverAFileIsARefusalThatDoesNotQuoteIt(t *testing.T) {
	data := source.FromBucket(blob.NewBucket(panicking{}), "", "panicking")
	_, err := headers(t.Context(), data, "study", []source.Object{{Key: "1.dcm", Size: 1000}}, dicom.Limits{})
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Code != refusal.Internal || strings.Contains(err.Error(), "JANE") {
		t.Errorf("%v", err)
	}
}
