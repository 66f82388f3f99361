package origin

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench/body"
	"github.com/cachenode/cachenode/internal/units"
)

// Prefix begins the path of every object.
const Prefix = "/o/"

// Spec is what an object's URL asks of the origin.
type Spec struct {
	ID           string        // the path behind Prefix
	Size         int64         // size=10k: bytes of the body; 1k at first
	TTFB         time.Duration // ttfb=20ms: wait before the answer
	Bandwidth    int64         // bw=1m: bytes per second of this answer
	Status       int           // status=404: instead of 200
	CacheControl string        // cc=max-age%3D60: the field's value; without it there is no such field
	NoValidators bool          // etag=0: neither ETag nor Last-Modified
	WeakETag     bool          // etag=weak
	Vary         string        // vary=accept-language: the field that chooses among variants
	Change       time.Duration // change=30s: how long a version lasts
	Chunked      bool          // chunked=1: no Content-Length
}

// longestWait bounds ttfb: an object that never comes is a fault of the proxy's
// test, not of the origin.
const longestWait = time.Hour

// ParseSpec reads the path and query of an object's URL.
func ParseSpec(path, query string) (Spec, error) {
	id, ok := strings.CutPrefix(path, Prefix)
	if !ok || !goodID(id) {
		return Spec{}, fmt.Errorf("not an object: %q", path)
	}
	s := Spec{ID: id, Size: 1 << 10, Status: 200}
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if err := s.set(name, value); err != nil {
			return Spec{}, fmt.Errorf("%s=%s: %w", name, value, err)
		}
	}
	return s, nil
}

func (s *Spec) set(name, value string) (err error) {
	if strings.IndexByte(value, '%') >= 0 {
		if value, err = url.QueryUnescape(value); err != nil {
			return err
		}
	}
	switch name {
	case "size":
		s.Size, err = size(value)
	case "bw":
		s.Bandwidth, err = size(value)
	case "ttfb":
		s.TTFB, err = span(value)
	case "change":
		s.Change, err = span(value)
	case "status":
		s.Status, err = strconv.Atoi(value)
		if err == nil && (s.Status < 200 || s.Status > 599) {
			err = fmt.Errorf("want 200 to 599")
		}
	case "cc":
		s.CacheControl, err = fieldValue(value)
	case "etag":
		s.NoValidators, s.WeakETag = value == "0", value == "weak"
	case "vary":
		if s.Vary = strings.ToLower(value); !isToken(s.Vary) {
			err = fmt.Errorf("want the name of a field")
		}
	case "chunked":
		s.Chunked = value == "1"
	}
	// What is not known only makes the URL another one.
	return err
}

// size reads plain digits fast: nearly every request has some.
func size(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	n, err := units.ParseSize(text)
	return int64(n), err
}

func span(text string) (time.Duration, error) {
	d, err := units.ParseDuration(text)
	if err == nil && d.D() > longestWait {
		err = fmt.Errorf("want at most %v", longestWait)
	}
	return d.D(), err
}

func fieldValue(text string) (string, error) {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return "", fmt.Errorf("no text for a field")
		}
	}
	return text, nil
}

// AppendQuery appends the query that ParseSpec reads as s, without the "?".
func (s Spec) AppendQuery(b []byte) []byte {
	b = append(b, "size="...)
	b = strconv.AppendInt(b, s.Size, 10)
	return s.AppendRest(b)
}

// AppendRest appends what AppendQuery has behind the size: the part that all
// objects of a run share.
func (s Spec) AppendRest(b []byte) []byte {
	if s.TTFB > 0 {
		b = append(append(b, "&ttfb="...), s.TTFB.String()...)
	}
	if s.Bandwidth > 0 {
		b = strconv.AppendInt(append(b, "&bw="...), s.Bandwidth, 10)
	}
	if s.Status != 200 && s.Status != 0 {
		b = strconv.AppendInt(append(b, "&status="...), int64(s.Status), 10)
	}
	if s.CacheControl != "" {
		b = append(append(b, "&cc="...), strings.ReplaceAll(url.QueryEscape(s.CacheControl), "+", "%20")...)
	}
	if s.NoValidators {
		b = append(b, "&etag=0"...)
	} else if s.WeakETag {
		b = append(b, "&etag=weak"...)
	}
	if s.Vary != "" {
		b = append(append(b, "&vary="...), s.Vary...)
	}
	if s.Change > 0 {
		b = append(append(b, "&change="...), s.Change.String()...)
	}
	if s.Chunked {
		b = append(b, "&chunked=1"...)
	}
	return b
}

// Object is the body that s stands for at a time. variant is the value of the
// request's field that Vary names.
func (s Spec) Object(at time.Time, variant string) body.Object {
	o := body.Object{ID: VariantID(s.ID, variant), Length: s.Size}
	o.Version = body.VersionAt(o.ID, at, s.Change)
	return o
}

// VariantID is the identity of the body of one variant: an object that does not
// vary has one only, "".
func VariantID(id, variant string) string {
	if variant == "" {
		return id
	}
	return id + "|" + variant
}

const longestVariant = 60

// goodID leaves room for a variant.
func goodID(id string) bool {
	if id == "" || len(id) > body.MaxID-longestVariant-1 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !isTokenByte(c) && c != '/' && c != ':' && c != '@' && c != ',' {
			return false
		}
	}
	return true
}

// variant is what a field's value chooses: its token bytes.
func variant(value string) string {
	value = value[:min(len(value), longestVariant)]
	return strings.Map(func(r rune) rune {
		if r < 128 && isTokenByte(byte(r)) {
			return r
		}
		return '_'
	}, value)
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("!#$&'*+-.^_`~", c) >= 0
}
