package node

import (
	"bytes"
	"log"
	"log/slog"
)

// serverLog takes what net/http's server says to our log. Most of it is about
// clients that speak no HTTP, and of interest to nobody; a panic is our bug.
type serverLog struct{ log *slog.Logger }

func (s serverLog) Write(p []byte) (int, error) {
	said := string(bytes.TrimSpace(p))
	switch {
	case bytes.Contains(p, []byte("panic serving")):
		s.log.Error("a request has run into a bug; please report it", "detail", said)
	case bytes.Contains(p, []byte("Accept error")):
		s.log.Warn("connections cannot be accepted", "detail", said)
	default:
		s.log.Debug("http server", "detail", said)
	}
	return len(p), nil
}

func (n *Node) serverLog() *log.Logger { return log.New(serverLog{n.log}, "", 0) }
