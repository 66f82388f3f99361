// Package steer sends packets of TCP connections that this machine does not have
// on to the one that had the virtual address before, by a small program at the
// entrance of the interface (tcx). New connections and those of this machine are
// not touched. It knows nothing of elections: whom to send to, and for how long,
// is said by its caller.
//
// The design is docs/design/0013-hand-over.md.
package steer

//go:generate ./compile.sh forward.o
