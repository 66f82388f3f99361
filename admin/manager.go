package admin

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// managerPrefix is the path under which squid serves its manager pages.
const managerPrefix = "/squid-internal-mgr/"

// managerPage is one of squid's manager pages. The layouts are squid 5.7's,
// since exporters and scripts parse them; lines about what this node does not
// have are kept with zeros.
type managerPage struct {
	name, title string
	level       access
	write       func(s *Server, b *bytes.Buffer, now time.Time)
}

func managerPages() []managerPage {
	return []managerPage{
		{"menu", "Cache Manager Menu", accessNumbers, (*Server).writeMenu},
		{"info", "General Runtime Information", accessNumbers, (*Server).writeInfo},
		{"counters", "Traffic and Resource Counters", accessNumbers, (*Server).writeCounters},
		{"service_times", "Service Times (Percentiles)", accessNumbers, (*Server).writeServiceTimes},
		{"5min", "5 Minute Average of Counters", accessNumbers, func(s *Server, b *bytes.Buffer, now time.Time) { s.writeAverages(b, now, 5) }},
		{"60min", "60 Minute Average of Counters", accessNumbers, func(s *Server, b *bytes.Buffer, now time.Time) { s.writeAverages(b, now, 60) }},
		{"client_list", "Cache Client List", accessTraffic, (*Server).writeClients},
		{"server_list", "Peer Cache Statistics", accessNumbers, (*Server).writeServers},
		{"storedir", "Store Directory Stats", accessNumbers, (*Server).writeStoreDir},
		{"mem", "Memory Utilization", accessNumbers, (*Server).writeMemory},
		{"filedescriptors", "Process Filedescriptor Allocation", accessTraffic, (*Server).writeDescriptors},
		{"active_requests", "Client-side Active Requests", accessTraffic, (*Server).writeActive},
		{"config", "Current Configuration", accessTraffic, func(s *Server, b *bytes.Buffer, _ time.Time) { b.Write(s.deps.Node.Config()) }},
	}
}

// Manager serves squid's manager pages, for the admin addresses and for the
// proxy port, where only the path counts. It refuses by itself those who may not
// see a page, by the remote address and the Host of the request.
func (s *Server) Manager() http.Handler {
	pages := make(map[string]managerPage)
	for _, p := range managerPages() {
		pages[p.name] = p
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := pages[pageName(r)]
		if no := s.refuse(r, p.level); no != nil {
			writeRefusal(w, r, *no)
			return
		}
		w.Header().Set("Content-Type", "text/plain;charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, "no such manager page; %smenu lists them\n", managerPrefix)
		default:
			var b bytes.Buffer
			p.write(s, &b, time.Now())
			_, _ = w.Write(b.Bytes()) // the caller has gone: nobody to tell
		}
	})
}

// pageName is the page that r asks for; without a name it is the menu.
func pageName(r *http.Request) string {
	name := strings.TrimPrefix(r.URL.Path, managerPrefix)
	if name = strings.TrimSuffix(name, "/"); name == "" {
		return "menu"
	}
	return name
}

func (s *Server) writeMenu(b *bytes.Buffer, _ time.Time) {
	for _, p := range managerPages() {
		fmt.Fprintf(b, " %-22s\t%-32s\tpublic\n", p.name, p.title)
	}
}

// squidTime is the form of times in squid's pages: seconds, then a date.
func squidTime(t time.Time) string {
	return fmt.Sprintf("%d.%06d (%s)", t.Unix(), t.Nanosecond()/1000, t.UTC().Format(http.TimeFormat))
}

// percentOf is 100 part/whole, 0 of nothing.
func percentOf(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * part / whole
}
