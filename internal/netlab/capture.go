package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Frame is an Ethernet frame as a host saw it, its header included.
type Frame struct {
	At   time.Time
	Data []byte
}

// Capture collects frames that arrive at a host.
type Capture struct {
	fd   int
	done chan struct{} // closed when the reader has ended

	mu     sync.Mutex // guards frames
	frames []Frame
}

// EtherTypes of Capture.
const (
	EtherTypeARP  = unix.ETH_P_ARP
	EtherTypeIPv6 = unix.ETH_P_IPV6
)

// Capture collects the frames of one EtherType that come to the host, until
// the test ends.
func (h *Host) Capture(etherType uint16) *Capture {
	h.lab.t.Helper()
	c := &Capture{done: make(chan struct{})}
	err := h.Do(func() (err error) {
		c.fd, err = rawSocket(etherType)
		return err
	})
	if err != nil {
		h.lab.t.Fatal(fmt.Errorf("capture on %s: %w", h.Name, err))
	}
	stop := make(chan struct{})
	go c.read(stop)
	h.lab.t.Cleanup(func() {
		close(stop)
		<-c.done
		_ = unix.Close(c.fd)
	})
	return c
}

// rawSocket opens one whose reads end after a while, so that the reader can be
// stopped.
func rawSocket(etherType uint16) (int, error) {
	var proto [2]byte
	binary.BigEndian.PutUint16(proto[:], etherType)
	wire := binary.NativeEndian.Uint16(proto[:])
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(wire))
	if err != nil {
		return 0, err
	}
	wait := unix.NsecToTimeval(int64(50 * time.Millisecond))
	return fd, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
}

func (c *Capture) read(stop <-chan struct{}) {
	defer close(c.done)
	buf := make([]byte, 2048)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, _, err := unix.Recvfrom(c.fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			return
		}
		c.mu.Lock()
		c.frames = append(c.frames, Frame{time.Now(), append([]byte(nil), buf[:n]...)})
		c.mu.Unlock()
	}
}

// Frames are those that have come so far.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Frame(nil), c.frames...)
}
