package failover

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/cachenode/cachenode/bench/body"
	"github.com/cachenode/cachenode/bench/origin"
)

// Origin is what the probes ask for when the user names nothing: one object
// that can be checked byte by byte and is fresh for an hour.
type Origin struct {
	URL    string
	id     string
	size   int64
	server *origin.Server
	served chan error // its only value
}

// StartOrigin listens on listen, or if that is "" on the address of this
// machine that faces vip, and serves until Close.
func StartOrigin(vip, listen string) (*Origin, error) {
	if listen == "" {
		facing, err := addressFacing(vip)
		if err != nil {
			return nil, fmt.Errorf("choose an address for the origin: %w", err)
		}
		listen = net.JoinHostPort(facing, "0")
	}
	s, err := origin.Listen(listen)
	if err != nil {
		return nil, err
	}
	o := &Origin{id: "failover-" + strconv.FormatInt(time.Now().UnixNano(), 36), size: 1024, server: s, served: make(chan error, 1)}
	o.URL = fmt.Sprintf("http://%s/o/%s?size=%d&cc=max-age%%3D3600", s.Addr(), o.id, o.size)
	go func() { o.served <- s.Serve() }()
	return o, nil
}

// addressFacing is our own address on the way to another; nothing is sent.
func addressFacing(other string) (string, error) {
	c, err := net.Dial("udp", other)
	if err != nil {
		return "", err
	}
	defer c.Close()
	host, _, err := net.SplitHostPort(c.LocalAddr().String())
	return host, err
}

// Check says what is wrong with an answer's body.
func (o *Origin) Check(_ http.Header, got []byte) error {
	object, ok := body.ParseHead(got)
	if !ok || object.ID != o.id || int64(len(got)) != o.size {
		return fmt.Errorf("%d bytes that are not those of the probed object", len(got))
	}
	var want body.Content
	want.Reset(object)
	if n := want.Check(0, got); n != len(got) {
		return fmt.Errorf("byte %d is not what the origin sent", n)
	}
	return nil
}

// Close ends the origin.
func (o *Origin) Close() error { return errors.Join(o.server.Close(), <-o.served) }
