//go:build !linux

package main

import (
	"errors"
	"os"
)

func isTerminal(any) bool { return false }

func readSecret(*os.File) (string, error) { return "", errors.ErrUnsupported }
