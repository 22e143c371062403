// Package bundled holds the models that come with cspine, so that it does something before anybody has trained anything.
//
// Invariants:
//   - A bundled model must have been trained by this project's own commands on its own phantoms: segmenter.sh and classifier.sh have
//     them, with their seeds. No patient's data may have touched it.
//   - A file must not exceed 8 MB.
package bundled

import _ "embed"

//go:embed segmenter.onnx
var segmenter []byte

// Segmenter returns the vertebra segmenter as an ONNX file: input volume [1,1,128,128,128], output probability
// [1,7,128,128,128]. It must not be changed.
func Segmenter() []byte { return segmenter }

//go:embed classifier.onnx
var classifier []byte

// Classifier returns the fracture classifier as an ONNX file: input crops [1,15,6,112,112], output slices [1,15], logits. It must not
// be changed.
func Classifier() []byte { return classifier }
