// Package cloud teaches artifacts.Open the addresses s3://, gs:// and azblob://. It must be imported, for
// its effect alone, by every program that opens a store in a cloud; it stands apart so that programs and
// tests that don't need not carry three vendors' libraries (50 MB in a binary).
package cloud

import (
	"errors"
	"net/http"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/s3blob"
	"google.golang.org/api/googleapi"

	"github.com/cspine/cspine/internal/bucket"
)

func init() { bucket.Register(bucket.Vendors{Fault: fault, Opened: opened}) }

// opened sets up what the libraries would do otherwise than this project wants. Amazon's makes a request three times and Azure's four, which
// is well; Google's without end, and uploads so even if it is told a number: it leaves trying again to the driver.
func opened(b *blob.Bucket) {
	var google *storage.Client
	if b.As(&google) {
		google.SetRetry(storage.WithPolicy(storage.RetryNever))
	}
}

// fault tells what a vendor's error means, by the answer's status and the service's own name for it.
func fault(err error) bucket.Fault {
	var (
		amazon *awshttp.ResponseError
		named  smithy.APIError
		google *googleapi.Error
		azure  *azcore.ResponseError
	)
	status, code := 0, ""
	switch {
	case errors.Is(err, storage.ErrBucketNotExist):
		return bucket.FaultNoBucket
	case errors.As(err, &google):
		status = google.Code
		for _, e := range google.Errors {
			code = e.Reason
		}
	case errors.As(err, &azure):
		status, code = azure.StatusCode, azure.ErrorCode
	default:
		if errors.As(err, &amazon) {
			status = amazon.HTTPStatusCode()
		}
		if errors.As(err, &named) {
			code = named.ErrorCode()
		}
	}
	switch code {
	case "NoSuchBucket", "ContainerNotFound":
		return bucket.FaultNoBucket
	case "InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", // S3 has them also under status 200 or 400
		"ConditionalRequestConflict",                 // S3: somebody else writes the same key just now
		"rateLimitExceeded", "userRateLimitExceeded": // Google, also under 403
		return bucket.FaultTransient
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return bucket.FaultDenied
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests:
		return bucket.FaultTransient
	case status >= 500 && status != http.StatusNotImplemented:
		return bucket.FaultTransient
	}
	return bucket.FaultOther
}
