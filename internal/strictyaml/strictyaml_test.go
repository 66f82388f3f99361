package strictyaml

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/internal/units"
)

type options struct {
	Name    string         `yaml:"name"`
	Listen  []string       `yaml:"listen"`
	Store   storeOptions   `yaml:"store"`
	Parents []parent       `yaml:"parents"`
	Nets    []netip.Prefix `yaml:"nets"`
	Labels  map[string]int `yaml:"labels"`
	Verbose bool           `yaml:"verbose"`
	Share   float64        `yaml:"share"`
	Token   string         `yaml:"token" secret:"true"`
	Limit   *int           `yaml:"limit"`
	Inner   `yaml:",inline"`
	Skipped func() `yaml:"-"`
}

type Inner struct {
	Depth int `yaml:"depth"`
}

type storeOptions struct {
	Memory units.Size     `yaml:"memory"`
	Wait   units.Duration `yaml:"wait"`
	Port   uint16         `yaml:"port"`
}

type parent struct {
	URL    string `yaml:"url"`
	Weight int    `yaml:"weight"`
}

func defaults() options {
	return options{
		Name: "n1", Listen: []string{":3128"}, Share: 0.5,
		Store: storeOptions{Memory: 256 * units.MiB, Wait: units.Duration(1e9), Port: 80},
	}
}

func decode(src string) (options, *File, Problems) {
	o := defaults()
	f, ps := Decode("c.yaml", []byte(src), &o)
	return o, f, ps
}

func TestDecodeOverDefaults(t *testing.T) {
	o, _, ps := decode(`
name: 42            # a number is text where text is wanted
listen: ["127.0.0.1:1", ':2']
store:
  memory: 1GiB
  wait: 7d
parents:
  - url: http://p1
    weight: 3
  - url: http://p2
nets: [10.0.0.0/8]
labels: {a: 1, b: 2}
verbose: true
limit: 5
depth: -1
share:
`)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	want := defaults()
	limit := 5
	want.Name, want.Listen, want.Verbose, want.Limit, want.Depth = "42", []string{"127.0.0.1:1", ":2"}, true, &limit, -1
	want.Store.Memory, want.Store.Wait = units.GiB, units.Duration(7*24*3600*1e9)
	want.Parents = []parent{{"http://p1", 3}, {"http://p2", 0}}
	want.Nets = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	want.Labels = map[string]int{"a": 1, "b": 2}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got  %+v\nwant %+v", o, want)
	}
}

func TestEmptyFilesKeepTheDefaults(t *testing.T) {
	for _, src := range []string{"", "\n", "# only a comment\n", "---\n", "store:\n", "store:\n  # nothing\nname:\n", "{}"} {
		o, _, ps := decode(src)
		if len(ps) > 0 || !reflect.DeepEqual(o, defaults()) {
			t.Errorf("%q: %v, %+v", src, ps, o)
		}
	}
}

// Addresses are read as they stand, where YAML lets them.
func TestAddresses(t *testing.T) {
	for src, want := range map[string][]string{
		"listen: [10.0.0.11:7946, host:80, :3128, '::1', ::1, 2001:db8::1]\n": {"10.0.0.11:7946", "host:80", ":3128", "::1", "::1", "2001:db8::1"},
		"listen:\n- 10.0.0.11:7946\n- ::1\n- :80\n- \"[::1]:80\"\n":           {"10.0.0.11:7946", "::1", ":80", "[::1]:80"},
		"{listen: ['[::1]:80', \"10.0.0.1:80\", host]}\n":                     {"[::1]:80", "10.0.0.1:80", "host"},
		"listen: [\n  10.0.0.11:7946, # one\n  host:80]\n":                    {"10.0.0.11:7946", "host:80"},
	} {
		if o, _, ps := decode(src); len(ps) > 0 || !reflect.DeepEqual(o.Listen, want) {
			t.Errorf("%q: %q, %v", src, o.Listen, ps)
		}
	}
	// All that wants quotes is told at once.
	_, _, ps := decode("{listen: [10.0.0.1:1, [::1]:2, :3, a], name: [::1]:4}\n")
	if len(ps) != 4 {
		t.Errorf("%d problems: %v", len(ps), ps)
	}
}

// Each problem is found, at its place, with what was meant; none hides another.
func TestProblems(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"unknown key", "nmae: x\n", `c.yaml:1:1: unknown key "nmae"; did you mean "name"?`},
		{"unknown key in a section", "store:\n  memroy: 1\n", `c.yaml:2:3: unknown key "memroy" in store; did you mean "memory"?`},
		{"key of another section", "memory: 1GiB\n", `c.yaml:1:1: unknown key "memory"; did you mean "store.memory"?`},
		{"unknown key far from all", "bananas: 1\n", `c.yaml:1:1: unknown key "bananas"`},
		{"unknown key in a list entry", "parents:\n- url: a\n  wieght: 1\n", `c.yaml:3:3: unknown key "wieght" in parents[0]; did you mean "weight"?`},
		{"size", "store:\n  memory: lots\n", `c.yaml:2:11: store.memory: invalid size "lots": want a number with a unit, such as 256MiB or 10GiB`},
		{"duration without unit", "store: {wait: 5}\n", `c.yaml:1:15: store.wait: invalid duration "5": want a number with a unit, such as 500ms, 30s, 10m, 2h or 7d`},
		{"number", "labels: {a: x}\n", `c.yaml:1:13: labels.a: want a whole number, not "x"`},
		{"number out of range", "store:\n  port: 65536\n", `c.yaml:2:9: store.port: want a whole number that is not negative, not "65536"`},
		{"yes is no boolean", "verbose: yes\n", `c.yaml:1:10: verbose: want true or false, not "yes"`},
		{"single value for a list", "listen: :3128\n", `c.yaml:1:9: listen: want a list, not a single value; did you mean "[:3128]"?`},
		{"list for a single value", "name: [a]\n", `c.yaml:1:7: name: want text, not a list`},
		{"mapping for a size", "store:\n  memory:\n    a: 1\n", `c.yaml:3:6: store.memory: want a single value, not keys and values`},
		{"value for a section", "store: 1\n", `c.yaml:1:8: store: want keys and values, not a single value`},
		{"file is a list", "- a\n", `c.yaml:1:1: the file: want keys and values, not a list`},
		{"entry of a list", "nets:\n- 10.0.0.0/8\n- 10.0.0.0/99\n", `c.yaml:3:3: nets[1]: netip.ParsePrefix("10.0.0.0/99"): prefix length out of range`},
		{"duplicate", "name: a\nname: b\n", `c.yaml:2:1: key "name" is given twice, first on line 1`},
		{"anchor", "name: &x a\n", `c.yaml:1:7: anchors, aliases, merge keys and tags are not supported here`},
		{"IPv6 with a port", "listen:\n- [::1]:7946\n", `c.yaml:2:3: this must be in quotes here: "[::1]:7946"`},
		{"IPv6 with a port in a list", "listen: [a:1, [2001:db8::1]:7946]\n", `c.yaml:1:15: this must be in quotes here: "[2001:db8::1]:7946"`},
		{"IPv6 with a port for text", "name: [::1]:80\n", `c.yaml:1:7: this must be in quotes here: "[::1]:80"`},
		{"IPv6 with a port in braces", "{name: [::1]:80}\n", `c.yaml:1:8: this must be in quotes here: "[::1]:80"`},
		{"IPv6 with a port in a list in braces", "{listen: [[::1]:80]}\n", `c.yaml:1:11: this must be in quotes here: "[::1]:80"`},
		{"address in braces", "{listen: [10.0.0.11:7946]}\n", `c.yaml:1:11: this must be in quotes here: "10.0.0.11:7946"`},
		{"name in braces", "{listen: [b, host:7946 # c\n]}\n", `c.yaml:1:14: this must be in quotes here: "host:7946"`},
		{"port in braces", "{listen: [:3128]}\n", `c.yaml:1:11: this must be in quotes here: ":3128"`},
		{"IPv6 in braces", "{listen: [::1]}\n", `c.yaml:1:11: this must be in quotes here: "::1"`},
		{"IPv6 network in braces", "{nets: [2001:db8::/32]}\n", `c.yaml:1:9: this must be in quotes here: "2001:db8::/32"`},
		{"URL in braces", "{listen: [http://a:80/x:y]}\n", `c.yaml:1:11: this must be in quotes here: "http://a:80/x:y"`},
		{"pair for text", "{listen: [a: 80]}\n", `c.yaml:1:12: listen[0]: want text, not keys and values`},
		{"two documents", "name: a\n---\nname: b\n", `c.yaml:3:5: more than one YAML document in the file`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, ps := decode(tt.src)
			if len(ps) != 1 || ps[0].Error() != tt.want {
				t.Errorf("got  %v\nwant %v", oneLine(ps), tt.want)
			}
		})
	}
}

func oneLine(ps Problems) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.Error()
	}
	return out
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, _, ps := decode("nmae: x\nstore:\n  memory: lots\n  wait: 1y\nverbose: maybe\n")
	if ps.Errors() != 4 {
		t.Errorf("found %d problems, want 4:\n%v", ps.Errors(), ps)
	}
}

func TestSyntaxErrorHasAPlace(t *testing.T) {
	_, _, ps := decode("name: a\nlisten: [a, b\n")
	if len(ps) != 1 || ps[0].Line != 2 {
		t.Errorf("%v", ps)
	}
}

// What would take the parser long is refused before, with its place.
func TestExcessIsRefused(t *testing.T) {
	again := strings.Repeat
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, again(fmt.Sprintf("*%c,", c-1), 9))
	}
	ladder := ""
	for i := range 100 {
		ladder += again(" ", i) + "a:\n"
	}
	for _, tt := range []struct{ name, src, want string }{
		{"[", again("[", 100_000), "1:65: lists and maps are nested too deeply"},
		{"{", again("{a: ", 50_000), "1:257: lists and maps are nested too deeply"},
		{"behind a key", "name: x\nlist: " + again("[", 65) + again("]", 65), "2:70: lists and maps are nested too deeply"},
		{"-", again("- ", 20_000), "1:129: lists and maps are nested too deeply"},
		{"- a:", again("- a: ", 20_000), "lists and maps are nested too deeply"},
		{"a:", again("a: ", 20_000), "lists and maps are nested too deeply"},
		{"? -", again("? - ", 20_000), "lists and maps are nested too deeply"},
		{"by indentation", ladder, "lists and maps are nested too deeply"},
		{"mixed", again("- ", 40) + again("[", 40), "lists and maps are nested too deeply"},
		{"?", again("? a\n", 50_000), "101:1: keys that begin with a question mark are not supported here"},
		{"aliases", bomb, "anchors, aliases, merge keys and tags are not supported here"},
		{"anchors", "name: " + again("&a ", 50_000), "anchors, aliases, merge keys and tags are not supported here"},
		{"side by side", again(`"a" `, 50_000), "1:405: values stand side by side"},
		{"closing", again("]", 50_000), "1:101: brackets are closed that were not opened"},
		{"keys", again("a: 1\n", 50_000), "5001:2: the file has more than 5000 keys"},
		{"words", "listen:\n" + again("- a\n", 80_000), "the file has more than 100000 words and signs"},
		{"size", again("# comment\n", 200_000), "f.yaml: the file has more than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o options
			_, ps := Decode("f.yaml", []byte(tt.src), &o)
			if len(ps) != 1 || !strings.Contains(ps[0].Error(), tt.want) || len(ps[0].Detail()) > 1000 || tt.name != "size" && ps[0].Line == 0 {
				t.Errorf("%.2000s", ps.Error())
			}
		})
	}
}

// What is large and yet sensible is read.
func TestLargeFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("nets:\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "- 10.%d.%d.0/24 # a comment\n", i/256, i%256)
	}
	b.WriteString("parents:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "- {url: 'http://p%d', weight: 1}\n", i)
	}
	if o, _, ps := decode(b.String()); len(ps) > 0 || len(o.Nets) != 20_000 || len(o.Parents) != 1000 {
		t.Errorf("%d networks, %d parents, %v", len(o.Nets), len(o.Parents), ps)
	}
}

func TestDetailPointsAtTheValue(t *testing.T) {
	_, _, ps := decode("store:\n  memory: lots\n")
	want := "c.yaml:2:11: store.memory: invalid size \"lots\": want a number with a unit, such as 256MiB or 10GiB\n" +
		"    memory: lots\n" +
		"            ^"
	if got := ps.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAtFindsTheNearestParent(t *testing.T) {
	_, f, _ := decode("store:\n  memory: 1GiB\nparents:\n- url: x\n")
	for _, tt := range []struct {
		path      string
		line, col int
	}{
		{"store.memory", 2, 11}, {"store.wait", 1, 1}, {"store", 1, 1},
		{"parents[0].url", 4, 8}, {"parents[0].weight", 4, 3}, {"parents[7]", 3, 1}, {"dns.ttl", 0, 0},
	} {
		if p := f.At(tt.path, Error, "m"); p.Line != tt.line || p.Column != tt.col {
			t.Errorf("%s: at %d:%d, want %d:%d", tt.path, p.Line, p.Column, tt.line, tt.col)
		}
	}
}

func TestPrintReadsBack(t *testing.T) {
	limit := 3
	o := defaults()
	o.Name, o.Limit = "yes", &limit
	o.Listen = []string{"[::1]:3128", "a b", "127.0.0.1:1", "1.5", "*", "#", ""}
	o.Parents = []parent{{"http://p1:3128", 2}, {"", 0}}
	o.Nets = []netip.Prefix{netip.MustParsePrefix("fd00::/8")}
	o.Labels = map[string]int{"b": 2, "a": 1}
	for _, style := range []Style{{}, {Comment: func(path string) string { return "About " + path + "." }}} {
		text := Print(o, style)
		got := options{}
		if _, ps := Decode("printed", []byte(text), &got); len(ps) > 0 {
			t.Fatalf("%v in\n%s", ps, text)
		}
		if !reflect.DeepEqual(got, o) {
			t.Errorf("read back %+v\nfrom\n%s", got, text)
		}
	}
}

func TestPrintDisabledIsAllDefaults(t *testing.T) {
	text := Print(defaults(), Style{Disabled: true, Comment: func(path string) string { return "About " + path }})
	o, _, ps := decode(text)
	if len(ps) > 0 || !reflect.DeepEqual(o, defaults()) {
		t.Errorf("%v\n%s", ps, text)
	}
	if !strings.Contains(text, "  #memory: 256MiB\n") {
		t.Errorf("no switched-off memory key in\n%s", text)
	}
}

func TestPrintKeepsSecrets(t *testing.T) {
	o := defaults()
	o.Token = "hunter2"
	o.Parents = []parent{{URL: "http://user:hunter2@proxy:3128/x"}}
	text := Print(o, Style{})
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "proxy:3128/x") {
		t.Errorf("printed\n%s", text)
	}
}

func TestFieldsNamesEveryKey(t *testing.T) {
	var paths []string
	for _, f := range Fields(defaults()) {
		paths = append(paths, f.Path)
	}
	want := "[name listen store store.memory store.wait store.port parents parents[].url parents[].weight nets labels verbose share token limit depth]"
	if got := fmt.Sprint(paths); got != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"name: a", "store:\n  memory: 1GiB\n", "listen: [a, 'b', \"c\"]", "parents:\n- url: a\n",
		"a: &x [*x]", "<<: *y", "? a\n: b", "!!str a", "name: |\n  x\n y", "{", "- -", "\t", "a: b: c", "labels: {1: 2}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		o, _, ps := decode(src)
		for _, p := range ps {
			_ = p.Detail()
		}
		_ = Print(o, Style{})
	})
}
