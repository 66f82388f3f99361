package peer

// Static is a Directory of fixed members: for tests and set-ups without gossip.
type Static struct{ board }

// NewStatic returns a directory in which self is this node, listed among the
// members or not. Members without a State are alive.
func NewStatic(self string, members ...Member) *Static {
	s := &Static{}
	s.publish(newView(1, "static", self, upright(members)))
	return s
}

// Set exchanges the members.
func (s *Static) Set(members ...Member) {
	v := s.View()
	s.publish(newView(v.Seq+1, v.Cluster, v.Self, upright(members)))
}

func upright(members []Member) []Member {
	list := append([]Member(nil), members...)
	for i := range list {
		if list[i].State == 0 {
			list[i].State = Alive
		}
	}
	return list
}
