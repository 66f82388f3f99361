package http1

import "bytes"

// scanner looks for the end of a head that arrives in pieces, at each byte once.
type scanner struct {
	seen  int  // bytes looked at
	lined bool // the request line was whole when they were
}

// saw notes what an attempt to parse has looked at.
func (s *scanner) saw(b []byte) {
	s.seen = len(b)
	s.lined = bytes.IndexByte(b[min(len(b), 2):], '\n') >= 0
}

// eager is how much of a request line is looked at anew with each piece of it:
// what is none shows early.
const eager = 512

// worthwhile reports whether b, of which the beginning was looked at, has the
// end of a head, or more of a request line.
func (s *scanner) worthwhile(b []byte) bool {
	fresh := b[max(0, s.seen-3):]
	s.seen = len(b)
	if !s.lined {
		return len(b) <= eager || bytes.IndexByte(fresh, '\n') >= 0
	}
	return bytes.Contains(fresh, []byte("\n\r\n")) || bytes.Contains(fresh, []byte("\n\n"))
}
