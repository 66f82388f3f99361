package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes the document.
func (d *Document) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

// Read reads a document that JSON wrote.
func Read(r io.Reader) (*Document, error) {
	var d Document
	if err := json.NewDecoder(r).Decode(&d); err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	if d.Kind != "bench" || d.Version != SchemaVersion {
		return nil, fmt.Errorf("read result: kind %q of version %d: want \"bench\" of version %d", d.Kind, d.Version, SchemaVersion)
	}
	return &d, nil
}
