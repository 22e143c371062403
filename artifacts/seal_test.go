package artifacts

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"
)

func TestSealedJSONComesBack(t *testing.T) {
	v := map[string]any{"name": "neck", "shards": []int{1, 2}}
	file, err := SealJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	text, err := UnsealJSON(file)
	want, _ := json.MarshalIndent(v, "", "  ")
	if err != nil || string(text) != string(want)+"\n" {
		t.Errorf("%q, %v", text, err)
	}
	if again, err := UnsealJSON(text); err != nil || !bytes.Equal(again, text) {
		t.Errorf("without a seal: %q, %v", again, err)
	}
	for _, empty := range []any{struct{}{}, []int{1}, "x", nil} {
		if _, err := SealJSON(empty); err == nil {
			t.Errorf("%v was sealed", empty)
		}
	}
	shell := exec.Command("sh", "-c", "sed 2d | sha256sum")
	shell.Stdin = bytes.NewReader(file)
	if out, err := shell.Output(); err != nil || !bytes.Contains(file, bytes.Fields(out)[0]) {
		t.Errorf("sed and sha256sum say %s, %v", out, err)
	}
}

func TestEveryFlippedBitOfSealedJSONIsFound(t *testing.T) {
	file, err := SealJSON(map[string]any{"name": "neck", "shards": []int{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(file) {
		flipped := bytes.Clone(file)
		flipped[i/8] ^= 1 << (i % 8)
		if text, err := UnsealJSON(flipped); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d: %q, %v", i, text, err)
		}
	}
	for n := range file {
		if text, err := UnsealJSON(file[:n]); err == nil && json.Valid(text) {
			t.Errorf("cut to %d bytes: %q", n, text)
		}
	}
}
