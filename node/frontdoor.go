package node

import (
	"net/netip"
)

// isFront reports whether another member may be at an address: its front door
// says whose connections it passes on.
func (n *Node) isFront(a netip.Addr) bool {
	if n.cluster == nil {
		return false
	}
	v := n.cluster.View()
	m := v.ByAddr(a)
	return m != nil && m.ID != v.Self
}
