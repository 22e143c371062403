package tensorboard

import (
	"bytes"
	_ "embed"
	"testing"
)

//go:embed testdata/events.bin
var events []byte

func TestEventsAreThoseOfTensorBoardsOwnWriter(t *testing.T) {
	file := AppendStart(nil, 1700000000.25)
	file = Append(file, 1700000001.5, 0, Scalar{"loss/train", 0.75})
	file = Append(file, 1700000002.5, 240, Scalar{"loss/train", 0.5}, Scalar{"dice/C1", 0.1}, Scalar{"learning_rate", 3e-4})
	file = Append(file, 1700000003.5, 1<<33, Scalar{"dice/mean", 1})
	if !bytes.Equal(file, events) {
		t.Errorf("got\n%x\nwant\n%x", file, events)
	}
}
