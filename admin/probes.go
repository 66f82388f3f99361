package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// probeTime bounds all checks of one probe together.
const probeTime = 2 * time.Second

var errDraining = errors.New("the node is draining")

// livez fails when only a restart helps.
func (s *Server) livez(w http.ResponseWriter, r *http.Request) {
	s.probe(w, r, "livez", func(c Check) bool { return c.Live })
}

// readyz fails while the node should get no new traffic.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	s.probe(w, r, "readyz", func(c Check) bool { return !c.Live })
}

// healthz fails when any check does.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	s.probe(w, r, "healthz", func(Check) bool { return true })
}

// probe runs the selected checks: 200 when all pass, else 503. The parameter
// verbose lists them by name.
func (s *Server) probe(w http.ResponseWriter, r *http.Request, name string, selected func(Check) bool) {
	ctx, cancel := context.WithTimeout(r.Context(), probeTime)
	defer cancel()
	var lines strings.Builder
	failed := false
	for _, c := range s.checks() {
		if !selected(c) {
			continue
		}
		if err := c.Run(ctx); err != nil {
			failed = true
			fmt.Fprintf(&lines, "[-]%s failed: %v\n", c.Name, err)
		} else {
			fmt.Fprintf(&lines, "[+]%s ok\n", c.Name)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch {
	case failed:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%s%s check failed\n", &lines, name)
	case r.URL.Query().Has("verbose"):
		fmt.Fprintf(w, "%s%s check passed\n", &lines, name)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// checks are those of the node and the two that are always there: that this
// very answer is given, and draining.
func (s *Server) checks() []Check {
	own := []Check{
		{Name: "ping", Live: true, Run: func(context.Context) error { return nil }},
		{Name: "draining", Run: func(context.Context) error {
			if s.deps.Draining != nil && s.deps.Draining() {
				return errDraining
			}
			return nil
		}},
	}
	return append(own, s.deps.Checks...)
}
