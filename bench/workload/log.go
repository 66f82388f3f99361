package workload

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Entry is one request of a recorded log.
type Entry struct {
	Start  time.Time // when the request came
	Method string
	URL    string
	Status int
	Bytes  int64 // sent to the client, head included where the log counts it; -1 unknown
}

// LogFormat is a form of access log.
type LogFormat string

// The formats that are read.
const (
	SquidNative LogFormat = "squid"  // squid's own, and cachenode's first
	Common      LogFormat = "common" // NCSA common, or combined: what follows the size is not read
)

var errLogLine = errors.New("not a line of an access log")

// DetectLog tells the format of a line.
func DetectLog(line string) (LogFormat, error) {
	for _, f := range []LogFormat{SquidNative, Common} {
		if _, err := ParseLog(f, line); err == nil {
			return f, nil
		}
	}
	return "", fmt.Errorf("%w, neither squid native nor common nor combined: %.200q", errLogLine, line)
}

// ParseLog reads one line.
func ParseLog(f LogFormat, line string) (Entry, error) {
	if f == SquidNative {
		return parseSquid(line)
	}
	return parseCommon(line)
}

// parseSquid reads "TIME ELAPSED CLIENT RESULT/STATUS BYTES METHOD URL …". The
// time is that of the end.
func parseSquid(line string) (Entry, error) {
	f := strings.Fields(line)
	if len(f) < 7 {
		return Entry{}, fmt.Errorf("%w: %d fields, want 7 or more", errLogLine, len(f))
	}
	end, err := unixMillis(f[0])
	if err != nil {
		return Entry{}, err
	}
	elapsed, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil || elapsed > int64(longestEntry/time.Millisecond) {
		return Entry{}, fmt.Errorf("%w: elapsed %.40q", errLogLine, f[1])
	}
	_, status, ok := strings.Cut(f[3], "/")
	if !ok {
		return Entry{}, fmt.Errorf("%w: result %.40q", errLogLine, f[3])
	}
	e := Entry{Start: end.Add(-time.Duration(max(0, elapsed)) * time.Millisecond), Method: f[5], URL: f[6]}
	return e, e.numbers(status, f[4])
}

// longestEntry bounds what a line can claim to have lasted.
const longestEntry = 365 * 24 * time.Hour

// unixMillis reads SECONDS.MILLIS exactly.
func unixMillis(text string) (time.Time, error) {
	sec, frac, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil || s < 0 || s > 1<<40 || len(frac) > 9 {
		return time.Time{}, fmt.Errorf("%w: time %.40q", errLogLine, text)
	}
	ns := uint64(0)
	if frac != "" {
		if ns, err = strconv.ParseUint((frac + "000000000")[:9], 10, 64); err != nil {
			return time.Time{}, fmt.Errorf("%w: time %.40q", errLogLine, text)
		}
	}
	return time.Unix(s, int64(ns)), nil
}

// parseCommon reads `CLIENT - USER [TIME] "METHOD URL PROTO" STATUS BYTES …`.
func parseCommon(line string) (Entry, error) {
	_, rest, ok := strings.Cut(line, " [")
	stamp, rest, ok2 := strings.Cut(rest, "] \"")
	if !ok || !ok2 {
		return Entry{}, fmt.Errorf("%w: no [time] and \"request\"", errLogLine)
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", stamp)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errLogLine, err)
	}
	request, rest, ok := cutQuote(rest)
	words := strings.Fields(request)
	if !ok || len(words) < 2 {
		return Entry{}, fmt.Errorf("%w: request %.100q", errLogLine, request)
	}
	f := strings.Fields(rest)
	if len(f) < 2 {
		return Entry{}, fmt.Errorf("%w: no status and size", errLogLine)
	}
	e := Entry{Start: at, Method: words[0], URL: words[1]}
	return e, e.numbers(f[0], f[1])
}

// cutQuote cuts at the closing quote; one behind a backslash is none.
func cutQuote(s string) (inside, behind string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func (e *Entry) numbers(status, size string) error {
	n, err := strconv.Atoi(status)
	if err != nil || n < 0 || n > 999 {
		return fmt.Errorf("%w: status %.40q", errLogLine, status)
	}
	e.Status = n
	if size == "-" {
		e.Bytes = -1
		return nil
	}
	if e.Bytes, err = strconv.ParseInt(size, 10, 64); err != nil || e.Bytes < 0 {
		return fmt.Errorf("%w: size %.40q", errLogLine, size)
	}
	return nil
}

// Fetchable reports that the entry is a GET or HEAD of an absolute http URL: what
// can be asked again without harm.
func (e Entry) Fetchable() bool {
	if e.Method != "GET" && e.Method != "HEAD" {
		return false
	}
	return ValidURL(e.URL) == nil
}

// ValidURL accepts absolute http URLs that can stand in a request line.
func ValidURL(text string) error {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return fmt.Errorf("invalid URL %.200q: a byte that must be escaped", text)
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("invalid URL %.200q: want http://HOST/PATH", text)
	}
	return nil
}
