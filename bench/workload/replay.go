package workload

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
)

// longestLine bounds a line of a log or of a list of URLs.
const longestLine = 64 << 10

// Replay reads a log as a schedule. It keeps no more of the log than a line and
// the sizes of the objects.
type Replay struct {
	lines   *bufio.Scanner
	format  LogFormat
	first   time.Time
	last    time.Duration
	sizes   map[uint64]int64
	skipped int64
	line    int
}

// Recorded is one request to be made again.
type Recorded struct {
	After time.Duration // since the first; never before the one before
	Head  bool
	URL   string
	Key   uint64 // stands for the URL
	Size  int64  // of the object, the same whenever it is asked for
}

// NewReplay reads the format off the first line.
func NewReplay(r io.Reader) *Replay {
	p := &Replay{lines: bufio.NewScanner(r), sizes: map[uint64]int64{}}
	p.lines.Buffer(make([]byte, 0, 4096), longestLine)
	return p
}

// maxSizes bounds the memory for sizes (some 100 MB); objects beyond it get the
// size of the line at hand.
const maxSizes = 4 << 20

// typicalHead is what of a logged size is no body.
const typicalHead = 300

// Next is the next request that can be made again; io.EOF at the end. Lines that
// are none of a log, or no GET or HEAD of an http URL, are counted and skipped.
func (p *Replay) Next() (Recorded, error) {
	for p.lines.Scan() {
		p.line++
		line := strings.TrimSpace(p.lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if p.format == "" {
			f, err := DetectLog(line)
			if err != nil {
				return Recorded{}, fmt.Errorf("line %d: %w", p.line, err)
			}
			p.format = f
		}
		e, err := ParseLog(p.format, line)
		if err != nil || !e.Fetchable() {
			p.skipped++
			continue
		}
		return p.schedule(e), nil
	}
	if err := p.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return Recorded{}, fmt.Errorf("line %d: longer than %d bytes", p.line+1, longestLine)
		}
		return Recorded{}, err
	}
	return Recorded{}, io.EOF
}

func (p *Replay) schedule(e Entry) Recorded {
	if p.first.IsZero() {
		p.first = e.Start
	}
	p.last = max(p.last, e.Start.Sub(p.first))
	r := Recorded{After: p.last, Head: e.Method == "HEAD", URL: e.URL, Key: xxh3.HashString(e.URL)}
	size, known := p.sizes[r.Key]
	if !known {
		size = max(1, e.Bytes-typicalHead)
		if e.Bytes < 0 || e.Status == 304 || r.Head {
			size = 1 << 10 // the line does not say
		}
		size = min(size, Largest)
		if len(p.sizes) < maxSizes {
			p.sizes[r.Key] = size
		}
	}
	r.Size = size
	return r
}

// Skipped is how many lines could not be made requests of.
func (p *Replay) Skipped() int64 { return p.skipped }

// maxURLs bounds a list of URLs.
const maxURLs = 10_000_000

// ReadURLs reads one absolute http URL per line; empty lines and those that
// begin with # do not count.
func ReadURLs(r io.Reader) ([]string, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), longestLine)
	var all []string
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := ValidURL(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if len(all) == maxURLs {
			return nil, fmt.Errorf("line %d: more than %d URLs", n, maxURLs)
		}
		all = append(all, line)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("no URL in it")
	}
	return all, nil
}
