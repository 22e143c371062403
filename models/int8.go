package models

import (
	"encoding/json"
	"fmt"

	"github.com/cspine/cspine/models/onnx"
)

// Int8Record says what a quantised model's accuracy is beside that of the model it was made from, both measured on the same
// samples. It lies in the ONNX file's metadata.
type Int8Record struct {
	Model   string  `json:"model"`   // SHA-256 of the file it was made from, hex
	Measure string  `json:"measure"` // what Float and Int8 are, such as "mean dice"
	Dataset string  `json:"dataset"` // the name of the data set
	Samples int     `json:"samples"`
	Float   float64 `json:"float"` // in float32
	Int8    float64 `json:"int8"`
}

// int8Key is the metadata property that holds an Int8Record as JSON.
const int8Key = "cspine.int8"

// WithInt8Record returns the file with the record in it.
func WithInt8Record(model []byte, r Int8Record) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("models: int8 record: %w", err)
	}
	return onnx.WithMetadata(model, map[string]string{int8Key: string(text)})
}

// ReadInt8Record returns the record of a quantised model. ok is false where there is none. The error is an *Error.
func ReadInt8Record(model []byte) (r Int8Record, ok bool, err error) {
	all, err := onnx.Metadata(model)
	if err != nil {
		return r, false, notONNX(err)
	}
	text, ok := all[int8Key]
	if !ok {
		return r, false, nil
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, false, &Error{Code: CodeNotONNX, Detail: "the metadata property " + int8Key + " is no int8 record", Err: err}
	}
	return r, true, nil
}

// Quantised tells whether a model is one, and so runs in INT8 alone. The error is an *Error.
func Quantised(model []byte) (bool, error) {
	m, err := onnx.Parse(model)
	if err != nil {
		return false, notONNX(err)
	}
	return m.Quantised(), nil
}

// checkInt8 tells whether a model may run in a precision: int8 is for quantised models of measured accuracy, and they run in nothing else.
func checkInt8(file []byte, m *onnx.Model, p Precision) error {
	switch quantised := m.Quantised(); {
	case !quantised && p != INT8:
		return nil
	case !quantised:
		return &Error{Code: CodePrecision, Detail: "int8 is asked for, and the model is not quantised", Remedy: "make a quantised one with cspine model quantise"}
	case p != INT8:
		return &Error{Code: CodePrecision, Detail: fmt.Sprintf("the model is quantised, and %s is asked for", p.orF32()),
			Remedy: "choose precision int8, or the float model it was made from"}
	}
	_, ok, err := ReadInt8Record(file)
	if err != nil {
		return err
	}
	if !ok {
		return &Error{Code: CodePrecision, Detail: "the model is quantised, and nobody has recorded what that costs in accuracy",
			Remedy: "make it with cspine model quantise, which measures it"}
	}
	return nil
}
