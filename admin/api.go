package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Purge selects the stored objects to remove: exactly one of its fields is set.
type Purge struct {
	URL    string `json:"url,omitempty"`    // one URL, all variants
	Host   string `json:"host,omitempty"`   // every URL of a host
	Prefix string `json:"prefix,omitempty"` // every URL that begins so
	All    bool   `json:"all,omitempty"`
}

// Validate reports whether exactly one selection is made.
func (p Purge) Validate() error {
	n := 0
	for _, set := range []bool{p.URL != "", p.Host != "", p.Prefix != "", p.All} {
		if set {
			n++
		}
	}
	if n != 1 {
		return errors.New("want exactly one of url, host, prefix and all")
	}
	for _, u := range []string{p.URL, p.Prefix} {
		if u != "" && !strings.Contains(u, "://") {
			return fmt.Errorf("%q is not an absolute URL: begin with http:// or https://", u)
		}
	}
	return nil
}

// PurgeResult says what a purge removed.
type PurgeResult struct {
	Objects int64 `json:"objects"` // removed, on all nodes
	// Nodes are the members of the cluster, each with its answer; none when the
	// node is in no cluster.
	Nodes []NodePurge `json:"nodes,omitempty"`
}

// NodePurge is the answer of one node to a purge.
type NodePurge struct {
	Node    string `json:"node"`
	Objects int64  `json:"objects"`
	Later   bool   `json:"later,omitempty"` // no answer: it purges when it returns
	Error   string `json:"error,omitempty"`
}

// ReloadResult says what a reload changed, by configuration key.
type ReloadResult struct {
	Applied []string `json:"applied"`
	Restart []string `json:"restart"` // changed in the file, but in force only after a restart
}

// Error is a refused or failed call.
type Error struct {
	Status  int    `json:"-"` // HTTP status
	Message string `json:"error"`
	Hint    string `json:"hint,omitempty"` // what to do
}

// Error implements error; the hint is not part of it.
func (e *Error) Error() string { return e.Message }

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.fullStatus(time.Now()))
}

// config answers YAML, or JSON on request.
func (s *Server) config(w http.ResponseWriter, r *http.Request) {
	text, kind := s.deps.Node.Config(), "application/yaml"
	if r.URL.Query().Get("format") == "json" {
		b, err := yaml.YAMLToJSON(text)
		if err != nil {
			writeError(w, &Error{Status: http.StatusInternalServerError, Message: err.Error()})
			return
		}
		text, kind = b, "application/json"
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(text) // the caller has gone: nobody to tell
}

func (s *Server) connections(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, listed(s.deps.Connections))
}

func (s *Server) requests(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, listed(s.deps.Requests))
}

// listed calls f, which may be nil.
func listed[T any](f func() []T) []T {
	if f == nil {
		return []T{}
	}
	return list(f())
}

func (s *Server) purge(w http.ResponseWriter, r *http.Request) {
	var p Purge
	if err := readJSON(r, &p); err != nil {
		writeError(w, &Error{http.StatusBadRequest, "purge: " + err.Error(), `send one of {"url":"…"}, {"host":"…"}, {"prefix":"…"}, {"all":true}`})
		return
	}
	if err := p.Validate(); err != nil {
		writeError(w, &Error{http.StatusBadRequest, "purge: " + err.Error(), ""})
		return
	}
	deadlines(w, longCall, longCall)
	res, err := s.deps.Node.Purge(r.Context(), p)
	if err != nil {
		writeError(w, failure(err))
		return
	}
	s.deps.Log.Info("purged", "url", p.URL, "host", p.Host, "prefix", p.Prefix, "all", p.All, "objects", res.Objects)
	writeJSON(w, http.StatusOK, res)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	deadlines(w, longCall, longCall)
	res, err := s.deps.Node.Reload(r.Context())
	if err != nil {
		e := failure(err)
		e.Status = http.StatusUnprocessableEntity
		writeError(w, e)
		return
	}
	res.Applied, res.Restart = list(res.Applied), list(res.Restart)
	writeJSON(w, http.StatusOK, res)
}

// longCall bounds the calls that may have much to do.
const longCall = 15 * time.Minute

// failure turns an error of the node into an answer.
func failure(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Status: http.StatusGatewayTimeout, Message: err.Error()}
	}
	return &Error{Status: http.StatusInternalServerError, Message: err.Error()}
}

// readJSON decodes the body strictly: an unknown field may be a misspelt one.
func readJSON(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("the body is not the JSON object expected: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the JSON object")
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the caller has gone: nobody to tell
}

func writeError(w http.ResponseWriter, e *Error) {
	if e.Status == 0 {
		e.Status = http.StatusInternalServerError
	}
	writeJSON(w, e.Status, e)
}

// writeRefusal answers 403 in the form that suits the path.
func writeRefusal(w http.ResponseWriter, r *http.Request, no refusal) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		writeError(w, &Error{http.StatusForbidden, no.why, no.hint})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, "403 forbidden: %s.\nWhat to do: %s.\n", no.why, no.hint)
}

// quote makes foreign text safe to show.
func quote(s string) string { return strconv.QuoteToASCII(s[:min(len(s), 100)]) }
