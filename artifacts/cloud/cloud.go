// Package cloud teaches artifacts.Open the addresses s3://, gs:// and azblob://. It must be imported, for
// its effect alone, by every program that opens a store in a cloud; it stands apart so that programs and
// tests that don't need not carry three vendors' libraries (50 MB in a binary).
package cloud

import (
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/s3blob"
)
