package crop

import (
	"bytes"
	"testing"

	"github.com/cspine/cspine/internal/npy"
	"github.com/cspine/cspine/internal/planezstd"
	"github.com/cspine/cspine/transforms"
)

// Shards copy a crop's frame behind another head, if it has been packed so.
func TestACropIsPackedBehindItsHeader(t *testing.T) {
	for _, shape := range [][]int{{15, 6, Size, Size}, {1, 6, 8, 8}, {1}} {
		tensor := npy.New(npy.Uint8, shape...)
		for i := range tensor.Data {
			tensor.Data[i] = byte(i * i >> 4)
		}
		frame, err := planezstd.Open(transforms.Packed(tensor, planes).Encode(nil, tensor.Bytes()))
		if err != nil {
			t.Fatalf("%v: %v", shape, err)
		}
		if !bytes.Equal(frame.Head, npy.Header(npy.Uint8, shape...)) || frame.Size != len(tensor.Data) {
			t.Errorf("%v: the head is %q, and %d bytes stand behind it", shape, frame.Head, frame.Size)
		}
		if got, want := frame.Append(nil, []byte("4")), planezstd.Append(nil, []byte("4"), tensor.Data, planes); !bytes.Equal(got, want) {
			t.Errorf("%v: its tensor alone is packed otherwise", shape)
		}
	}
}
