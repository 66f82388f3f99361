package proxy

import (
	"io"
	"net/http"
)

// probe answers GET and HEAD of /readyz and /livez, which balancers in front and
// other nodes ask several times a second. Anybody may ask; the answer says
// nothing but whether to send clients here. Probes are no clients' requests: they
// are neither logged nor counted.
func (p *Proxy) probe(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Host != "" {
		return false
	}
	var bad error
	switch r.RequestURI {
	case "/livez": // the answer itself is the proof
	case "/readyz":
		if p.d.Ready != nil {
			bad = p.d.Ready()
		}
	default:
		return false
	}
	status, text := http.StatusOK, "ok\n"
	if bad != nil {
		status, text = http.StatusServiceUnavailable, bad.Error()+"\n"
	}
	h := w.Header()
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["Cache-Control"] = []string{"no-store"}
	setLength(h, int64(len(text)))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, text) // the caller has gone: nobody to tell
	}
	return true
}
