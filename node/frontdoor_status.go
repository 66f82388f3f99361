package node

import (
	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/frontdoor"
)

// stand is the front door as the admin interface shows it.
func (e *entrance) stand() admin.FrontDoor {
	s := e.door.Stats()
	fd := admin.FrontDoor{
		Node: e.n.o.Name, Holder: e.n.vip.holds(), Balance: string(e.n.o.FrontDoor.Balance),
		Front: line(&s.Frontend), Total: line(&s.Backend), Reasons: s.Reasons,
	}
	if at := e.at.Load(); at != nil {
		fd.Address = at.String()
	}
	for i := range s.Nodes {
		fd.Nodes = append(fd.Nodes, line(&s.Nodes[i]))
	}
	return fd
}

func line(r *frontdoor.Row) admin.FrontDoorLine {
	l := admin.FrontDoorLine{
		Name: r.Name, Address: r.Addr, Status: string(r.Status), Weight: r.Weight,
		Queued: int64(r.Queued), MaxQueued: int64(r.QueuedMax), QueueLimit: int64(r.QueueLimit),
		Sessions: int64(r.Sessions), MaxSessions: int64(r.SessionsMax), SessionLimit: int64(r.SessionsLimit),
		TotalSessions: uint64(r.SessionsTotal), BytesIn: uint64(r.BytesIn), BytesOut: uint64(r.BytesOut),
		Denied: uint64(r.Refused), ConnectErrors: uint64(r.ConnectErrors), Redispatches: uint64(r.Redispatches),
		Aborted: uint64(r.Aborted), Picked: uint64(r.Chosen), Rate: int64(r.Rate), MaxRate: int64(r.RateMax),
		CheckFailures: uint64(r.ChecksFailed), Downs: uint64(r.WentDown), LastChange: r.LastChange, Downtime: r.Downtime,
		CheckStatus: r.CheckStatus, CheckCode: r.CheckCode, CheckDuration: r.CheckDuration,
	}
	if r.Throttle < 100 {
		l.Throttle = r.Throttle
	}
	return l
}
