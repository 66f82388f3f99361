package strictyaml

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// MaxSize is the longest file that is read, in bytes.
const MaxSize = 1 << 20

// What a file may have of each is far beyond what any options need: the time and
// the stack that the parser takes grow with the square of some of them.
const (
	maxDepth  = 64
	maxKeys   = 5000
	maxTokens = 100_000
	maxOdd    = 100 // of what is wrong anyhow, so that few are found by the parser
)

// excess returns the token that is one too many for the parser, and why.
func excess(tokens token.Tokens) (*token.Token, string) {
	var s shape
	for i, t := range tokens {
		s.add(tokens, i)
		switch {
		case s.deep():
			return t, fmt.Sprintf("lists and maps are nested too deeply: more than %d levels", maxDepth)
		case s.keys > maxKeys:
			return t, fmt.Sprintf("the file has more than %d keys", maxKeys)
		case s.odd > maxOdd:
			return t, s.why
		case i >= maxTokens:
			return t, fmt.Sprintf("the file has more than %d words and signs", maxTokens)
		}
	}
	return nil, ""
}

// shape is what tokens make, as far as can be told without parsing: it is never
// flatter than what the parser will find.
type shape struct {
	flow  int   // open brackets
	block []int // columns in which lists and maps that are open begin, ascending
	keys  int
	odd   int
	why   string // what is wrong with the last odd one
}

func (s *shape) deep() bool { return s.flow+len(s.block) > maxDepth }

func (s *shape) add(tokens token.Tokens, i int) {
	t := tokens[i]
	if i > 0 && closes(tokens[i-1]) && opens(t) && tokens[i-1].Position.Line == t.Position.Line {
		s.wrong("values stand side by side")
	}
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		s.flow++
	case token.SequenceEndType, token.MappingEndType:
		if s.flow--; s.flow < 0 {
			s.flow = 0
			s.wrong("brackets are closed that were not opened")
		}
	case token.SequenceEntryType:
		s.begin(t)
	case token.MappingKeyType:
		s.begin(t)
		s.wrong("keys that begin with a question mark are not supported here")
	case token.MappingValueType:
		s.keys++
		if i > 0 {
			s.begin(tokens[i-1]) // its key
		}
	case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
		s.wrong(notSupported)
	}
}

func (s *shape) wrong(why string) { s.odd, s.why = s.odd+1, why }

// opens reports whether a value begins at t, and closes whether one ends there.
func opens(t *token.Token) bool {
	return isValue(t) || t.Type == token.SequenceStartType || t.Type == token.MappingStartType
}

func closes(t *token.Token) bool {
	return isValue(t) || t.Type == token.SequenceEndType || t.Type == token.MappingEndType
}

func isValue(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.SingleQuoteType, token.DoubleQuoteType, token.BoolType, token.NullType,
		token.IntegerType, token.FloatType, token.InfinityType, token.NanType:
		return true
	}
	return false
}

// begin notes what begins at t, and so ends what began right of it.
func (s *shape) begin(t *token.Token) {
	if s.flow > 0 || t.Position == nil {
		return
	}
	n := len(s.block)
	for n > 0 && s.block[n-1] >= t.Position.Column {
		n--
	}
	s.block = append(s.block[:n], t.Position.Column)
}
