package node

import (
	"log/slog"
	"strings"
	"testing"
)

func TestServerLogLevels(t *testing.T) {
	for said, want := range map[string]string{
		"http: panic serving 127.0.0.1:5: boom\ngoroutine 5": "level=ERROR",
		"http: Accept error: too many open files; retrying":  "level=WARN",
		"http: TLS handshake error":                          "level=DEBUG",
	} {
		var j journal
		n := &Node{log: slog.New(slog.NewTextHandler(&j, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		n.serverLog().Print(said)
		if !strings.Contains(j.String(), want) || !strings.Contains(j.String(), strings.Fields(said)[1]) {
			t.Errorf("%q is logged as %s", said, j.String())
		}
	}
}
