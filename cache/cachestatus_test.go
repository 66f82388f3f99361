package cache

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCacheStatusMember(t *testing.T) {
	cases := []struct {
		s    Status
		want string
	}{
		{Status{Node: "cachenode-n2", Hit: true, HasTTL: true, TTL: 376 * time.Second}, "cachenode-n2; hit; ttl=376"},
		{Status{Node: "n", Hit: true, HasTTL: true, TTL: -1}, "n; hit; ttl=-1"},
		{Status{Node: "n", Hit: true, HasTTL: true, TTL: -2 * time.Second, Detail: "stale-while-revalidate"}, "n; hit; ttl=-2; detail=stale-while-revalidate"},
		{Status{Node: "n", Hit: true, Fwd: FwdStale, FwdStatus: 304, Stored: true, Collapsed: true}, "n; hit"},
		{Status{Node: "n", Fwd: FwdURIMiss, Stored: true, Collapsed: true}, "n; fwd=uri-miss; stored; collapsed"},
		{Status{Node: "n", Fwd: FwdStale, FwdStatus: 304}, "n; fwd=stale; fwd-status=304"},
		{Status{Node: "node 2", Key: `http://a/"\ü`, Detail: "1st"}, `"node 2"; key="http://a/\"\\%C3%BC"; detail="1st"`},
		{Status{Node: "*n:/", Detail: "a\r\nb"}, `*n:/; detail="a%0D%0Ab"`},
		{Status{}, `""`},
	}
	for _, c := range cases {
		if got := c.s.String(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestOurMemberComesLast(t *testing.T) {
	lines := make([]string, 2, 8)
	copy(lines, []string{"OriginCache; hit; ttl=1100", ""})
	stored := http.Header{"Cache-Status": lines}
	h := stored.Clone()
	h["Cache-Status"] = lines
	AppendMember(h, Status{Node: "n", Hit: true})
	if got := strings.Join(h["Cache-Status"], "|"); got != "OriginCache; hit; ttl=1100, n; hit" {
		t.Error(got)
	}
	if !reflect.DeepEqual(lines[:3], []string{"OriginCache; hit; ttl=1100", "", ""}) {
		t.Errorf("the stored lines changed: %q", lines[:3])
	}
	h = make(http.Header)
	AppendMember(h, Status{Node: "n", Fwd: FwdBypass})
	if got := h.Get("Cache-Status"); got != "n; fwd=bypass" {
		t.Error(got)
	}
}

func TestAppendAge(t *testing.T) {
	for d, want := range map[time.Duration]string{-5: "0", 0: "0", 1999 * time.Millisecond: "1", maxDelta: "2147483648", 1 << 62: "2147483648"} {
		if got := string(AppendAge(nil, d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
