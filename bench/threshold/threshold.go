// Package threshold reads and checks the conditions of --fail-under, such as
// "p99<20ms, hit>0.8, miss.p99.9<=1s, errors=0". It knows the names of the
// metrics, their units and where a result has them; what happens when one is
// missed is not its business.
package threshold

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Op is how a measured value is compared with a limit.
type Op string

// The comparisons.
const (
	Less    Op = "<"
	AtMost  Op = "<="
	More    Op = ">"
	AtLeast Op = ">="
	Equal   Op = "="
	Unequal Op = "!="
)

// Condition is one condition that a run is to meet.
type Condition struct {
	Class  string // "" for all requests, else one of Classes
	Metric Metric
	Op     Op
	Value  float64 // in the unit of the metric: seconds, a ratio, a number, bytes a second
}

// String is the condition in its canonical form, which Parse reads again.
func (c Condition) String() string {
	return c.name() + string(c.Op) + c.Metric.Format(c.Value)
}

func (c Condition) name() string {
	if c.Class == "" {
		return c.Metric.Name
	}
	return c.Class + "." + c.Metric.Name
}

// Value is where the measured values come from: that of a metric, for all
// requests (class "") or one class; ok is false for what was not measured.
type Value func(class, metric string) (value float64, ok bool)

// Miss is a condition that was not met.
type Miss struct {
	Condition Condition
	Got       float64
	Measured  bool // false: there is no such value, which meets nothing
}

// String says what was wanted and what came.
func (m Miss) String() string {
	if !m.Measured {
		return fmt.Sprintf("%s: not measured", m.Condition)
	}
	return fmt.Sprintf("%s: is %s", m.Condition, m.Condition.Metric.Format(m.Got))
}

// Check returns the conditions that are not met, in their order. A value that
// was not measured does not meet any condition.
func Check(conditions []Condition, value Value) []Miss {
	var missed []Miss
	for _, c := range conditions {
		got, ok := value(c.Class, c.Metric.Name)
		ok = ok && !math.IsNaN(got)
		if !ok || !c.Op.holds(got, c.Value) {
			missed = append(missed, Miss{Condition: c, Got: got, Measured: ok})
		}
	}
	return missed
}

func (o Op) holds(got, limit float64) bool {
	switch o {
	case Less:
		return got < limit
	case AtMost:
		return got <= limit
	case More:
		return got > limit
	case AtLeast:
		return got >= limit
	case Equal:
		return got == limit
	case Unequal:
		return got != limit
	}
	return false
}

// Error is one mistake in the text of the conditions.
type Error struct {
	Text    string // all that was given
	Offset  int    // of the mistake, in bytes
	Message string
	Help    string // what could be written there; may be empty
}

// Error shows the text with a caret under the mistake, and the help below.
func (e *Error) Error() string {
	column := len([]rune(strings.ToValidUTF8(e.Text[:e.Offset], "?")))
	said := fmt.Sprintf("%s\n  %s\n  %s^", e.Message, printable(e.Text), strings.Repeat(" ", column))
	if e.Help != "" {
		said += "\n" + e.Help
	}
	return said
}

// printable keeps the columns and replaces what would move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// Parse reads conditions separated by commas; space around every part is
// allowed. It reports every mistake, each as an *Error joined by errors.Join.
func Parse(text string) ([]Condition, error) {
	var (
		conditions []Condition
		problems   []error
	)
	for start := 0; start <= len(text); {
		part, _, _ := strings.Cut(text[start:], ",")
		c, offset, err := parseOne(part)
		if err != nil {
			message, help, _ := strings.Cut(err.Error(), "\n")
			problems = append(problems, &Error{Text: text, Offset: start + offset, Message: message, Help: help})
		} else {
			conditions = append(conditions, c)
		}
		start += len(part) + 1
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return conditions, nil
}

// parseOne reads one condition; the offset is where a mistake begins in it.
func parseOne(part string) (c Condition, offset int, err error) {
	begin := len(part) - len(strings.TrimLeft(part, space))
	if begin == len(part) {
		return c, 0, errors.New("a condition is missing: want METRIC OP VALUE, such as p99<20ms")
	}
	at := strings.IndexAny(part, "<>=!")
	if at < 0 {
		end := len(strings.TrimRight(part, space))
		return c, end, errors.New("a comparison is missing: want one of < <= > >= = !=")
	}
	name := strings.Trim(part[:at], space)
	if c.Class, c.Metric, err = lookup(name); err != nil {
		return c, begin, err
	}
	op, err := readOp(part[at:])
	if err != nil {
		return c, at, err
	}
	c.Op = op
	rest := part[at+len(op):]
	value := strings.Trim(rest, space)
	if c.Value, err = c.Metric.parse(value); err != nil {
		return c, len(part) - len(strings.TrimLeft(rest, space)), err
	}
	return c, 0, nil
}

const space = " \t"

func readOp(s string) (Op, error) {
	end := 0
	for end < len(s) && strings.IndexByte("<>=!", s[end]) >= 0 {
		end++
	}
	switch op := Op(s[:end]); op {
	case Less, AtMost, More, AtLeast, Equal, Unequal:
		return op, nil
	}
	return "", fmt.Errorf("unknown comparison %q: want one of < <= > >= = !=", s[:end])
}
