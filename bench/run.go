package bench

import (
	"context"
	"errors"
)

// Run drives the load that c describes and returns what it measured. progress,
// if not nil, is called about once a second from one goroutine.
//
// When ctx ends early the result of what was done is returned, with Interrupted
// set and no error. An error means that there is no result; see HintOf.
func Run(ctx context.Context, c Config, progress func(Snapshot)) (*Result, error) {
	return nil, errors.New("the load loop is not built yet")
}

// HintOf returns what to do about an error of Run, "" when there is no advice.
func HintOf(err error) string {
	if e, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return e.Hint()
	}
	return ""
}
