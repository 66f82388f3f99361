package leash

import "context"

// Hook has a function called when a context ends, by a method of the context that
// takes less than context.AfterFunc where it has one, as a Leash does. The zero
// value is ready for one Set.
type Hook struct {
	own  enlister // nil: stop it is
	seat int
	stop func() bool // nil: the context never ends
}

type enlister interface {
	Enlist(f func()) (seat int)
	Dismiss(seat int) bool
}

// Set has f called in a goroutine of its own once ctx has ended.
func (h *Hook) Set(ctx context.Context, f func()) {
	if own, ok := ctx.(enlister); ok {
		h.own, h.seat = own, own.Enlist(f)
	} else if ctx.Done() != nil {
		h.stop = context.AfterFunc(ctx, f)
	}
}

// Unset reports whether the function has not been called, and now will not be; the
// second time it does nothing and returns true.
func (h *Hook) Unset() bool {
	own, stop := h.own, h.stop
	h.own, h.stop = nil, nil
	switch {
	case own != nil:
		return own.Dismiss(h.seat)
	case stop != nil:
		return stop()
	}
	return true
}
