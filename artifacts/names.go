package artifacts

import (
	"context"
	"encoding/json"
	"strings"
)

const manifestSuffix = ".parquet"

// isRunManifest reports whether a key is where runs' manifests lie: runs/<name>/<id>.parquet.
func isRunManifest(key string) bool {
	return strings.HasPrefix(key, "runs/") && strings.Count(key, "/") == 2 && strings.HasSuffix(key, manifestSuffix)
}

// isDatasetManifest reports whether a key is where data sets' manifests lie: datasets/<name>/manifest.json.
func isDatasetManifest(key string) bool {
	parts := strings.Split(key, "/")
	return len(parts) == 3 && parts[0] == "datasets" && parts[2] == "manifest.json"
}

// names calls see with the digest of everything the record names.
func (r *Record) names(see func(Digest)) {
	see(r.Output.Digest)
	for _, in := range r.Recipe.Inputs {
		see(in.Digest)
	}
	digestsIn(r.Note, see)
}

// readJSON returns the text of a named JSON file that is whole. Where it is not, the error wraps ErrCorrupt.
func (s *Store) readJSON(ctx context.Context, key string) ([]byte, error) {
	file, err := s.driver.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	text, err := UnsealJSON(file)
	if err == nil && !json.Valid(text) {
		err = corrupt("it is no JSON")
	}
	return text, err
}

// digestsIn calls see with every digest that stands in text: 64 hexadecimal digits with no others before or behind them.
func digestsIn(text []byte, see func(Digest)) {
	const length = 2 * len(Digest{})
	start := 0
	for at := 0; at <= len(text); at++ {
		if at < len(text) && isHexDigit(text[at]) {
			continue
		}
		if at-start == length {
			if d, err := ParseDigest(string(text[start:at])); err == nil {
				see(d)
			}
		}
		start = at + 1
	}
}
