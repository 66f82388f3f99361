package strictyaml

import (
	"fmt"
	"strings"
)

// Severity tells what stops a configuration from being used from what does not.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing wrong with a file.
type Problem struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`   // from 1; 0 when the file does not mention the key
	Column   int      `json:"column"` // from 1, in characters
	Key      string   `json:"key,omitempty"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	// Suggestion is what the writer probably meant, empty if nothing is near.
	Suggestion string `json:"suggestion,omitempty"`
	// Source is the line of the file.
	Source string `json:"source,omitempty"`
}

// Error is the problem on one line: file:line:col: message.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&b, "; did you mean %q?", p.Suggestion)
	}
	return b.String()
}

// Detail is Error followed by the line of the file with a caret under the place.
func (p Problem) Detail() string {
	if p.Source == "" {
		return p.Error()
	}
	return p.Error() + "\n  " + p.Source + "\n  " + indentLike(p.Source, p.Column-1) + "^"
}

// indentLike is as wide as the first n characters of line, also where those are
// tabs.
func indentLike(line string, n int) string {
	var b strings.Builder
	for i, r := range []rune(line) {
		if i >= n {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Problems are all problems of a file, in its order.
type Problems []Problem

// Error lists every problem with its line and caret.
func (ps Problems) Error() string {
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = p.Detail()
	}
	return strings.Join(parts, "\n")
}

// Errors counts the problems that are not mere warnings.
func (ps Problems) Errors() int {
	n := 0
	for _, p := range ps {
		if p.Severity == Error {
			n++
		}
	}
	return n
}
