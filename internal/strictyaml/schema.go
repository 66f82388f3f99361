package strictyaml

import (
	"encoding"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// Field is one key that a struct accepts.
type Field struct {
	// Path is the key with its parents: store.memory; the keys of list entries
	// are written parents[].url, those of map values routes.*.via.
	Path string
	// Key is the last part of Path.
	Key string
	// Value is what the struct holds there; for keys inside list entries, the
	// zero value.
	Value reflect.Value
	// Owner and Name are the struct and its field, where the comment stands.
	Owner reflect.Type
	Name  string
	// Secret is set by the tag secret:"true": never print the value.
	Secret bool
	// OmitEmpty is set by the tag's omitempty: Print leaves out a zero value.
	OmitEmpty bool
	// Section says that the value is a mapping with keys of its own.
	Section bool
}

// Fields lists every key that v, a struct, accepts, parents before children.
func Fields(v any) []Field { return fieldsUnder("", reflect.Indirect(reflect.ValueOf(v))) }

func fieldsUnder(parent string, v reflect.Value) []Field {
	var all []Field
	for _, f := range ownFields(v) {
		f.Path = join(parent, f.Key)
		all = append(all, f)
		if inner, path, ok := entries(f.Value, f.Path); ok {
			all = append(all, fieldsUnder(path, inner)...)
		}
	}
	return all
}

// entries is the struct whose keys live under v, if there is one.
func entries(v reflect.Value, path string) (reflect.Value, string, bool) {
	t := v.Type()
	for isOpaque(t) || t.Kind() != reflect.Struct {
		switch {
		case isOpaque(t):
			return reflect.Value{}, "", false
		case t.Kind() == reflect.Slice:
			path += "[]"
		case t.Kind() == reflect.Map:
			path += ".*"
		case t.Kind() != reflect.Pointer:
			return reflect.Value{}, "", false
		}
		t = t.Elem()
		v = reflect.New(t).Elem()
	}
	return v, path, true
}

// ownFields lists the keys of one struct, those of inlined structs included.
func ownFields(v reflect.Value) []Field {
	var fields []Field
	t := v.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.IsExported() {
			continue
		}
		key, flags, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if key == "-" {
			continue
		}
		if strings.Contains(flags, "inline") {
			fields = append(fields, ownFields(v.Field(i))...)
			continue
		}
		if key == "" {
			key = strings.ToLower(sf.Name)
		}
		fields = append(fields, Field{
			Key: key, Value: v.Field(i), Owner: t, Name: sf.Name,
			Secret:    sf.Tag.Get("secret") == "true",
			OmitEmpty: strings.Contains(flags, "omitempty"),
			Section:   sf.Type.Kind() == reflect.Struct && !isOpaque(sf.Type),
		})
	}
	return fields
}

var (
	textUnmarshaler  = reflect.TypeFor[encoding.TextUnmarshaler]()
	textMarshaler    = reflect.TypeFor[encoding.TextMarshaler]()
	bytesUnmarshaler = reflect.TypeFor[yaml.BytesUnmarshaler]()
	anyUnmarshaler   = reflect.TypeFor[yaml.InterfaceUnmarshaler]()
)

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshaler) }

func isCustom(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(bytesUnmarshaler) || p.Implements(anyUnmarshaler)
}

// isOpaque reports a type that reads itself: it has no keys to walk.
func isOpaque(t reflect.Type) bool { return isText(t) || isCustom(t) }

func join(parent, key string) string {
	if parent == "" {
		return key
	}
	return parent + "." + key
}
