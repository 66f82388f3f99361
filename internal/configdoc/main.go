// Command configdoc generates docs/configuration.md, and the comments that
// `cachenode config example` prints, from the doc comments of the Options
// structs. With -check it changes nothing and fails when a file is not what it
// would write.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	check := flag.Bool("check", false, "only tell whether the files are current")
	flag.Parse()
	root, err := moduleRoot()
	if err != nil {
		log.Fatal(err)
	}
	if err := update(root, *check); err != nil {
		log.Fatal(err)
	}
}

// update writes the generated files below root, or compares them.
func update(root string, check bool) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	var errs []error
	for name, want := range files {
		path := filepath.Join(root, name)
		have, err := os.ReadFile(path)
		if err == nil && bytes.Equal(have, want) {
			continue
		}
		if check {
			errs = append(errs, fmt.Errorf("%s is not current: run 'make docs'", name))
			continue
		}
		errs = append(errs, os.WriteFile(path, want, 0o644))
	}
	return errors.Join(errs...)
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod here or above")
		}
		dir = parent
	}
	return "", err
}
