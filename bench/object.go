package bench

import (
	"bytes"
	"strconv"
)

// stamp is the field Bench-Object of the bench's origin: which object an answer
// carries, and the number of the origin's answer that it comes from.
type stamp struct {
	id        []byte
	version   uint64
	length    int64
	serial    uint64
	validated bool // the number is of a 304
}

// parseStamp reads "id=ID; v=VERSION; n=LENGTH; s=SERIAL[; validated]".
func parseStamp(b []byte) (s stamp, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte("id="))
	if !ok {
		return s, false
	}
	s.id, rest, ok = bytes.Cut(rest, []byte("; v="))
	if !ok {
		return s, false
	}
	v, rest, ok := bytes.Cut(rest, []byte("; n="))
	if !ok {
		return s, false
	}
	n, rest, ok := bytes.Cut(rest, []byte("; s="))
	if !ok {
		return s, false
	}
	serial, _, validated := bytes.Cut(rest, []byte("; validated"))
	version, ok1 := unsigned(v)
	length, ok2 := digits(n)
	number, ok3 := unsigned(serial)
	s.version, s.length, s.serial, s.validated = version, length, number, validated
	return s, ok1 && ok2 && ok3
}

func unsigned(b []byte) (uint64, bool) {
	if n, ok := digits(b); ok {
		return uint64(n), true
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}
