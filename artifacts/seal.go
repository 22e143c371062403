package artifacts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A sealed JSON file carries, on its second line, the SHA-256 sum of the text without that line:
// 'sed 2d file | sha256sum' prints it.
const (
	jsonOpen   = "{\n"
	checkLeft  = `  "check": "`
	checkRight = "\",\n"
	checkLine  = len(checkLeft) + 2*len(Digest{}) + len(checkRight)
)

// SealJSON returns v as indented JSON with a check sum, for named files that say what is read or kept. v must be encoded
// as an object with at least one member, none of them named "check".
func SealJSON(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("artifacts: seal: %w", err)
	}
	text = append(text, '\n')
	if !bytes.HasPrefix(text, []byte(jsonOpen)) {
		return nil, errors.New("artifacts: seal: this is no object with members")
	}
	check := checkLeft + DigestOf(text).String() + checkRight
	return slices.Concat(text[:len(jsonOpen)], []byte(check), text[len(jsonOpen):]), nil
}

// UnsealJSON returns the text that SealJSON was given, which is the file without its check sum; a file that carries none,
// as older programs wrote it, it returns as it is. An error wraps ErrCorrupt: the text is not what was sealed.
func UnsealJSON(file []byte) ([]byte, error) {
	if len(file) < len(jsonOpen)+checkLine {
		return file, nil
	}
	head, line, rest := file[:len(jsonOpen)], file[len(jsonOpen):][:checkLine], file[len(jsonOpen)+checkLine:]
	text := slices.Concat(head, rest)
	named := bytes.HasPrefix(line, []byte(checkLeft)) && bytes.HasSuffix(line, []byte(checkRight))
	sum := line[len(checkLeft) : len(checkLeft)+2*len(Digest{})]
	matches := string(sum) == DigestOf(text).String()
	switch {
	case named && matches:
		return text, nil
	case named:
		return nil, corrupt("it does not match its check sum")
	case matches: // only the words round the sum are damaged
		return nil, corrupt("the line of its check sum is damaged")
	}
	return file, nil
}
