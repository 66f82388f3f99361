// Package cache is RFC 9111 as pure functions: what may be stored, what may be
// served, what must be validated, and why. It reads no clock and does no I/O;
// package cache/store keeps the objects.
package cache

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/internal/prefetch"
)

// Meta describes one stored response. It is immutable once handed to a Store;
// a change (a 304, say) makes a new Meta.
type Meta struct {
	// Key is the primary cache key (RFC 9111 §2): the target URI as Key
	// normalises it.
	Key string
	// Vary holds the selecting fields (RFC 9111 §4.1) that the response named
	// and the normalised values the storing request had, sorted by name. Nil:
	// the response does not vary.
	Vary []Selector
	// Status is the status code to serve; a stored 206 keeps 206 and has Spans.
	Status int
	// Header holds the fields as received, less hop-by-hop and connection
	// fields and those that no-cache or private lists forbid to reuse.
	Header http.Header
	// Requested and Received are request_time and response_time of RFC 9111
	// §4.2.3, by the wall clock of this node.
	Requested, Received time.Time
	// Steady is Received by a clock that only goes forth, for differences alone:
	// what it says of the date means nothing. Zero: Received is of this process,
	// and has that clock's reading itself.
	Steady time.Time
	// Length is the number of body bytes kept.
	Length int64
	// Total is the complete length of the representation: Length, unless Spans
	// is set.
	Total int64
	// Spans says which bytes of the representation the body holds, ascending
	// and disjoint, their lengths adding up to Length. Nil: all of it.
	Spans []Span

	parsed atomic.Pointer[parsed] // the fields above, read once
	beside atomic.Value
}

// Attach keeps v beside m for whoever answers from m again: what has been made
// of it once, about the size of the header. It must have the same type each time.
func (m *Meta) Attach(v any) { m.beside.Store(v) }

// Attached is what Attach kept last, nil for nothing.
func (m *Meta) Attached() any { return m.beside.Load() }

// Prefetch asks the memory for what Reuse reads besides m.
func (m *Meta) Prefetch() {
	if c := m.parsed.Load(); c != nil {
		prefetch.Of(c)
	}
}

// Selector is one selecting field of a stored response.
type Selector struct {
	Name  string // lower case
	Value string // normalised; absent and empty are told apart by Present
	// Present says whether the storing request had the field at all.
	Present bool
}

// Span is a run of bytes of a representation.
type Span struct{ Off, Len int64 }

// End is the offset behind the last byte.
func (s Span) End() int64 { return s.Off + s.Len }
