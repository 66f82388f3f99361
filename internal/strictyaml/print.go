package strictyaml

import (
	"encoding"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// Style says how Print writes.
type Style struct {
	// Comment returns the text that stands above a key, by its path; "": none.
	// Nil: no comments at all.
	Comment func(path string) string
	// Disabled writes every value behind a #, to be switched on by removing
	// that character.
	Disabled bool
}

// Redacted stands where a secret would.
const Redacted = "(redacted)"

// Print writes v, a struct, as YAML that Decode reads back to the same value,
// but for secrets: fields tagged secret:"true" and passwords in URLs are
// Redacted.
func Print(v any, s Style) string {
	p := printer{style: s}
	p.fields("", "", reflect.Indirect(reflect.ValueOf(v)))
	return strings.TrimLeft(p.out.String(), "\n")
}

type printer struct {
	style Style
	out   strings.Builder
}

func (p *printer) fields(indent, path string, v reflect.Value) {
	for _, f := range ownFields(v) {
		if f.OmitEmpty && f.Value.IsZero() {
			continue
		}
		at := join(path, f.Key)
		p.comment(indent, at)
		if f.Section {
			fmt.Fprintf(&p.out, "%s%s:\n", indent, f.Key)
			p.fields(indent+"  ", at, f.Value)
			continue
		}
		p.leaf(indent, f)
	}
}

// leaf writes one key whose value is not a section, each line behind the
// style's mark.
func (p *printer) leaf(indent string, f Field) {
	mark := ""
	if p.style.Disabled {
		mark = "#"
	}
	text := f.Key + ": " + inline(f.Value, f.Secret)
	if block := blockOf(f.Value); block != "" {
		text = f.Key + ":\n" + block
	}
	for line := range strings.Lines(text) {
		p.out.WriteString(indent + mark + strings.TrimRight(line, "\n") + "\n")
	}
}

func (p *printer) comment(indent, path string) {
	if p.style.Comment == nil {
		return
	}
	text := p.style.Comment(path)
	if text == "" {
		return
	}
	p.out.WriteByte('\n')
	for line := range strings.Lines(Wrap(text, 78-len(indent))) {
		p.out.WriteString(strings.TrimRight(indent+"# "+line, " \n") + "\n")
	}
}

// blockOf is a list or map of structs, a block of lines; "" for everything else.
func blockOf(v reflect.Value) string {
	if isOpaque(v.Type()) || v.Kind() != reflect.Slice || v.Len() == 0 {
		return ""
	}
	elem := v.Type().Elem()
	if elem.Kind() != reflect.Struct || isOpaque(elem) {
		return ""
	}
	var b strings.Builder
	for i := range v.Len() {
		entry := printer{}
		entry.fields("    ", "", v.Index(i))
		b.WriteString("  - " + strings.TrimPrefix(entry.out.String(), "    "))
	}
	return b.String()
}

// inline is a value on one line.
func inline(v reflect.Value, secret bool) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if secret && !v.IsZero() {
		return strconv.Quote(Redacted)
	}
	if text, ok := marshalText(v); ok {
		return scalar(withoutPassword(text), true)
	}
	if isCustom(v.Type()) {
		return custom(v)
	}
	switch v.Kind() {
	case reflect.String:
		return scalar(withoutPassword(v.String()), false)
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = inline(v.Index(i), secret)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		return flowMap(v, secret)
	case reflect.Struct:
		items := make([]string, 0, v.NumField())
		for _, f := range ownFields(v) {
			if f.OmitEmpty && f.Value.IsZero() {
				continue
			}
			items = append(items, f.Key+": "+inline(f.Value, f.Secret))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}

func flowMap(v reflect.Value, secret bool) string {
	items := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		items = append(items, inline(k, false)+": "+inline(v.MapIndex(k), secret))
	}
	slices.Sort(items)
	return "{" + strings.Join(items, ", ") + "}"
}

func marshalText(v reflect.Value) (string, bool) {
	if !v.Type().Implements(textMarshaler) {
		return "", false
	}
	b, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	return string(b), err == nil
}

// custom prints a value that marshals itself, in flow style to stay on a line.
func custom(v reflect.Value) string {
	b, err := yaml.MarshalWithOptions(v.Interface(), yaml.Flow(true))
	if err != nil {
		return strconv.Quote(fmt.Sprint(v.Interface()))
	}
	return strings.TrimSpace(string(b))
}

var (
	// A scalar that YAML reads back as this very text without quotes.
	plain = regexp.MustCompile(`^[A-Za-z0-9_./@+*-]?[A-Za-z0-9_./@:+*-]*[A-Za-z0-9_./@+*-]$`)
	// One that it would read as something else than text.
	notText = regexp.MustCompile(`(?i)^([-+.]?[0-9][-0-9a-fxo_.,:+]*|[-+]?\.(inf|nan)|true|false|yes|no|on|off|null|~|-|\*.*|@.*)$`)
)

// scalar quotes s where YAML needs it; a value that reads itself from text may
// look like a number.
func scalar(s string, readsItself bool) string {
	looksSafe := plain.MatchString(s) && !strings.HasPrefix(s, "*") && !strings.HasPrefix(s, "@") && !strings.HasPrefix(s, "-")
	if looksSafe && (readsItself || !notText.MatchString(s)) {
		return s
	}
	return strconv.Quote(s)
}

// withoutPassword redacts the password of a URL with user information.
func withoutPassword(s string) string {
	if !strings.Contains(s, "@") || !strings.Contains(s, "://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	scheme, rest, _ := strings.Cut(s, "://")
	_, host, _ := strings.Cut(rest, "@")
	return scheme + "://" + Redacted + "@" + host
}

// Wrap breaks text at spaces into lines of at most width characters; lines of
// the text stay apart.
func Wrap(text string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		n := 0
		for word := range strings.FieldsSeq(line) {
			if n > 0 && n+1+len(word) > width {
				b.WriteByte('\n')
				n = 0
			}
			if n > 0 {
				b.WriteByte(' ')
				n++
			}
			b.WriteString(word)
			n += len(word)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Inline is how Print writes one value.
func Inline(v reflect.Value) string { return inline(v, false) }
