package main

import (
	"errors"
	"os"
	"strings"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/bundled"
	"github.com/cspine/cspine/transforms/segment"
)

// bundledName is what the models that come with the program are called by.
const bundledName = "bundled"

// readSegmenter reads the segmenters that a flag names, and settles what m leaves open: engine and precision.
func readSegmenter(names string, m segment.Model) ([][]byte, segment.Model, error) {
	files, err := readModels("--segmenter", names, bundled.Segmenter(), &m.Precision, m.Check)
	return files, m, err
}

// readModels reads the ONNX files that a flag names, with commas between; shipped is the one called bundledName. check says what is wrong with one, and may settle the precision, which must
// be the same for all. What is not of the kind, or can't run here, is refused as wrong usage.
func readModels(flag, names string, shipped []byte, precision *string, check func(file []byte) error) ([][]byte, error) {
	var files [][]byte
	for i, name := range strings.Split(names, ",") {
		before := *precision
		file, err := readModel(flag, name, shipped)
		if err != nil {
			return nil, err
		}
		var wrong *models.Error
		switch err := check(file); {
		case errors.As(err, &wrong) && wrong.Code == models.CodeNoEngine:
			return nil, err
		case err != nil:
			return nil, usage("%s %s: %w", flag, name, err)
		case i > 0 && *precision != before:
			return nil, usage("%s %s: quantised and float models can't be one ensemble: they need different precisions", flag, names)
		}
		files = append(files, file)
	}
	return files, nil
}

func readModel(flag, name string, shipped []byte) ([]byte, error) {
	if name == bundledName {
		return shipped, nil
	}
	file, err := models.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usage("%s %s: there is no such file; give 'bundled', or ONNX files with commas between", flag, name)
	}
	return file, err
}
