package store

import (
	"errors"
	"fmt"
	"os"
)

// Errors of opening a store.
type (
	// LockedError says that another process has the store open.
	LockedError struct {
		Dir string
		PID int // of the holder, 0 when it is not known
	}
	// DirError says that the directory cannot be used.
	DirError struct {
		Dir string
		Err error
	}
)

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("%s is in use by process %d", e.Dir, e.PID)
}

func (e *DirError) Error() string {
	return fmt.Sprintf("%s cannot be used: %v", e.Dir, reason(e.Err))
}

func (e *DirError) Unwrap() error { return e.Err }

// reason takes the path off a file error: it has been said already.
func reason(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}

var (
	errOvertaken = errors.New("deleted while it was being written")
	errClosed    = errors.New("store is closed")
	errRefused   = errors.New("store is read-only")
)
