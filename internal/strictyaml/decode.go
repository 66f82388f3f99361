// Package strictyaml decodes a YAML file onto a struct of options and reports
// everything that is wrong with it at once, each problem with its place in the
// file. It knows YAML and reflection, not what the options mean. Anchors,
// aliases, merge keys and tags are refused: what a key says stands beside it.
package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/cachenode/cachenode/internal/suggest"
)

// File remembers where in a file each key stands.
type File struct {
	Name  string
	lines []string
	at    map[string]place
}

type place struct{ line, column int }

// Decode reads src onto into, a pointer to a struct that holds the defaults:
// keys the file does not mention, and keys without a value, keep theirs; lists
// and maps in the file replace the default ones. Fields are named by their yaml
// tags. It goes on after a problem, so that one run finds them all; after a
// syntax error alone there is nothing to go on with.
func Decode(name string, src []byte, into any) (*File, Problems) {
	f := &File{Name: name, lines: strings.Split(string(src), "\n"), at: map[string]place{}}
	d := &decoder{file: f}
	for _, field := range Fields(into) {
		d.known = append(d.known, field.Path)
	}
	if len(src) > MaxSize {
		d.refuse(place{}, fmt.Sprintf("the file has more than %d bytes", MaxSize))
		return f, d.problems
	}
	tokens := lexer.Tokenize(string(src))
	if t, why := excess(tokens); t != nil {
		d.refuse(placeOf(t), why)
		return f, d.problems
	}
	if d.unquoted(tokens); len(d.problems) > 0 {
		return f, d.problems
	}
	doc, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return f, d.problems
	}
	for i, part := range doc.Docs {
		if i > 0 && part.Body != nil {
			d.report(part.Body, "", "more than one YAML document in the file")
			break
		}
		d.value("", part.Body, reflect.ValueOf(into).Elem())
	}
	return f, d.problems
}

// At makes a problem of a key by its path, acl.connect_ports[2] say. When the
// file does not mention the key, the problem stands at its nearest parent, or
// nowhere.
func (f *File) At(path string, severity Severity, message string) Problem {
	p := Problem{File: f.Name, Key: path, Severity: severity, Message: message}
	for key := path; key != ""; key = parentOf(key) {
		if at, ok := f.at[key]; ok {
			f.put(&p, at)
			break
		}
	}
	return p
}

// Has reports whether the file mentions the key.
func (f *File) Has(path string) bool { _, ok := f.at[path]; return ok }

// longestShown is the longest line that is shown with a problem, in bytes.
const longestShown = 400

func (f *File) put(p *Problem, at place) {
	p.Line, p.Column, p.Message = at.line, at.column, covered(p.Message)
	if at.line >= 1 && at.line <= len(f.lines) && len(f.lines[at.line-1]) <= longestShown {
		p.Source = covered(strings.TrimRight(f.lines[at.line-1], "\r"))
	}
}

// userinfo is that of a URL, which may have a password in it.
var userinfo = regexp.MustCompile(`//[^/@\s]+@`)

// covered is text with stars in place of passwords: problems are logged.
func covered(text string) string {
	return userinfo.ReplaceAllStringFunc(text, func(s string) string {
		return "//" + strings.Repeat("*", utf8.RuneCountInString(s)-3) + "@"
	})
}

func parentOf(path string) string {
	i := strings.LastIndexAny(path, ".[")
	return path[:max(i, 0)]
}

const notSupported = "anchors, aliases, merge keys and tags are not supported here"

type decoder struct {
	file     *File
	known    []string // every path the struct accepts
	problems Problems
}

// refuse adds a problem of the file as a whole.
func (d *decoder) refuse(at place, why string) {
	p := Problem{File: d.file.Name, Severity: Error, Message: why}
	d.file.put(&p, at)
	d.problems = append(d.problems, p)
}

func (d *decoder) syntax(err error) {
	p := Problem{File: d.file.Name, Severity: Error, Message: err.Error()}
	if located, ok := errors.AsType[yaml.Error](err); ok {
		p.Message = located.GetMessage()
		if t := located.GetToken(); t != nil {
			d.file.put(&p, placeOf(t))
		}
	}
	d.problems = append(d.problems, p)
}

// report adds a problem at n. What was probably meant may be added by meant.
func (d *decoder) report(n ast.Node, path, format string, args ...any) {
	p := Problem{File: d.file.Name, Key: path, Severity: Error, Message: fmt.Sprintf(format, args...)}
	d.file.put(&p, placeOf(n.GetToken()))
	d.problems = append(d.problems, p)
}

// meant says what the last problem's writer probably meant.
func (d *decoder) meant(s string) { d.problems[len(d.problems)-1].Suggestion = s }

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{t.Position.Line, t.Position.Column}
}

// value decodes n onto v.
func (d *decoder) value(path string, n ast.Node, v reflect.Value) {
	switch n := n.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return // a key without a value keeps its default
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		d.report(n, path, notSupported)
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case isCustom(v.Type()):
		d.custom(path, n, v)
	case isText(v.Type()):
		d.text(path, n, v)
	case v.Kind() == reflect.Struct:
		d.mapping(path, n, v)
	case v.Kind() == reflect.Slice:
		d.list(path, n, v)
	case v.Kind() == reflect.Map:
		d.dictionary(path, n, v)
	default:
		d.scalar(path, n, v)
	}
}

func (d *decoder) custom(path string, n ast.Node, v reflect.Value) {
	err := yaml.NodeToValue(n, v.Addr().Interface(), yaml.Strict())
	if err == nil {
		return
	}
	msg := err.Error()
	if located, ok := errors.AsType[yaml.Error](err); ok {
		msg = located.GetMessage()
	}
	d.report(n, path, "%s: %s", path, msg)
}

func (d *decoder) text(path string, n ast.Node, v reflect.Value) {
	s, ok := plainText(n)
	if !ok {
		d.report(n, path, "%s: want a single value, not %s", path, kindOf(n))
		return
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		d.report(n, path, "%s: %v", path, err)
	}
}

func (d *decoder) mapping(path string, n ast.Node, v reflect.Value) {
	pairs, ok := pairsOf(n)
	if !ok {
		d.report(n, path, "%s: want keys and values, not %s", name(path), kindOf(n))
		return
	}
	fields := ownFields(v)
	for _, pair := range d.unique(path, pairs) {
		key := keyOf(pair)
		i := indexOf(fields, key)
		if i < 0 {
			d.unknown(path, key, pair, fields)
			continue
		}
		d.value(join(path, key), pair.Value, fields[i].Value)
	}
}

// unique drops keys that stand twice in one mapping, saying so, and remembers
// where each stands.
func (d *decoder) unique(path string, pairs []*ast.MappingValueNode) []*ast.MappingValueNode {
	kept := make([]*ast.MappingValueNode, 0, len(pairs))
	seen := map[string]int{}
	for _, pair := range pairs {
		key := keyOf(pair)
		at := placeOf(pair.Key.GetToken())
		if first, twice := seen[key]; twice {
			d.report(pair.Key, join(path, key), "key %q is given twice, first on line %d", key, first)
			continue
		}
		seen[key] = at.line
		d.mark(join(path, key), pair.Value, at)
		kept = append(kept, pair)
	}
	return kept
}

// mark remembers where a key's problem is best shown: at a single value, else
// at the key itself.
func (d *decoder) mark(path string, value ast.Node, key place) {
	d.file.at[path] = key
	if _, ok := plainText(value); ok {
		d.file.at[path] = placeOf(value.GetToken())
	}
}

func (d *decoder) unknown(path, key string, pair *ast.MappingValueNode, fields []Field) {
	siblings := make([]string, len(fields))
	for i, f := range fields {
		siblings[i] = f.Key
	}
	d.report(pair.Key, join(path, key), "unknown key %q%s", key, under(path))
	if near := suggest.Nearest(key, siblings); near != "" {
		d.meant(near)
		return
	}
	d.meant(d.elsewhere(key))
}

// elsewhere finds the one place where a key that is wrong here is right.
func (d *decoder) elsewhere(key string) string {
	found := ""
	for _, path := range d.known {
		if strings.HasSuffix(path, "."+key) || path == key {
			if found != "" {
				return ""
			}
			found = path
		}
	}
	return found
}

func (d *decoder) list(path string, n ast.Node, v reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.report(n, path, "%s: want a list, not %s", path, kindOf(n))
		if s, single := plainText(n); single {
			d.meant("[" + s + "]")
		}
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		if item != nil {
			d.file.at[at] = placeOf(item.GetToken())
			if pairs, ok := pairsOf(item); ok && len(pairs) > 0 {
				d.file.at[at] = placeOf(pairs[0].Key.GetToken())
			}
		}
		d.value(at, item, out.Index(i))
	}
	v.Set(out)
}

func (d *decoder) dictionary(path string, n ast.Node, v reflect.Value) {
	pairs, ok := pairsOf(n)
	if !ok {
		d.report(n, path, "%s: want keys and values, not %s", path, kindOf(n))
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, pair := range d.unique(path, pairs) {
		key := keyOf(pair)
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, key), pair.Value, item)
		out.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), item)
	}
	v.Set(out)
}

func (d *decoder) scalar(path string, n ast.Node, v reflect.Value) {
	s, ok := plainText(n)
	if !ok {
		d.report(n, path, "%s: want %s, not %s", path, wanted(v.Kind()), kindOf(n))
		return
	}
	if !setScalar(v, n, s) {
		d.report(n, path, "%s: want %s, not %q", path, wanted(v.Kind()), s)
	}
}

// setScalar stores s, which n spells, in v; false when it is of another type.
func setScalar(v reflect.Value, n ast.Node, s string) bool {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if ok {
			v.SetBool(b.Value)
		}
		return ok
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(s, 10, v.Type().Bits())
		v.SetInt(i)
		return err == nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(s, 10, v.Type().Bits())
		v.SetUint(u)
		return err == nil
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(s, v.Type().Bits())
		v.SetFloat(x)
		return err == nil
	default:
		return false
	}
	return true
}
