package artifacts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Record says what came of a recipe. It is the only way from a recipe to its output, and it is written
// after the object it names.
type Record struct {
	Format int    `json:"format"`
	Recipe Recipe `json:"recipe"`
	Output Output `json:"output"`
	// Note is what the transform wants remembered beside its output: small facts as JSON, no patient data.
	Note    json.RawMessage `json:"note,omitempty"`
	Created time.Time       `json:"created"`
	Seconds float64         `json:"seconds"` // what computing took, without storing
}

// Output names one stored object.
type Output struct {
	Digest   Digest   `json:"digest"` // of the unencoded bytes
	Size     int64    `json:"size"`   // unencoded bytes
	Stored   int64    `json:"stored"` // bytes in the store
	Encoding Encoding `json:"encoding"`
}

// recordFormat is the number of the record's layout described here and in encodeRecord.
const recordFormat = 1

// A record's file is one line of JSON whose last member is the SHA-256 sum of the line without it. A torn
// or damaged record is thus never taken for one that says something else.
const (
	checkOpen  = `,"check":"`
	checkClose = "\"}\n"
	checkLen   = len(checkOpen) + 2*len(Digest{}) + len(checkClose)
)

func encodeRecord(r Record) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("artifacts: record of %s: %w", r.Recipe.Transform, err)
	}
	check := DigestOf(line)
	line = append(line[:len(line)-1], checkOpen...)
	line = append(line, check.String()...)
	return append(line, checkClose...), nil
}

// parseRecord reads a record's file and checks it against the recipe digest it is filed under. All its
// errors wrap ErrCorrupt.
func parseRecord(file []byte, recipe Digest) (Record, error) {
	cut := len(file) - checkLen
	if cut < 1 || !bytes.HasPrefix(file[cut:], []byte(checkOpen)) || !bytes.HasSuffix(file, []byte(checkClose)) {
		return Record{}, corrupt("record %s ends without its check sum", recipe.Short())
	}
	line := append(file[:cut:cut], '}')
	if string(file[cut+len(checkOpen):len(file)-len(checkClose)]) != DigestOf(line).String() {
		return Record{}, corrupt("record %s does not match its check sum", recipe.Short())
	}
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, corrupt("record %s: %v", recipe.Short(), err)
	}
	if r.Format != recordFormat {
		return Record{}, corrupt("record %s has format %d, this program reads %d", recipe.Short(), r.Format, recordFormat)
	}
	if !r.Output.Encoding.known() || r.Output.Size < 0 || r.Output.Stored < 0 {
		return Record{}, corrupt("record %s names an impossible object", recipe.Short())
	}
	if got := r.Recipe.Digest(); got != recipe {
		return Record{}, corrupt("record %s holds the recipe %s", recipe.Short(), got.Short())
	}
	return r, nil
}
