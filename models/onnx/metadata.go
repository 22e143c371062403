package onnx

import (
	"maps"
	"slices"
)

// metadataField is ModelProto.metadata_props, repeated StringStringEntryProto.
const metadataField = 14

// Metadata returns the metadata properties of a file. Of a key that stands twice the last counts. The error is an *Error.
func Metadata(file []byte) (map[string]string, error) {
	found := map[string]string{}
	err := walk(file, func(f field) error {
		if f.number != metadataField {
			return nil
		}
		var key, value string
		err := walk(f.bytes, func(f field) error {
			switch f.number {
			case 1:
				key = string(f.bytes)
			case 2:
				value = string(f.bytes)
			}
			return nil
		})
		found[key] = value
		return err
	})
	if err != nil {
		return nil, malformed("metadata: %v", err)
	}
	return found, nil
}

// WithMetadata returns the file with the given properties set, an empty value removing one, and all others and
// everything else as it stands. The properties come last, sorted by key. The error is an *Error.
func WithMetadata(file []byte, set map[string]string) ([]byte, error) {
	all, err := Metadata(file)
	if err != nil {
		return nil, err
	}
	for key, value := range set {
		if value == "" {
			delete(all, key)
		} else {
			all[key] = value
		}
	}
	out := make([]byte, 0, len(file)+256)
	err = walk(file, func(f field) error {
		if f.number != metadataField {
			out = append(out, f.raw...)
		}
		return nil
	})
	return appendMetadata(out, all), err
}

func appendMetadata(to []byte, properties map[string]string) []byte {
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		entry := appendMessage(nil, 1, []byte(key))
		to = appendMessage(to, metadataField, appendMessage(entry, 2, []byte(properties[key])))
	}
	return to
}
