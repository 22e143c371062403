package nets

import "github.com/cspine/cspine/models/onnx"

// EncoderAlone builds an encoder with the weights that it has in a classifier of that seed: images [1, 6, size, size] to features [1, F].
func EncoderAlone(e Encoder, size int, seed uint64) ([]byte, error) {
	l := newLayers(e.name, 2, seed)
	y := e.vector(l, tensor{l.Input("images", onnx.Fixed(1, planes, size, size)), planes, size})
	l.Output(y.name, onnx.Fixed(1, y.width))
	return l.Bytes()
}
