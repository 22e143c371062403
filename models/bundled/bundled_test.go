package bundled

import (
	"slices"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/onnx"
)

func TestClassifierIsSmallCalibratedAndTakesVertebrae(t *testing.T) {
	if n := len(Classifier()); n > 8<<20 {
		t.Errorf("%d bytes are more than 8 MB", n)
	}
	info, err := models.Info(Classifier())
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Inputs) != 1 || !slices.Equal(info.Inputs[0].Shape, []int64{1, 15, 6, 112, 112}) ||
		len(info.Outputs) != 1 || !slices.Equal(info.Outputs[0].Shape, []int64{1, 15}) {
		t.Errorf("ports are %v and %v", info.Inputs, info.Outputs)
	}
	properties, err := onnx.Metadata(Classifier())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cspine.training", "cspine.prior", "cspine.calibration"} {
		if properties[key] == "" {
			t.Errorf("its metadata have no %s", key)
		}
	}
}

func TestSegmenterIsSmallAndTakesVolumes(t *testing.T) {
	if n := len(Segmenter()); n > 8<<20 {
		t.Errorf("%d bytes are more than 8 MB", n)
	}
	info, err := models.Info(Segmenter())
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Inputs) != 1 || !slices.Equal(info.Inputs[0].Shape, []int64{1, 1, 128, 128, 128}) ||
		len(info.Outputs) != 1 || !slices.Equal(info.Outputs[0].Shape, []int64{1, 7, 128, 128, 128}) {
		t.Errorf("ports are %v and %v", info.Inputs, info.Outputs)
	}
}
