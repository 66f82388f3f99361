package outdated

import (
	"errors"
	"strings"
)

// A batch is keys, each followed by a line feed, which no key has.
const separator = "\n"

var errBatch = errors.New("malformed batch of keys")

func appendKeys(b []byte, keys []string) []byte {
	for _, key := range keys {
		b = append(b, key...)
		b = append(b, separator...)
	}
	return b
}

// Parse reads a batch. More keys than a batch has, or none, are an error.
func Parse(b []byte) ([]string, error) {
	s, whole := strings.CutSuffix(string(b), separator)
	if !whole || len(b) > MaxBatch || strings.Count(s, separator) >= batchKeys {
		return nil, errBatch
	}
	keys := strings.Split(s, separator)
	for _, key := range keys {
		if key == "" || len(key) > longestKey {
			return nil, errBatch
		}
	}
	return keys, nil
}
