package origin

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a running origin.
type Server struct {
	ln     net.Listener
	serial atomic.Uint64
	counts register
	done   chan struct{} // closed by Close
	tasks  sync.WaitGroup

	mu    sync.Mutex // guards conns and ended
	conns map[net.Conn]struct{}
	ended bool
}

// Listen binds addr. Nothing is served before Serve.
func Listen(addr string) (*Server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the origin: %w", err)
	}
	return New(ln), nil
}

// New makes a server of a listener, which it closes in the end.
func New(ln net.Listener) *Server {
	return &Server{ln: ln, done: make(chan struct{}), conns: map[net.Conn]struct{}{}}
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve accepts until Close; then it returns nil.
func (s *Server) Serve() error {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			select {
			case <-s.done:
				return nil
			default:
			}
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				continue
			}
			if s.pause(10 * time.Millisecond) { // out of descriptors, say
				continue
			}
			return nil
		}
		if !s.keep(nc) {
			_ = nc.Close()
			return nil
		}
		s.tasks.Go(func() {
			defer s.drop(nc)
			s.converse(nc)
		})
	}
}

// Close stops the server, cuts its connections and waits for what it started.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil
	}
	s.ended = true
	close(s.done)
	open := make([]net.Conn, 0, len(s.conns))
	for nc := range s.conns {
		open = append(open, nc)
	}
	s.mu.Unlock()
	err := s.ln.Close()
	for _, nc := range open {
		_ = nc.Close()
	}
	s.tasks.Wait()
	return err
}

func (s *Server) keep(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.conns[nc] = struct{}{}
	return true
}

func (s *Server) drop(nc net.Conn) {
	_ = nc.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, nc)
}

// Serial is the number of the last answer that began.
func (s *Server) Serial() uint64 { return s.serial.Load() }

// Counts are of one class, or of all when class is "".
func (s *Server) Counts(class string) Counts {
	var sum Counts
	for name, c := range s.counts.all() {
		if class == "" || name == class {
			sum = sum.Sub(Counts{}.Sub(c))
		}
	}
	return sum
}

// Stats are what /stats answers.
func (s *Server) Stats() Stats {
	return Stats{Clock: time.Now().UnixNano(), Serial: s.Serial(), Classes: s.counts.all()}
}

// pause waits; false means that the server ends.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}

const (
	readBuffer  = 8 << 10 // also the longest line of a request
	writeBuffer = 64 << 10
)

// converse answers the requests of one connection, one after the other.
func (s *Server) converse(nc net.Conn) {
	c := &conn{server: s, nc: nc, in: bufio.NewReaderSize(nc, readBuffer)}
	for {
		r, err := c.read()
		if err != nil {
			if errors.Is(err, errBadRequest) {
				_ = c.plain(400, err.Error()+"\n", false)
			}
			return
		}
		if err := c.answer(r); err != nil || !r.keep {
			return
		}
	}
}
