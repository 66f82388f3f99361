package peer

import (
	"cmp"
	"net/netip"
	"slices"
)

// View is the membership at one moment. It never changes, and may be kept.
type View struct {
	// Seq grows with every view of this node.
	Seq uint64
	// Cluster is the name of the cluster.
	Cluster string
	// Self is the ID of this node.
	Self string
	// Members are all that are known, this node included, by name.
	Members []Member
}

// newView sorts the members, which it keeps.
func newView(seq uint64, cluster, self string, members []Member) *View {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return &View{Seq: seq, Cluster: cluster, Self: self, Members: members}
}

// Me is this node; nil in a view without it.
func (v *View) Me() *Member { return v.ByID(v.Self) }

// ByID finds a member; nil when there is none. The member must not be changed.
func (v *View) ByID(id string) *Member {
	for i := range v.Members {
		if v.Members[i].ID == id {
			return &v.Members[i]
		}
	}
	return nil
}

// ByName finds a member, one that is up before one that is not; nil when there
// is none.
func (v *View) ByName(name string) *Member {
	var found *Member
	for i := range v.Members {
		m := &v.Members[i]
		if m.Name == name && (found == nil || m.State.Up() && !found.State.Up()) {
			found = m
		}
	}
	return found
}

// ByAddr finds a member by the address of its services: one that is up, else one
// that has failed, which may be there although it cannot be heard; nil when there is
// none.
func (v *View) ByAddr(addr netip.Addr) (found *Member) {
	addr = addr.Unmap()
	for i := range v.Members {
		switch m := &v.Members[i]; {
		case m.Addr != addr:
		case m.State.Up():
			return m
		case m.State == Failed:
			found = m
		}
	}
	return found
}

// Others are the members that are up, without this node.
func (v *View) Others() []Member {
	return slices.DeleteFunc(slices.Clone(v.Members), func(m Member) bool { return m.ID == v.Self || !m.State.Up() })
}

// Away names the members that are not up and expected back.
func (v *View) Away() (names []string) {
	for i := range v.Members {
		if v.Members[i].Away {
			names = append(names, v.Members[i].Name)
		}
	}
	return names
}

// Count is how many members are in a state.
func (v *View) Count(s State) (n int) {
	for i := range v.Members {
		if v.Members[i].State == s {
			n++
		}
	}
	return n
}
