package main

import (
	"path/filepath"
	"testing"
)

// docs/configuration.md says what the Options say.
func TestDocumentsAreCurrent(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := update(root, true); err != nil {
		t.Error(err)
	}
}
