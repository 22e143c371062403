package nets_test

import (
	"bytes"
	"testing"

	"github.com/cspine/cspine/models"
	"github.com/cspine/cspine/models/nets"
)

type architecture interface {
	Build(seed uint64) ([]byte, error)
}

func TestSameSeedSameBytes(t *testing.T) {
	for name, n := range map[string]architecture{
		"unet-small": nets.UNetSmall{Size: 32},
	} {
		var files [3][]byte
		for i, seed := range []uint64{7, 7, 8} {
			var err error
			if files[i], err = n.Build(seed); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("%s: one seed, two files", name)
		}
		if bytes.Equal(files[0], files[2]) {
			t.Errorf("%s: two seeds, one file", name)
		}
	}
}

func TestUNetSmallFitsItsBudget(t *testing.T) {
	file, err := nets.UNetSmall{}.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	if len(file) > 8e6 {
		t.Errorf("%d bytes, want at most 8 MB", len(file))
	}
	if info, err := models.Info(file); err != nil || info.Parameters != 1716475 {
		t.Errorf("%d parameters, error %v", info.Parameters, err)
	}
}
