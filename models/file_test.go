package models_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cspine/cspine/models"
)

func TestReadFileRefusesWhatIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.onnx")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(10<<30), f.Close()); err != nil { // takes no space
		t.Skip(err)
	}
	var refused *models.Error
	if _, err := models.ReadFile(path); !errors.As(err, &refused) || refused.Code != models.CodeNotONNX {
		t.Errorf("error is %v", err)
	}
	if _, err := models.ReadFile(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}
