package nifti

import (
	"encoding/binary"
	"math"
)

// Labels returns the image as a label map in Data's order. Values may be stored in any type and scaled,
// as long as every one is an integer from 0 to 255; otherwise the error is an *Error with CodeNotLabels.
// The result may share memory with Data.
func (im *Image) Labels() ([]uint8, error) {
	if im.DType == Uint8 && !im.scaled() {
		return im.Data, nil
	}
	out := make([]uint8, im.Voxels())
	if im.narrow(out) {
		return out, nil
	}
	for i := range out {
		v := im.Value(i)
		if !(v >= 0 && v <= 255) || v != math.Trunc(v) {
			return nil, refuse(CodeNotLabels, "voxel %d has the value %g; labels are integers from 0 to 255", i, v)
		}
		out[i] = uint8(v)
	}
	return out, nil
}

// narrow fills out from plain 16-bit values, the second most common type of label maps, and reports
// whether it could.
func (im *Image) narrow(out []uint8) bool {
	if (im.DType != Int16 && im.DType != Uint16) || im.scaled() {
		return false
	}
	high := uint16(0)
	for i := range out {
		v := binary.LittleEndian.Uint16(im.Data[2*i:])
		high |= v
		out[i] = uint8(v)
	}
	return high <= 255
}
