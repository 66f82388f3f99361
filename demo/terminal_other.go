//go:build !linux

package demo

import (
	"context"
	"errors"
	"os"
)

// isTerminal is false: the view is drawn on Linux only.
func isTerminal(*os.File) bool { return false }

func sizeOf(*os.File) (width, height int) { return 80, 24 }

func keystrokes(*os.File) (undo func() error, err error) { return nil, errors.ErrUnsupported }

func readKeys(context.Context, *os.File, chan<- byte) error { return nil }
