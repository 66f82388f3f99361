package node

import (
	"fmt"
	"log/slog"
	"strings"
)

// Level is a slog.Level as it is written in the configuration: debug, info,
// warn or error.
type Level slog.Level

// Level implements slog.Leveler.
func (l Level) Level() slog.Level { return slog.Level(l) }

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(l.Level().String())), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(b []byte) error {
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(string(b), known.String()) {
			*l = Level(known)
			return nil
		}
	}
	return fmt.Errorf("unknown level %q: want debug, info, warn or error", b)
}
