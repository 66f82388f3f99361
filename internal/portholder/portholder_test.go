package portholder

import (
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestListeners(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0C38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:0C38 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
   3: short
`
	got := map[string]bool{}
	listeners(strings.NewReader(table), 3128, got)
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"4711"}) {
		t.Errorf("inodes %v, want 4711: it alone listens on 3128", keys)
	}
}

func TestFindSeesThisProcess(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if who := Find(uint16(ln.Addr().(*net.TCPAddr).Port)); who != "this very process" {
		t.Errorf("found %q", who)
	}
}
