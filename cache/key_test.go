package cache

import (
	"net/url"
	"strings"
	"testing"
)

func TestKey(t *testing.T) {
	cases := []struct{ in, want string }{
		{"http://a", "http://a/"},
		{"HTTP://User:pw@A.Example:80/P?Q#f", "http://a.example/P?Q"},
		{"http://a:/", "http://a/"},
		{"http://a:8080/", "http://a:8080/"},
		{"http://a:443/", "http://a:443/"},
		{"https://a:443/", "https://a/"},
		{"https://a:80/", "https://a:80/"},
		{"http://[2001:DB8::1]:80/", "http://[2001:db8::1]/"},
		{"http://[2001:db8::1]/", "http://[2001:db8::1]/"},
		{"http://a?q", "http://a/?q"},
		{"http://a/?", "http://a/?"},
		{"http://a/%7Eb/%2f/../c;d?e=%41", "http://a/%7Eb/%2f/../c;d?e=%41"},
		{"http://a//b", "http://a//b"},
		{"http://\u212A/", "http://\u212A/"}, // the Kelvin sign is no k
		{"http:opaque?q", "http:opaque?q"},
	}
	for _, c := range cases {
		u, err := url.Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := Key(u); got != c.want {
			t.Errorf("%s: %s, want %s", c.in, got, c.want)
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"http://User@A:80/b?c#d", "https://[::1]:443", "http://a:/?", "x:y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" || strings.HasSuffix(u.Hostname(), ":") {
			return // such a target is refused before it has a key
		}
		key := Key(u)
		again, err := url.Parse(key)
		if err != nil {
			t.Skip("not everything that net/url accepts survives it twice")
		}
		if Key(again) != key {
			t.Fatalf("%q is %q, which is %q", s, key, Key(again))
		}
	})
}

func mustParse(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
