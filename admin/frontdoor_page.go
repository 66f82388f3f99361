package admin

import (
	"fmt"
	"html"
	"net/http"
	"time"
)

// frontDoorPage shows the same to people.
func (s *Server) frontDoorPage(w http.ResponseWriter, _ *http.Request) {
	if s.deps.FrontDoor == nil {
		http.Error(w, ErrNoFrontDoor.Message, ErrNoFrontDoor.Status)
		return
	}
	fd := s.deps.FrontDoor()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Refresh", "5")
	_, _ = w.Write(appendStatsPage(nil, &fd)) // the caller has gone: nobody to tell
}

func appendStatsPage(b []byte, fd *FrontDoor) []byte {
	title := html.EscapeString("Front door of " + fd.Node)
	b = fmt.Appendf(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>\n", title)
	b = append(b, "<style>body{font:16px/1.5 sans-serif;margin:2em;padding:0}table{border-collapse:collapse}"+
		"th,td{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}"+
		".UP,.OPEN{color:#186a1b}.DOWN,.NONE{color:#b00020}.DRAIN,.NOLB,.MAINT{color:#8a5a00}</style></head>\n"...)
	where := "no virtual IP"
	if fd.Address != "" {
		where = fd.Address + ", held by another node"
		if fd.Holder {
			where = fd.Address + ", held by this node"
		}
	}
	b = fmt.Appendf(b, "<body><h1>%s</h1>\n<p>%s; balance %s. <a href=\"/stats;csv\">CSV</a></p>\n<table>\n", title, html.EscapeString(where), html.EscapeString(fd.Balance))
	b = append(b, "<tr><th>Node<th>Status<th>Weight<th>Queue<th>Connections<th>Most<th>Limit<th>In all<th>Per second<th>Bytes in<th>Bytes out<th>Connect errors<th>Check<th>Since</tr>\n"...)
	b = appendRow(b, "all clients", &fd.Front)
	for i := range fd.Nodes {
		b = appendRow(b, fd.Nodes[i].Name, &fd.Nodes[i])
	}
	b = appendRow(b, "all nodes", &fd.Total)
	return append(b, "</table></body></html>\n"...)
}

func appendRow(b []byte, name string, l *FrontDoorLine) []byte {
	status := html.EscapeString(l.Status)
	weight := num(l.Weight)
	if l.Throttle > 0 {
		weight += fmt.Sprintf(" (%d %%)", l.Throttle)
	}
	check := "-"
	if l.CheckStatus != "" {
		check = fmt.Sprintf("%s in %v", l.CheckStatus, l.CheckDuration.Round(10*time.Microsecond))
	}
	limits := bound(l.SessionLimit)
	if limits == "" {
		limits = "-"
	}
	return fmt.Appendf(b, "<tr><td>%s<td class=\"%s\">%s<td>%s<td>%d<td>%d<td>%d<td>%s<td>%d<td>%d<td>%d<td>%d<td>%d<td>%s<td>%v</tr>\n",
		html.EscapeString(name), status, status, weight, l.Queued, l.Sessions, l.MaxSessions, limits, l.TotalSessions, l.Rate,
		l.BytesIn, l.BytesOut, l.ConnectErrors, html.EscapeString(check), l.LastChange.Round(time.Second))
}
