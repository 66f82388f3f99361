package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// drains remembers what it was asked.
type drains struct {
	node  string
	order DrainOrder
}

func (d *drains) Drain(_ context.Context, node string, o DrainOrder) (Drain, error) {
	d.node, d.order = node, o
	return Drain{Node: node, State: "draining"}, nil
}

func (d *drains) Undrain(_ context.Context, node string) (Drain, error) {
	return Drain{Node: node, State: "serving"}, nil
}

func (d *drains) DrainStatus(_ context.Context, node string) (Drain, error) {
	return Drain{}, &Error{Status: http.StatusNotFound, Message: "there is no node " + node}
}

func TestDrainCalls(t *testing.T) {
	all := &drains{}
	s := &Server{deps: Deps{Drains: all}}
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
		order                DrainOrder
	}{
		{"POST", "/?node=n2", `{"deadline_seconds":90,"message":"x"}`, 200, `"draining"`, DrainOrder{Seconds: 90, Message: "x"}},
		{"POST", "/", `{}`, 200, `"node": ""`, DrainOrder{}},
		{"POST", "/", `{"force":true}`, 200, `"draining"`, DrainOrder{Force: true}},
		{"POST", "/", `{"force":true,"no_deadline":true}`, 400, "want one of", DrainOrder{}},
		{"POST", "/", `{"deadline_seconds":-1}`, 400, "more than 0", DrainOrder{}},
		{"POST", "/", `{"deadline_seconds":1e300}`, 400, "at most a year", DrainOrder{}},
		{"POST", "/", `{"message":"` + strings.Repeat("x", 501) + `"}`, 400, "500 bytes", DrainOrder{}},
		{"POST", "/", `{"now":true}`, 400, "hint", DrainOrder{}},
		{"POST", "/", ``, 400, "hint", DrainOrder{}},
		{"DELETE", "/?node=n2", "", 200, `"serving"`, DrainOrder{}},
		{"GET", "/?node=n9", "", 404, "no node n9", DrainOrder{}},
	} {
		*all = drains{}
		w := httptest.NewRecorder()
		s.drain(w, httptest.NewRequest(c.method, c.target, strings.NewReader(c.body)))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || all.order != c.order {
			t.Errorf("%s %s %s: %d %s, order %+v", c.method, c.target, c.body, w.Code, w.Body, all.order)
		}
	}
	w := httptest.NewRecorder()
	(&Server{}).drain(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusConflict {
		t.Errorf("without drains: %d", w.Code)
	}
}
