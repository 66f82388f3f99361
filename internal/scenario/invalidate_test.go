package scenario

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// post sends an unsafe request through the node.
func (n *node) post(target string) *reply {
	n.t.Helper()
	c := n.client()
	defer c.CloseIdleConnections()
	r, err := ask(c, request(n.t, http.MethodPost, target, strings.NewReader("x=1")))
	must(n.t, err)
	return r
}

// What a POST through one node makes invalid, none of three answers with.
func TestInvalidationReachesAll(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.page("*", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			fields(http.StatusOK, "done")(w, r)
			return
		}
		fresh(volume(r.URL.Path))(w, r)
	})
	n1 := member(t, "n1")
	n2 := joined(t, "n2", n1)
	n3 := joined(t, "n3", n1)
	nodes := []*node{n1, n2, n3}
	see(t, "n1 alive, n2 alive, n3 alive", nodes...)
	for _, n := range nodes {
		for _, path := range []string{"/changed", "/same"} {
			eventually(t, path+" is stored", func() bool { // of a sibling's only when it is hot
				n.get(o.url(path)).want(t, 200, "", volume(path))
				return n.stored(o.url(path)).StatusCode == http.StatusOK
			})
		}
	}
	asked := o.asked("/changed")

	n1.post(o.url("/changed")).want(t, 200, "", "done")
	for _, n := range nodes {
		eventually(t, "the changed page is gone", func() bool { return n.stored(o.url("/changed")).StatusCode == http.StatusGatewayTimeout })
		if n.stored(o.url("/same")).StatusCode != http.StatusOK {
			t.Error("a page that nobody changed is gone")
		}
	}
	n3.get(o.url("/changed")).want(t, 200, "", volume("/changed"))
	if again := o.asked("/changed") - asked; again != 2 {
		t.Errorf("the origin was asked %d times, want a POST and a GET", again)
	}
	for i, want := range []map[string]float64{{"told": 1}, {"heard": 1}, {"heard": 1}} {
		for _, kind := range []string{"told", "heard", "dropped", "failed"} {
			if got := nodes[i].metrics("cachenode_invalidations_total", fmt.Sprintf("kind=%q", kind)); got != want[kind] {
				t.Errorf("n%d: %v %s, want %v", i+1, got, kind, want[kind])
			}
		}
	}
}
