package dicom

import (
	"errors"

	"github.com/cspine/cspine/internal/dicom/sandbox"
)

var sandboxCodecs = map[TransferSyntax]sandbox.Codec{
	JPEGBaseline: sandbox.JPEG, JPEGExtended: sandbox.JPEG,
	JPEG2000Lossless: sandbox.JPEG2000, JPEG2000: sandbox.JPEG2000, HTJ2KLossless: sandbox.HTJ2K, HTJ2KLosslessRPCL: sandbox.HTJ2K, HTJ2K: sandbox.HTJ2K,
}

// sandboxed decodes a frame to its bytes, samples of BitsAllocated bits in little endian.
func (f *PixelFormat) sandboxed(data []byte) ([]byte, error) {
	b, err := sandbox.Decode(sandboxCodecs[f.TransferSyntax], data,
		sandbox.Image{Rows: f.Rows, Columns: f.Columns, BitsAllocated: f.BitsAllocated, BitsStored: f.BitsStored, Signed: f.Signed})
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, sandbox.ErrMalformed):
		return nil, &Error{Code: Malformed, Tag: tagPixelData.String(), Detail: "the image cannot be decoded as " + f.TransferSyntax.Name(), Remedy: remedyCopyAgain, Err: err}
	case errors.Is(err, sandbox.ErrTooMuch):
		return nil, &Error{Code: Malformed, Tag: tagPixelData.String(), Detail: "the image cannot be decoded as " + f.TransferSyntax.Name(), Remedy: remedyTranscode, Err: err}
	}
	return nil, err
}
