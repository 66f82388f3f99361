package strictyaml

import (
	"net/netip"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// unquoted finds what was meant as one value, and is none without quotes: an
// IPv6 address in its brackets with a port, which begins a list, and within
// braces an address with a port in a list, which the parser takes for a key and
// its value.
func (d *decoder) unquoted(tokens token.Tokens) {
	var open []token.Type // the brackets around
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if t.Position == nil {
			continue
		}
		switch t.Type {
		case token.SequenceStartType:
			if s := bracketed(d.file.rest(t)); s != "" {
				d.refuse(placeOf(t), wantsQuotes(s))
				i = skip(tokens, i, len([]rune(s)))
				continue
			}
			open = append(open, t.Type)
		case token.MappingStartType:
			open = append(open, t.Type)
		case token.SequenceEndType, token.MappingEndType:
			open = open[:max(0, len(open)-1)]
		case token.MappingValueType:
			if len(open) == 0 || open[len(open)-1] != token.SequenceStartType {
				continue
			}
			if from := itemOf(tokens, i); from != nil {
				s := item(d.file.rest(from))
				d.refuse(placeOf(from), wantsQuotes(s))
				i = skip(tokens, i, len([]rune(s))-(t.Position.Column-from.Position.Column))
			}
		}
	}
}

func wantsQuotes(s string) string { return "this must be in quotes here: \"" + s + "\"" }

// rest is the line of the file from t on.
func (f *File) rest(t *token.Token) string {
	at := placeOf(t)
	if at.line < 1 || at.line > len(f.lines) {
		return ""
	}
	line := []rune(f.lines[at.line-1])
	return string(line[min(max(at.column-1, 0), len(line)):])
}

// bracketed is the address in brackets, with its port, that s begins with.
func bracketed(s string) string {
	inner, behind, _ := strings.Cut(strings.TrimPrefix(s, "["), "]")
	a, err := netip.ParseAddr(inner)
	port := behind[:len(behind)-len(strings.TrimLeft(behind, ":0123456789"))]
	if err != nil || !a.Is6() || len(port) < 2 || port[0] != ':' {
		return ""
	}
	return "[" + inner + "]" + port
}

// itemOf is the first token of the list's entry whose colon is the token i, if
// the colon is not one between a key and a value: nothing but that touches both.
func itemOf(tokens token.Tokens, i int) *token.Token {
	t := tokens[i]
	if i == 0 || i+1 == len(tokens) {
		return nil
	}
	before, behind := tokens[i-1], tokens[i+1]
	switch before.Type {
	case token.SequenceStartType, token.CollectEntryType: // no key
		return t
	case token.SingleQuoteType, token.DoubleQuoteType, token.MappingEndType, token.SequenceEndType:
		return nil
	}
	if behind.Position == nil || before.Position == nil || behind.Position.Line != t.Position.Line ||
		behind.Position.Column != t.Position.Column+1 {
		return nil
	}
	return before
}

// item is the entry of a list that s begins with.
func item(s string) string {
	end := strings.IndexAny(s, ",]}")
	if end < 0 {
		end = len(s)
	}
	s, _, _ = strings.Cut(s[:end], " #")
	return strings.TrimSpace(s)
}

// skip is the index of the last token that begins within n characters from the
// token i on.
func skip(tokens token.Tokens, i, n int) int {
	from := tokens[i].Position
	for i+1 < len(tokens) {
		p := tokens[i+1].Position
		if p == nil || p.Line != from.Line || p.Column >= from.Column+n {
			break
		}
		i++
	}
	return i
}
