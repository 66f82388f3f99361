package cache

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"
)

func TestInvalidates(t *testing.T) {
	const key = "http://origin.example/dir/a"
	here := []string{key}
	cases := []struct {
		name   string
		method string
		status int
		lines  []string
		want   []string
	}{
		{"POST", "POST", 200, nil, here},
		{"PUT", "PUT", 201, nil, here},
		{"DELETE", "DELETE", 204, nil, here},
		{"PATCH", "PATCH", 303, nil, here},
		{"M-SEARCH", "M-SEARCH", 200, nil, here},
		{"unknown method", "FROB", 200, nil, here},
		{"GET", "GET", 200, []string{"Content-Location: b"}, nil},
		{"HEAD", "HEAD", 200, nil, nil},
		{"OPTIONS", "OPTIONS", 200, nil, nil},
		{"PROPFIND", "PROPFIND", 207, nil, nil},
		{"failed", "POST", 500, []string{"Location: b"}, nil},
		{"refused", "POST", 404, nil, nil},
		{"interim", "POST", 100, nil, nil},
		{"Location", "POST", 201, []string{"Location: b"}, []string{key, "http://origin.example/dir/b"}},
		{"both", "POST", 201, []string{"Location: /b", "Content-Location: http://ORIGIN.example:80/c#f"}, []string{key, "http://origin.example/b", "http://origin.example/c"}},
		{"the same again", "POST", 201, []string{"Location: a", "Content-Location: /dir/a"}, here},
		{"another host", "POST", 201, []string{"Location: http://victim.example/"}, here},
		{"another port", "POST", 201, []string{"Location: http://origin.example:81/"}, here},
		{"another scheme", "POST", 201, []string{"Location: https://origin.example/"}, here},
		{"not a URL", "POST", 201, []string{"Location: http://[::1"}, here},
	}
	u, err := url.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		got := Invalidates(NewRequest(c.method, key, http.Header{}), u, c.status, fields(c.lines...))
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
