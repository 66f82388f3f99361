package cache

import (
	"iter"
	"strings"
)

// elements yields the members of a list field (RFC 9110 §5.6.1), without
// surrounding white space and without empty ones. Commas in quoted strings do
// not separate. From a quote on that is never closed, quotes are ordinary bytes:
// it cannot hide the directives behind it.
func elements(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			quotes := true
			for line != "" {
				n := 0
				n, quotes = elementEnd(line, quotes)
				e := trimOWS(line[:n])
				if e != "" && !yield(e) {
					return
				}
				line = line[min(n+1, len(line)):]
			}
		}
	}
}

// elementEnd is the index of the first comma outside quoted strings, or len(s).
// It looks for those only if quotes is true, and reports whether to go on so.
func elementEnd(s string, quotes bool) (int, bool) {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ',':
			return i, quotes
		case s[i] == '"' && quotes:
			if end := quotedEnd(s, i); end > 0 {
				i = end - 1
			} else {
				quotes = false
			}
		}
	}
	return len(s), quotes
}

// quotedEnd is the index behind the quoted string that starts at s[open], or -1
// when it is never closed.
func quotedEnd(s string, open int) int {
	for i := open + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

func trimOWS(s string) string { return strings.Trim(s, " \t") }

// isToken reports a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// digits reads a run of digits, saturating at limit, which is at most
// maxOffset; false for anything else.
func digits(s string, limit int64) (int64, bool) {
	if s == "" {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if n < limit {
			n = min(n*10+int64(c-'0'), limit)
		}
	}
	return n, true
}
