package store

import (
	"os"
	"path/filepath"
)

// DieOpening begins to open a store and ends the process before the index is
// open.
func DieOpening(o Options) {
	sf, err := openState(filepath.Join(o.Dir, "segments", "state"))
	if err == nil {
		_, err = sf.start()
	}
	if err != nil {
		panic(err)
	}
	os.Exit(9)
}
