package node

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/internal/strictyaml"
	"github.com/cachenode/cachenode/internal/units"
)

func TestDefaultsAreValid(t *testing.T) {
	o := DefaultOptions()
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	if w := o.Warnings(); len(w) > 0 {
		t.Errorf("warnings about the defaults: %v", w)
	}
}

// The example file is complete, and every value in it is the default.
func TestExampleIsTheDefaults(t *testing.T) {
	text := Example()
	o := DefaultOptions()
	if ps := Parse("example", []byte(text), &o); len(ps) > 0 {
		t.Errorf("the example has problems:\n%v", ps)
	}
	var on []string
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "#"); ok && rest != "\n" && rest[0] != ' ' {
			line = strings.Replace(line, "#", "", 1)
		}
		on = append(on, line)
	}
	got := Options{}
	if _, ps := strictyaml.Decode("example", []byte(strings.Join(on, "")), &got); len(ps) > 0 {
		t.Fatalf("switched on, the example has problems:\n%v", ps)
	}
	if keys := changes(got, DefaultOptions()); len(keys) > 0 {
		t.Errorf("switched on, the example differs from the defaults in %v", keys)
	}
	for _, f := range strictyaml.Fields(DefaultOptions()) {
		if !strings.Contains(text, f.Key+":") {
			t.Errorf("the example does not mention %s", f.Path)
		}
		if Comment(f.Path) == "" {
			t.Errorf("%s has no comment", f.Path)
		}
	}
}

// What config show prints is a configuration again.
func TestShownOptionsReadBack(t *testing.T) {
	o := DefaultOptions()
	o.Resolve()
	got := DefaultOptions()
	if ps := Parse("shown", []byte(strictyaml.Print(o, strictyaml.Style{})), &got); len(ps) > 0 {
		t.Fatal(ps)
	}
	if keys := changes(got, o); len(keys) > 0 {
		t.Errorf("%v differ", keys)
	}
}

// Values that can be read but make no sense are found too, at their place, also
// beside errors of other kinds.
func TestValidationHasAPlace(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"listen", "listen:\n  - \":3128\"\n  - nowhere\n", `c:3:5: listen[1]: invalid address "nowhere": want ADDR:PORT, such as :3128, 127.0.0.1:3128 or [::1]:3128`},
		{"name", "name: a b\n", `c:1:7: name: "a b" cannot stand in a Via field: use letters, digits, - . and _`},
		{"network", "acl:\n  allow_from: [10.0.0.0/8, ::1, 10.0.0.1/99]\n", `c:2:33: acl.allow_from[2]:`},
		{"store", "store:\n  memory: 1k\n", `c:2:11: store.memory:`},
		{"proxy", "proxy:\n  fill:\n    buffer: 1\n", `c:3:13: proxy.fill.buffer:`},
		{"parents", "proxy:\n  upstream:\n    parents:\n      list:\n      - {url: \"a:1\"}\n      - {url: \"a:2\"}\n", `c:6:10: proxy.upstream.parents.list[1].name: "a" is taken by another parent; give each a name`},
		{"tunnel", "proxy:\n  tunnel: {max_tunnels: -4}\n", `c:2:25: proxy.tunnel.max_tunnels:`},
		{"cache", "cache:\n  negative_statuses: [200]\n", `c:2:23: cache.negative_statuses[0]:`},
		{"dns", "dns:\n  servers: [nobody]\n", `c:2:13: dns.servers[0]:`},
		{"access log", "access_log:\n  rotate_size: 1\n", `c:2:16: access_log.rotate_size:`},
		{"admin", "admin:\n  listen: x\n", `c:2:11: admin.listen:`},
		{"level", "log:\n  level: loud\n", `c:2:10: log.level:`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := DefaultOptions()
			ps := Parse("c", []byte(tt.src), &o)
			if len(ps) != 1 || !strings.HasPrefix(ps[0].Error(), tt.want) {
				t.Errorf("got\n%v\nwant\n%v", ps, tt.want)
			}
		})
	}
}

func TestEveryKindOfProblemAtOnceInOrder(t *testing.T) {
	o := DefaultOptions()
	ps := Parse("c", []byte("nmae: x\nlog:\n  format: loud\nacl:\n  allow_from: [all]\nstore:\n  disk: much\n"), &o)
	var lines []int
	for _, p := range ps {
		lines = append(lines, p.Line)
	}
	if !reflect.DeepEqual(lines, []int{1, 3, 5, 7}) || ps.Errors() != 3 {
		t.Errorf("problems on lines %v, %d errors:\n%v", lines, ps.Errors(), ps)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if _, _, err := Load(path); err == nil || !IsConfig(err) || HintOf(err) == "" {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte("store: {memory: 1GiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, ps, err := Load(path)
	if err != nil || len(ps) > 0 || o.Store.Memory != units.GiB {
		t.Errorf("%v, %v, memory %v", err, ps, o.Store.Memory)
	}
}

func TestWarnings(t *testing.T) {
	o := DefaultOptions()
	o.ACL.AllowFrom = []string{"0.0.0.0/0"}
	o.ACL.AllowTo = []string{"::/0"}
	if w := o.Warnings(); len(w) != 2 {
		t.Errorf("got %v", w)
	}
}

// A file without an end is not read to its end.
func TestEndlessFile(t *testing.T) {
	_, ps, err := Load("/dev/zero")
	if err != nil || len(ps) == 0 || !strings.Contains(ps[0].Error(), "more than 1048576 bytes") {
		t.Errorf("%v, %v", ps, err)
	}
}
