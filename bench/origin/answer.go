package origin

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench/body"
)

const usage = `This is the origin of cachenode bench.

/o/ID?size=10k&ttfb=20ms&bw=1m&status=404&cc=max-age%3D60&etag=0&vary=accept-language&change=30s&chunked=1
/stats
`

func (c *conn) answer(r request) error {
	switch {
	case r.path == "/stats":
		text, err := json.Marshal(c.server.Stats())
		if err != nil {
			return err
		}
		return c.plain(200, string(text)+"\n", r.keep)
	case !strings.HasPrefix(r.path, Prefix):
		return c.plain(200, usage, r.keep)
	}
	s, err := ParseSpec(r.path, r.query)
	if err != nil {
		return c.plain(400, err.Error()+"\n", r.keep)
	}
	counts := c.server.counts.of(s.ID)
	serial := c.server.serial.Add(1)
	now := time.Now()
	chosen := ""
	if s.Vary != "" {
		chosen = variant(c.field(s.Vary))
	}
	p := part{spec: s, object: s.Object(now, chosen), serial: serial, at: now}
	p.choose(r)
	counts.answered(p.status)
	if s.TTFB > 0 && !c.server.pause(s.TTFB) {
		return http.ErrServerClosed
	}
	return c.send(r, p, counts)
}

// part is what is sent of an object.
type part struct {
	spec     Spec
	object   body.Object
	serial   uint64
	at       time.Time
	status   int
	from, to int64 // of the body
}

// choose decides on the status and the bytes (RFC 9110 §13.2.2, §14).
func (p *part) choose(r request) {
	p.status, p.to = p.spec.Status, p.object.Length
	if p.status != 200 || r.method != http.MethodGet && r.method != http.MethodHead {
		return
	}
	if p.unchanged(r) {
		p.status, p.to = 304, 0
		return
	}
	if r.method != http.MethodGet || r.byteRange == "" || r.ifRange != "" && r.ifRange != p.etag() && r.ifRange != p.modified() {
		return
	}
	from, to, ok := parseRange(r.byteRange, p.object.Length)
	switch {
	case !ok: // more than one, or not ours: the whole is a right answer
	case from >= to:
		p.status, p.to = 416, 0
	default:
		p.status, p.from, p.to = 206, from, to
	}
}

func (p *part) unchanged(r request) bool {
	if p.spec.NoValidators {
		return false
	}
	if r.noneMatch != "" {
		want := strings.TrimPrefix(p.etag(), "W/")
		for tag := range strings.SplitSeq(r.noneMatch, ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == want || tag == "*" {
				return true
			}
		}
		return false
	}
	if r.since == "" {
		return false
	}
	since, err := http.ParseTime(r.since)
	return err == nil && !p.modifiedAt().After(since)
}

func (p *part) etag() string {
	tag := string(p.object.AppendETag(nil))
	if p.spec.WeakETag {
		return "W/" + tag
	}
	return tag
}

// modifiedAt is when the version began; what never changes is old.
func (p *part) modifiedAt() time.Time {
	if p.spec.Change == 0 || p.object.Version == 0 {
		return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return body.VersionEnds(p.object.ID, p.object.Version-1, p.spec.Change).Truncate(time.Second)
}

func (p *part) modified() string { return p.modifiedAt().UTC().Format(http.TimeFormat) }

// parseRange reads bytes=A-B, bytes=A- and bytes=-N. ok is false for what is
// none of them; from >= to means that nothing of it exists.
func parseRange(text string, length int64) (from, to int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes=")
	first, last, cut := strings.Cut(text, "-")
	if !ok || !cut {
		return 0, 0, false
	}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 62)
		return max(0, length-int64(n)), length, err == nil
	}
	a, err := strconv.ParseUint(first, 10, 62)
	if err != nil {
		return 0, 0, false
	}
	if last == "" {
		return int64(a), length, true
	}
	b, err := strconv.ParseUint(last, 10, 62)
	if err != nil || b < a {
		return 0, 0, false
	}
	return int64(a), min(int64(b)+1, length), true
}

func (c *conn) plain(status int, text string, keep bool) error {
	b := appendStatus(c.out[:0], status)
	b = append(b, "Content-Type: text/plain\r\nCache-Control: no-store\r\n"...)
	if !keep {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, "\r\n\r\n"...)
	c.out = append(b, text...)
	_, err := c.nc.Write(c.out)
	return err
}

func appendStatus(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, "\r\n"...)
}

func (p *part) appendHead(b []byte, r request) []byte {
	b = appendStatus(b, p.status)
	b = append(b, "Server: cachenode-bench\r\nDate: "...)
	b = p.at.UTC().AppendFormat(b, http.TimeFormat)
	b = append(b, "\r\n"...)
	if cc := p.spec.CacheControl; cc != "" {
		b = append(append(append(b, "Cache-Control: "...), cc...), "\r\n"...)
	}
	if !p.spec.NoValidators {
		b = append(b, "ETag: "...)
		if p.spec.WeakETag {
			b = append(b, "W/"...)
		}
		b = p.object.AppendETag(b)
		b = append(b, "\r\nLast-Modified: "...)
		b = p.modifiedAt().UTC().AppendFormat(b, http.TimeFormat)
		b = append(b, "\r\n"...)
	}
	if p.spec.Vary != "" {
		b = append(append(append(b, "Vary: "...), p.spec.Vary...), "\r\n"...)
	}
	b = append(b, "Bench-Object: id="...)
	b = append(b, p.object.ID...)
	b = append(b, "; v="...)
	b = strconv.AppendUint(b, p.object.Version, 10)
	b = append(b, "; n="...)
	b = strconv.AppendInt(b, p.object.Length, 10)
	b = append(b, "; s="...)
	b = strconv.AppendUint(b, p.serial, 10)
	if p.status == 304 {
		b = append(b, "; validated"...)
	}
	b = append(b, "\r\n"...)
	if !r.keep {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(p.appendFraming(b), "\r\n"...)
}

func (p *part) appendFraming(b []byte) []byte {
	switch p.status {
	case 204, 304:
		return b
	case 206, 416:
		b = append(b, "Content-Range: bytes "...)
		if p.status == 206 {
			b = strconv.AppendInt(b, p.from, 10)
			b = append(b, '-')
			b = strconv.AppendInt(b, p.to-1, 10)
		} else {
			b = append(b, '*')
		}
		b = append(b, '/')
		b = strconv.AppendInt(b, p.object.Length, 10)
		b = append(b, "\r\n"...)
	case 200:
		b = append(b, "Accept-Ranges: bytes\r\n"...)
	}
	b = append(b, "Content-Type: application/octet-stream\r\n"...)
	if p.spec.Chunked {
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, p.to-p.from, 10)
	return append(b, "\r\n"...)
}
