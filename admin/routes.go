package admin

import (
	"fmt"
	"html"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"
)

// routes is everything that the admin addresses answer.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	page := func(pattern string, level access, h http.HandlerFunc) {
		mux.HandleFunc(pattern, s.guarded(level, h))
	}
	page("GET /{$}", accessNumbers, s.index)
	page("GET /metrics", accessNumbers, s.deps.Metrics.Handler().ServeHTTP)
	page("GET /livez", accessAll, s.livez)
	page("GET /readyz", accessAll, s.readyz)
	page("GET /healthz", accessAll, s.healthz)

	page("GET /api/v1/status", accessControl, s.status)
	page("GET /api/v1/config", accessControl, s.config)
	page("GET /api/v1/connections", accessControl, s.connections)
	page("GET /api/v1/requests", accessControl, s.requests)
	page("POST /api/v1/purge", accessControl, s.purge)
	page("POST /api/v1/reload", accessControl, s.reload)
	s.clusterRoutes(page)
	s.vipRoutes(page)
	s.frontDoorRoutes(page)
	s.drainRoutes(page)

	page("GET /debug/pprof/", accessControl, pprof.Index)
	page("GET /debug/pprof/cmdline", accessControl, pprof.Cmdline)
	page("GET /debug/pprof/profile", accessControl, longer(pprof.Profile))
	page("GET /debug/pprof/symbol", accessControl, pprof.Symbol)
	page("POST /debug/pprof/symbol", accessControl, pprof.Symbol)
	page("GET /debug/pprof/trace", accessControl, longer(pprof.Trace))

	mux.Handle(managerPrefix, s.Manager())
	return bounded(mux)
}

// bounded sets what holds for every answer: limits, and headers that keep
// browsers from caching, guessing types and framing.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		deadlines(w, bodyTime, answerTime)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		head := w.Header()
		head.Set("Cache-Control", "no-store")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

// deadlines sets how long the request under way may take to be read and to be
// answered. The first one counts until the end of the answer, since a read that
// times out cancels the request's context.
func deadlines(w http.ResponseWriter, read, write time.Duration) {
	c, now := http.NewResponseController(w), time.Now()
	_ = c.SetReadDeadline(now.Add(read)) // only a recorder in a test cannot
	_ = c.SetWriteDeadline(now.Add(write))
}

// maxProfile is the longest profile that can be asked for.
const maxProfile = 10 * time.Minute

// longer gives a profile the time it was asked to take.
func longer(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64)
		if err == nil && seconds > maxProfile.Seconds() {
			http.Error(w, "a profile can take "+maxProfile.String()+" at most", http.StatusBadRequest)
			return
		}
		deadlines(w, maxProfile+answerTime, maxProfile+answerTime)
		h(w, r)
	}
}

// index lists the pages.
func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	st := s.deps.Node.Status()
	var b strings.Builder
	title := html.EscapeString("cachenode " + st.Name)
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>\n", title)
	b.WriteString("<style>body{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}</style></head>\n")
	fmt.Fprintf(&b, "<body><h1>%s</h1>\n<p>Version %s, %s.</p>\n", title, html.EscapeString(st.Version), html.EscapeString(st.State))
	b.WriteString("<h2>Pages</h2><ul>\n")
	for _, p := range [][2]string{
		{"/metrics", "metrics for Prometheus"},
		{"/livez?verbose", "is the process well"},
		{"/readyz?verbose", "may it get traffic"},
		{"/healthz?verbose", "all checks"},
		{"/stats", "the front door, and how it spreads clients over the nodes"},
	} {
		fmt.Fprintf(&b, "<li><a href=\"%s\">%s</a>: %s</li>\n", p[0], p[0], p[1])
	}
	b.WriteString("</ul>\n<h2>Manager pages</h2><ul>\n")
	for _, p := range managerPages() {
		fmt.Fprintf(&b, "<li><a href=\"%s%s\">%s</a>: %s</li>\n", managerPrefix, p.name, p.name, p.title)
	}
	b.WriteString("</ul>\n<h2>With the API token</h2><p><code>/api/v1/status</code>, <code>config</code>, <code>connections</code>, <code>requests</code>, <code>purge</code>, <code>reload</code>, <code>members</code>, <code>frontdoor</code>, <code>drain</code>; <code>/debug/pprof/</code></p></body></html>\n")
	_, _ = w.Write([]byte(b.String())) // the caller has gone: nobody to tell
}
