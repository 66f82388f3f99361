package admin

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"
)

func aFrontDoor() FrontDoor {
	return FrontDoor{
		Node: "n1", Address: "10.0.0.100:3128", Holder: true, Balance: "leastconn",
		Front: FrontDoorLine{Name: "frontdoor", Status: "OPEN", Sessions: 7, MaxSessions: 9, TotalSessions: 100, SessionLimit: 50, BytesIn: 1, BytesOut: 2, Denied: 3, Rate: 4, MaxRate: 5},
		Nodes: []FrontDoorLine{
			{Name: "n1", Address: "10.0.0.1:3128", Status: "UP", Weight: 100, Sessions: 4, Picked: 60, CheckStatus: "L7OK", CheckDuration: 2 * time.Millisecond},
			{Name: "n<2>", Address: "10.0.0.2:3128", Status: "DOWN", ConnectErrors: 8, Weight: 50, Throttle: 20, Downs: 2, LastChange: 90 * time.Second, Downtime: 100 * time.Second, Redispatches: 7},
		},
		Total: FrontDoorLine{Name: "nodes", Status: "UP", Weight: 150, Queued: 1, QueueLimit: 1000},
	}
}

// The tools that read HAProxy's statistics find columns by their names and lines
// by their type.
func TestFrontDoorCSV(t *testing.T) {
	fd := aFrontDoor()
	text := string(appendCSV(nil, &fd))
	head, _, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(head, "# pxname,svname,qcur,qmax,scur,smax,slim,stot,") || !strings.HasSuffix(head, ",") {
		t.Errorf("head %q", head)
	}
	lines, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# "))).ReadAll()
	if err != nil || len(lines) != 5 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	value := func(line int, column string) string {
		for i, name := range lines[0] {
			if name == column {
				return lines[line][i]
			}
		}
		t.Fatalf("no column %q", column)
		return ""
	}
	for _, c := range []struct {
		line         int
		column, want string
	}{
		{1, "pxname", "frontdoor"}, {1, "svname", "FRONTEND"}, {1, "type", "0"}, {1, "status", "OPEN"}, {1, "scur", "7"}, {1, "smax", "9"},
		{1, "slim", "50"}, {1, "stot", "100"}, {1, "bin", "1"}, {1, "bout", "2"}, {1, "dreq", "3"}, {1, "rate", "4"}, {1, "rate_max", "5"}, {1, "weight", ""},
		{2, "pxname", "nodes"}, {2, "svname", "n1"}, {2, "type", "2"}, {2, "status", "UP"}, {2, "weight", "100"}, {2, "lbtot", "60"}, {2, "slim", ""},
		{2, "check_status", "L7OK"}, {2, "check_duration", "2"}, {2, "addr", "10.0.0.1:3128"}, {2, "throttle", ""}, {2, "sid", "1"},
		{3, "status", "DOWN"}, {3, "chkdown", "2"}, {3, "lastchg", "90"}, {3, "downtime", "100"}, {3, "throttle", "20"}, {3, "wretr", "8"}, {3, "wredis", "7"}, {3, "econ", "8"},
		{4, "svname", "BACKEND"}, {4, "type", "1"}, {4, "act", "1"}, {4, "qcur", "1"}, {4, "qlimit", "1000"}, {4, "algo", "leastconn"}, {4, "weight", "150"},
	} {
		if got := value(c.line, c.column); got != c.want {
			t.Errorf("line %d, %s: %q, want %q", c.line, c.column, got, c.want)
		}
	}
}

func TestFrontDoorPage(t *testing.T) {
	fd := aFrontDoor()
	page := string(appendStatsPage(nil, &fd))
	for _, want := range []string{"10.0.0.100:3128, held by this node", `class="UP"`, "n&lt;2&gt;", "DOWN", "50 (20 %)", "1m30s"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	if strings.Contains(page, "n<2>") {
		t.Error("a name is not escaped")
	}
}
