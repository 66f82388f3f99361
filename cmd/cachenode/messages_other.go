//go:build !linux

package main

import (
	"errors"
	"os"
)

// openAgain is not possible here.
func openAgain(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
