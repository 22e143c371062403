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

// readSegmenter reads the ONNX files that a flag names, with commas between, and settles what m leaves open: engine and
// precision. It refuses, as wrong usage, what is no segmenter, or can't run here.
func readSegmenter(names string, m segment.Model) ([][]byte, segment.Model, error) {
	var files [][]byte
	for i, name := range strings.Split(names, ",") {
		before := m.Precision
		file, err := readModel(name)
		if err != nil {
			return nil, m, err
		}
		var wrong *models.Error
		switch err := m.Check(file); {
		case errors.As(err, &wrong) && wrong.Code == models.CodeNoEngine:
			return nil, m, err
		case err != nil:
			return nil, m, usage("--segmenter %s: %w", name, err)
		}
		if i > 0 && m.Precision != before {
			return nil, m, usage("--segmenter %s: quantised and float models can't be one ensemble: they need different precisions", names)
		}
		files = append(files, file)
	}
	return files, m, nil
}

func readModel(name string) ([]byte, error) {
	if name == bundledName {
		return bundled.Segmenter(), nil
	}
	file, err := models.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usage("--segmenter %s: there is no such file; give 'bundled', or ONNX files with commas between", name)
	}
	return file, err
}
