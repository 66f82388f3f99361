package metrics

import (
	"time"

	"golang.org/x/sys/unix"
)

// Sources are the numbers that other parts own and that are read when somebody
// asks. A nil func is a part that is not there: its numbers are zero. They may
// be called from many goroutines and must not block.
type Sources struct {
	Cache      func() CacheStats
	Proxy      func() ProxyStats
	ICP        func() ICPStats
	Peers      func() []PeerStats
	Draining   func() bool
	LogDropped func() uint64 // access log lines lost
	// Members counts the nodes of the cluster by state, GossipRejected what its
	// port turned away, by reason.
	Members        func() map[string]int
	GossipRejected func() map[string]uint64
	// Invalidations counts what unsafe requests made invalid: keys told to other
	// members and heard of them, keys that were not told, batches not taken.
	Invalidations func() map[string]uint64
	// VIP is how this node stands to the virtual IP; nil: there is none.
	VIP func() VIPStats
}

// VIPStats are the numbers of the virtual IP.
type VIPStats struct {
	Holder      bool   // this node has it
	Transitions uint64 // times this node took it
}

// CacheStats are the numbers of the store.
type CacheStats struct {
	Objects  int64 // stored objects, each counted once
	Bytes    int64 // on disk
	Capacity int64 // on disk, 0: no disk tier

	MemObjects  int64
	MemBytes    int64
	MemCapacity int64

	Evictions uint64 // objects dropped to make room
	Corrupt   uint64 // objects dropped because their bytes were damaged
	Missing   uint64 // objects dropped because their file was missing or cut off
	Writes    uint64 // objects written to disk
	Reads     uint64 // objects read from disk
	Removed   uint64 // segment files deleted
	ReadOnly  bool
}

// ProxyStats are the numbers of the proxy's clients at this moment.
type ProxyStats struct {
	Connections int64 // open client connections
	Requests    int64 // requests being served, tunnels not included
	Tunnels     int64 // open tunnels

	Accepted uint64            // connections since the start
	Refused  map[string]uint64 // requests that were no acceptable HTTP, or too many, by reason
	Closed   map[string]uint64 // connections that limits have ended, by reason
}

// ICPStats are the totals of the ICP server and client, as squid names them.
type ICPStats struct {
	PktsSent, PktsRecv       uint64
	QueriesSent, QueriesRecv uint64
	RepliesSent, RepliesRecv uint64
	QueryTimeouts            uint64
	BytesSent, BytesRecv     uint64
	QueryBytesSent           uint64
	QueryBytesRecv           uint64
	ReplyBytesSent           uint64
	ReplyBytesRecv           uint64
	TimesUsed                uint64

	Sent, Received map[string]uint64 // datagrams by opcode
	Dropped        map[string]uint64 // received datagrams without an effect, by reason
}

func (s *Sources) cache() CacheStats {
	if s.Cache == nil {
		return CacheStats{}
	}
	return s.Cache()
}

func (s *Sources) proxy() ProxyStats {
	if s.Proxy == nil {
		return ProxyStats{}
	}
	return s.Proxy()
}

func (s *Sources) icp() ICPStats {
	if s.ICP == nil {
		return ICPStats{}
	}
	return s.ICP()
}

// Usage is what this process has used since it started.
type Usage struct {
	CPU         time.Duration // user and system
	MaxResident int64         // bytes
	MajorFaults int64         // page faults that waited for the disk
}

// ReadUsage asks the kernel.
func ReadUsage() Usage {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return Usage{}
	}
	return Usage{
		CPU:         time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		MaxResident: r.Maxrss << 10,
		MajorFaults: r.Majflt,
	}
}
