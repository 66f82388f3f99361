package scenario

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// holder asks a node who holds the virtual IP.
func (n *node) holder() string {
	n.t.Helper()
	code, out := n.here("vip", "--format", "json")
	if code != 0 {
		return ""
	}
	var st struct{ Holder string }
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		n.t.Fatalf("vip: %s", out)
	}
	return st.Holder
}

// held waits until all nodes say the same holder, one of those wanted.
func held(t *testing.T, want string, nodes ...*node) (by string) {
	t.Helper()
	eventually(t, "the virtual ip is held by "+want, func() bool {
		by = nodes[0].holder()
		for _, n := range nodes {
			if by == "" || n.holder() != by {
				return false
			}
		}
		return strings.Contains(want, by)
	})
	return by
}

// One node is told the virtual IP, the others learn it; it moves when its
// holder is told to, dies or stops, and not when the key of the cluster changes.
func TestVirtualIP(t *testing.T) {
	t.Parallel()
	vip := loopback()
	// Slow heartbeats: this machine is busy with other tests.
	n1 := member(t, "n1", "--vip", vip+"/8", "--config", file(t, "cachenode.yaml", "vip: {heartbeat: 500ms}"))
	if code, out := member(t, "single").here("vip"); code != 1 || !strings.Contains(out, "no virtual IP") {
		t.Errorf("vip of a node that has none: %d %s", code, out)
	}
	held(t, "n1", n1)
	n2 := joined(t, "n2", n1)
	n3 := joined(t, "n3", n1)
	held(t, "n1", n1, n2, n3)
	wantIn(t, n3.done("vip"), vip+"/8 port 3128 (loopback), held by n1, term 1", "n1    holding")
	for _, n := range []*node{n2, n3} { // it has learnt, and takes part
		eventually(t, "it takes part", func() bool { return strings.Count(n.done("vip"), "idle") == 2 })
	}

	wantIn(t, n3.done("vip", "move", "n2"), vip+"/8 is held by n2")
	held(t, "n2", n1, n2, n3)
	if code, out := n1.here("vip", "move", "nobody"); code != 1 || !strings.Contains(out, `no node "nobody"`) {
		t.Errorf("move to nobody: %d %s", code, out)
	}
	n2.kill()
	by := held(t, "n1 n3", n1, n3)
	wantIn(t, n1.done("vip"), "term 3", "n2    -")
	n2.launch() // it remembers, and takes nothing away
	n2.ready()
	held(t, by, n1, n2, n3)
	n1.done("key", "rotate")
	wantIn(t, n2.done("vip"), "held by "+by+", term 3")
	holder, other := n1, n3
	if by == "n3" {
		holder, other = n3, n1
	}
	holder.stop()
	if next := held(t, "n1 n2 n3", n2, other); next == by {
		t.Errorf("%s stopped, and holds it still", by)
	}
	wantIn(t, n2.done("vip"), "term 4", fmt.Sprintf("%s    -", by))
}
