package onlink

import (
	"log/slog"
	"net"
	"net/netip"

	"github.com/cachenode/cachenode/internal/steer"
	"github.com/cachenode/cachenode/internal/vip"
)

// steering keeps connections over a hand-over: at this machine by vip, at
// others by steer. It belongs to the election.
type steering struct {
	l       *vip.Link
	ifi     *net.Interface
	addr    netip.Addr
	port    uint16
	stay    error // what keeps this machine from it
	forward error
	f       *steer.Forwarder // nil: nothing is sent on
}

// newSteering finds out what this machine can do, and says what it cannot.
func newSteering(l *vip.Link, addr netip.AddrPort, log *slog.Logger) (*steering, error) {
	ifi, err := net.InterfaceByName(l.Interface())
	if err != nil {
		return nil, err
	}
	s := &steering{l: l, ifi: ifi, addr: addr.Addr(), port: addr.Port(), stay: l.CanStay(), forward: steer.Check()}
	if s.stay != nil {
		log.Warn("connections are cut when the virtual ip moves away from this node", "reason", s.stay.Error())
	}
	if s.forward != nil {
		log.Warn("connections are cut when the virtual ip moves to this node", "reason", s.forward.Error())
	}
	return s, nil
}

func (s *steering) Lacks() (stay, forward error) { return s.stay, s.forward }

func (s *steering) Stay() error { return s.l.Stay() }

func (s *steering) Connections() (int, error) { return s.l.Connections(s.port) }

func (s *steering) Forward(to net.HardwareAddr) (err error) {
	switch {
	case to == nil:
		return s.close()
	case s.f != nil:
		return s.f.Redirect(to)
	}
	s.f, err = steer.Forward(steer.Config{Interface: s.ifi, Address: s.addr, Port: s.port, To: to})
	return err
}

func (s *steering) close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}
