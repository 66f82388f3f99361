package node

import "errors"

// Fault is an error that says what to do about it.
type Fault struct {
	Err  error
	Hint string // the next command to try, or what to change
	// Config says that the configuration, or a directory it names, is to blame:
	// trying again does not help until somebody has changed it.
	Config bool
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// HintOf returns the hint of err or of an error it wraps, "" when there is none.
func HintOf(err error) string {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Hint
	}
	return ""
}

// IsConfig reports whether the configuration is to blame for err.
func IsConfig(err error) bool {
	f, ok := errors.AsType[*Fault](err)
	return ok && f.Config
}
