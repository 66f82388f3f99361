package node

import (
	"strings"
	"testing"

	"github.com/cachenode/cachenode/admin"
)

// What is purged is fetched again, and only that.
func TestPurge(t *testing.T) {
	at := origin(t, page)
	host, _, _ := strings.Cut(strings.TrimPrefix(at, "http://"), ":")
	for _, tt := range []struct {
		name  string
		purge admin.Purge
		gone  []string
	}{
		{"a URL", admin.Purge{URL: at + "/a/1"}, []string{"/a/1"}},
		{"a URL in capitals", admin.Purge{URL: strings.Replace(at, "http", "HTTP", 1) + "/a/1"}, []string{"/a/1"}},
		{"a prefix", admin.Purge{Prefix: at + "/a"}, []string{"/a/1", "/a/2"}},
		{"a prefix without path", admin.Purge{Prefix: at}, []string{"/a/1", "/a/2", "/b"}},
		{"a host", admin.Purge{Host: host}, []string{"/a/1", "/a/2", "/b"}},
		{"all", admin.Purge{All: true}, []string{"/a/1", "/a/2", "/b"}},
		{"nothing", admin.Purge{URL: at + "/c"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, options(t), Deps{})
			pages := []string{"/a/1", "/a/2", "/b"}
			for _, p := range pages {
				n.get(at + p)
			}
			for _, p := range pages {
				until(t, p+" is stored", func() bool { return hit(n, at+p) })
			}
			until(t, "all is on disk", func() bool { return n.store.Stats().Pending == 0 })
			res, err := view{n.Node}.Purge(t.Context(), tt.purge)
			if err != nil || res.Objects != int64(len(tt.gone)) {
				t.Errorf("purged %d objects, %v, want %d", res.Objects, err, len(tt.gone))
			}
			for _, p := range pages {
				gone := strings.Contains(strings.Join(tt.gone, " ")+" ", p+" ")
				if got := !hit(n, at+p); got != gone {
					t.Errorf("%s: gone is %v, want %v", p, got, gone)
				}
			}
		})
	}
}

func hit(n *running, target string) bool {
	res, _ := n.get(target)
	return strings.Contains(res.Header.Get("Cache-Status"), "; hit")
}

func TestPurgeRefusesNonsense(t *testing.T) {
	n := start(t, options(t), Deps{})
	for _, p := range []admin.Purge{{}, {All: true, Host: "x"}, {URL: "ftp://x/"}, {URL: "http://[x/"}, {Prefix: "http:///x"}} {
		if _, err := (view{n.Node}).Purge(t.Context(), p); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
}
