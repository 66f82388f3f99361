package admin

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// frontDoorCSV answers with the columns of HAProxy's statistics, for the tools
// that read those.
func (s *Server) frontDoorCSV(w http.ResponseWriter, _ *http.Request) {
	if s.deps.FrontDoor == nil {
		http.Error(w, ErrNoFrontDoor.Message, ErrNoFrontDoor.Status)
		return
	}
	fd := s.deps.FrontDoor()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(appendCSV(nil, &fd)) // the caller has gone: nobody to tell
}

// csvColumns are those of HAProxy, in its order.
const csvColumns = "pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status," +
	"weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max," +
	"check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate," +
	"req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime," +
	"ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise," +
	"agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot"

// The names of the two proxies in the first column.
const (
	csvFront = "frontdoor"
	csvNodes = "nodes"
)

// The kinds of lines in the column type.
const (
	csvTypeFront  = "0"
	csvTypeNodes  = "1"
	csvTypeServer = "2"
)

func appendCSV(b []byte, fd *FrontDoor) []byte {
	out := bytes.NewBuffer(append(b, "# "+csvColumns+",\n"...))
	w := csv.NewWriter(out)
	columns := strings.Split(csvColumns, ",")
	line := func(values map[string]string) {
		record := make([]string, len(columns)+1) // HAProxy ends lines with a comma
		for i, c := range columns {
			record[i] = values[c]
		}
		_ = w.Write(record) // into memory
	}
	line(frontValues(&fd.Front))
	for i := range fd.Nodes {
		line(nodeValues(&fd.Nodes[i], i+1))
	}
	line(totalValues(fd))
	w.Flush()
	return out.Bytes()
}

// commonValues are those that all lines have.
func commonValues(l *FrontDoorLine, proxy, server, kind string) map[string]string {
	return map[string]string{
		"pxname": proxy, "svname": server, "type": kind, "pid": "1", "iid": "2", "sid": "0", "status": l.Status, "mode": "tcp",
		"scur": num(l.Sessions), "smax": num(l.MaxSessions), "stot": num(l.TotalSessions), "slim": bound(l.SessionLimit),
		"bin": num(l.BytesIn), "bout": num(l.BytesOut), "rate": num(l.Rate), "rate_max": num(l.MaxRate),
	}
}

func frontValues(l *FrontDoorLine) map[string]string {
	v := commonValues(l, csvFront, "FRONTEND", csvTypeFront)
	v["dreq"], v["dresp"], v["ereq"] = num(l.Denied), "0", "0"
	v["conn_rate"], v["conn_rate_max"], v["conn_tot"] = num(l.Rate), num(l.MaxRate), num(l.TotalSessions)
	v["rate_lim"] = "0"
	return v
}

func nodeValues(l *FrontDoorLine, number int) map[string]string {
	v := commonValues(l, csvNodes, l.Name, csvTypeServer)
	backendValues(v, l)
	v["sid"], v["act"], v["bck"] = num(number), "1", "0"
	v["chkfail"], v["chkdown"] = num(l.CheckFailures), num(l.Downs)
	v["check_status"], v["check_duration"], v["addr"] = l.CheckStatus, num(l.CheckDuration.Milliseconds()), l.Address
	v["srv_abrt"] = num(l.Aborted)
	if l.CheckCode > 0 {
		v["check_code"] = num(l.CheckCode)
	}
	if l.Throttle > 0 {
		v["throttle"] = num(l.Throttle)
	}
	return v
}

func totalValues(fd *FrontDoor) map[string]string {
	v := commonValues(&fd.Total, csvNodes, "BACKEND", csvTypeNodes)
	backendValues(v, &fd.Total)
	active := 0
	for i := range fd.Nodes {
		if fd.Nodes[i].Status == "UP" {
			active++
		}
	}
	v["act"], v["bck"], v["chkdown"], v["algo"] = num(active), "0", num(fd.Total.Downs), fd.Balance
	v["dreq"] = num(fd.Total.Denied)
	return v
}

func backendValues(v map[string]string, l *FrontDoorLine) {
	v["iid"] = "3"
	v["qcur"], v["qmax"], v["qlimit"] = num(l.Queued), num(l.MaxQueued), bound(l.QueueLimit)
	v["dresp"], v["econ"], v["eresp"] = "0", num(l.ConnectErrors), "0"
	v["wretr"], v["wredis"], v["lbtot"] = num(l.ConnectErrors), num(l.Redispatches), num(l.Picked)
	v["weight"] = num(l.Weight)
	v["lastchg"], v["downtime"] = num(int64(l.LastChange.Seconds())), num(int64(l.Downtime.Seconds()))
}

func num[N int | int64 | uint64](n N) string { return fmt.Sprint(n) }

// bound is empty for none.
func bound(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
