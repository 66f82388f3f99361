package main

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/cachenode/cachenode/internal/strictyaml"
)

// module is the import path of the root directory.
const module = "github.com/cachenode/cachenode/"

// sources reads the comments of struct fields from the source of their packages.
type sources struct {
	root  string
	known map[string]map[string]string // by package path, then Type.Field
}

func newSources(root string) *sources {
	return &sources{root: root, known: map[string]map[string]string{}}
}

// commentOf is the comment of a key's field, as one or more paragraphs without
// line breaks. A comment that begins with the field's Go name loses it: the
// reader sees the key instead.
func (s *sources) commentOf(f strictyaml.Field) (string, error) {
	pkg := f.Owner.PkgPath()
	if s.known[pkg] == nil {
		fields, err := s.read(pkg)
		if err != nil {
			return "", err
		}
		s.known[pkg] = fields
	}
	text, ok := s.known[pkg][f.Owner.Name()+"."+f.Name]
	if !ok || text == "" {
		return "", fmt.Errorf("%s: %s.%s has no comment", f.Path, f.Owner, f.Name)
	}
	return rename(text, f), nil
}

func (s *sources) read(pkg string) (map[string]string, error) {
	dir, ok := strings.CutPrefix(pkg, module)
	if !ok {
		return nil, fmt.Errorf("package %s is not in this module", pkg)
	}
	paths, err := filepath.Glob(filepath.Join(s.root, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				collect(spec, fields)
			}
			return true
		})
	}
	return fields, nil
}

// collect adds the comments of a struct's fields: the one above, else the one
// behind.
func collect(spec *ast.TypeSpec, fields map[string]string) {
	st, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range st.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, name := range f.Names {
			fields[spec.Name.Name+"."+name.Name] = paragraphs(text)
		}
	}
}

// paragraphs unwraps the lines of a doc comment; its code blocks stay as they
// are.
func paragraphs(text string) string {
	p := comment.Printer{TextWidth: -1}
	var parser comment.Parser
	return strings.TrimSpace(string(p.Text(parser.Parse(text))))
}

// rename takes the Go name, and a verb that says nothing, off the beginning of a
// comment: the reader has the key before his eyes.
func rename(text string, f strictyaml.Field) string {
	rest, ok := strings.CutPrefix(text, f.Name+" ")
	if !ok {
		return text
	}
	for _, verb := range []string{"is ", "are ", "lists "} {
		if after, ok := strings.CutPrefix(rest, verb); ok {
			return upper(after)
		}
	}
	return upper(rest)
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// kind names what a key takes.
func kind(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map:
		return "map"
	case strings.HasSuffix(t.String(), "units.Size"):
		return "size"
	case strings.HasSuffix(t.String(), "units.Duration"):
		return "time"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 && t.PkgPath() == "":
		return "number"
	}
	return "text"
}
