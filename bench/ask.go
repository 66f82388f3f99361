package bench

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/bench/body"
	"github.com/cachenode/cachenode/bench/origin"
	"github.com/cachenode/cachenode/bench/workload"
	"github.com/cachenode/cachenode/internal/units"
)

// job is one request to be made.
type job struct {
	step     uint64
	due      time.Time // when it should be sent; zero in a closed loop
	recorded *workload.Recorded
}

// ask is a request in the form in which it is sent, and what the answer must be.
// A worker uses one again and again.
type ask struct {
	head     []byte // as sent
	urlFrom  int    // head[urlFrom:urlTo] is the request target
	urlTo    int
	kind     workload.Kind
	foreign  bool // not an object of ours: only its framing can be checked
	id       []byte
	size     int64
	from, to int64 // the range of Range
	etag     []byte
}

// text describes it for the example of a failure.
func (a *ask) text() string {
	switch a.kind {
	case workload.Head:
		return "HEAD " + a.url()
	case workload.Post:
		return "POST " + a.url()
	case workload.Range:
		return fmt.Sprintf("GET %s, bytes %d-%d", a.url(), a.from, a.to-1)
	case workload.Condition:
		return fmt.Sprintf("GET %s, If-None-Match %s", a.url(), a.etag)
	case workload.Reload:
		return "GET " + a.url() + ", no-cache"
	}
	return "GET " + a.url()
}

func (a *ask) url() string { return string(a.head[a.urlFrom:a.urlTo]) }

// writer makes requests of jobs. It does not change once made, and many workers
// share it.
type writer struct {
	seed       uint64
	popularity workload.Popularity
	sizes      workload.Sizes
	shares     workload.Shares
	unique     float64 // share of requests for objects never asked for before
	objects    uint64
	sweep      bool // the warm phase: every object in turn
	urls       []string
	realURLs   bool

	prefix   []byte // http://HOST/o/RUN/ or /o/RUN/
	idPrefix []byte // RUN/
	rest     []byte // the query behind the size
	tail     []byte // the fields every request has, without the empty line
	common   []byte // of them those behind Host
	absolute bool

	vary     string // name of the field
	variants []string
	change   time.Duration
}

func newWriter(c *Config, authority string, urls []string) (*writer, error) {
	w := &writer{
		seed: c.Seed, objects: uint64(c.Objects), urls: urls, realURLs: c.RealURLs, change: c.ChangeEvery,
		shares:   workload.Shares{Head: c.HeadShare, Range: c.RangeShare, Condition: c.ConditionShare, Reload: c.ReloadShare, Post: c.PostShare},
		absolute: c.Proxy != "" && !c.Tunnel,
	}
	if urls != nil {
		w.objects = uint64(len(urls))
	}
	if c.HitRatio >= 0 {
		w.unique = 1 - c.HitRatio
	}
	var err error
	if w.popularity, err = workload.ParsePopularity(c.URLs, int(w.objects)); err != nil {
		return nil, err
	}
	if w.sizes, err = workload.ParseSizes(c.Sizes, c.Seed); err != nil {
		return nil, err
	}
	field, values, _ := strings.Cut(c.Vary, "=")
	if w.vary = field; values != "" {
		w.variants = strings.Split(values, ",")
	}
	spec := origin.Spec{
		TTFB: c.TTFB, Bandwidth: int64(c.Bandwidth), CacheControl: c.CacheControl,
		NoValidators: c.NoETag, Vary: field, Change: c.ChangeEvery,
	}
	w.rest = spec.AppendRest(nil)
	w.idPrefix = []byte(c.RunID + "/")
	path := origin.Prefix + c.RunID + "/"
	if w.absolute {
		path = "http://" + authority + path
	}
	w.prefix = []byte(path)
	w.common = commonFields(c)
	w.tail = append([]byte(" HTTP/1.1\r\nHost: "+authority), w.common...)
	return w, nil
}

// commonFields are those that every request has behind Host.
func commonFields(c *Config) []byte {
	b := []byte("\r\nUser-Agent: cachenode-bench\r\nAccept: */*\r\n")
	if c.ProxyAuth != "" && c.Proxy != "" && !c.Tunnel {
		b = append(b, proxyAuth(c.ProxyAuth)...)
	}
	if c.NewConnections {
		b = append(b, "Connection: close\r\n"...)
	}
	return b
}

// write makes a of a job.
func (w *writer) write(j job, a *ask, now time.Time) {
	a.kind, a.foreign = w.shares.Kind(w.seed, j.step), false
	switch {
	case j.recorded != nil:
		w.recorded(j.recorded, a)
		if a.foreign {
			return
		}
	case w.urls != nil:
		w.foreign(w.urls[w.index(j.step)], a)
		return
	default:
		index := w.index(j.step)
		a.id = strconv.AppendUint(append(a.id[:0], w.idPrefix...), index, 10)
		a.size = w.sizes.Of(index)
	}
	w.own(j.step, a, now)
}

// index is the object a step asks for. Those never asked for before lie behind
// the popular ones.
func (w *writer) index(step uint64) uint64 {
	switch {
	case w.sweep:
		return step % w.objects
	case w.unique > 0 && w.urls == nil && workload.Chance(w.seed, 0x756e69, step, w.unique):
		return w.objects + step
	}
	return w.popularity.Pick(w.seed, step)
}

func (w *writer) recorded(r *workload.Recorded, a *ask) {
	if r.Head {
		a.kind = workload.Head
	}
	if w.realURLs {
		w.foreign(r.URL, a)
		return
	}
	a.id = strconv.AppendUint(append(append(a.id[:0], w.idPrefix...), 'r'), r.Key, 36)
	a.size = r.Size
}

// own writes a request for an object of our origin, whose id and size are set.
func (w *writer) own(step uint64, a *ask, now time.Time) {
	b := appendMethod(a.head[:0], a.kind)
	a.urlFrom = len(b)
	b = append(b, w.prefix...)
	b = append(b, a.id[len(w.idPrefix):]...)
	b = append(b, "?size="...)
	b = strconv.AppendInt(b, a.size, 10)
	b = append(b, w.rest...)
	a.urlTo = len(b)
	b = append(b, w.tail...)
	if w.vary != "" {
		v := ""
		if len(w.variants) > 0 {
			v = w.variants[workload.Pick(w.seed, 0x76617279, step, len(w.variants))]
			b = append(append(append(append(b, w.vary...), ": "...), v...), "\r\n"...)
		}
		a.id = append(a.id[:0], origin.VariantID(string(a.id), v)...)
	}
	b = w.peculiar(step, a, b, now)
	b = append(b, "\r\n"...)
	if a.kind == workload.Post {
		b = append(b, postBody...)
	}
	a.head = b
}

// postBody is what a POST sends.
const postBody = "bench"

// peculiar adds the fields of the request's kind.
func (w *writer) peculiar(step uint64, a *ask, b []byte, now time.Time) []byte {
	switch a.kind {
	case workload.Range:
		if a.size == 0 {
			a.kind = workload.Plain
			return b
		}
		a.from, a.to = workload.RangeOf(w.seed, step, a.size)
		b = strconv.AppendInt(append(b, "Range: bytes="...), a.from, 10)
		b = strconv.AppendInt(append(b, '-'), a.to-1, 10)
		return append(b, "\r\n"...)
	case workload.Condition:
		o := body.Object{ID: string(a.id), Length: a.size}
		o.Version = body.VersionAt(o.ID, now, w.change)
		a.etag = o.AppendETag(a.etag[:0])
		b = append(append(b, "If-None-Match: "...), a.etag...)
		return append(b, "\r\n"...)
	case workload.Reload:
		return append(b, "Cache-Control: no-cache\r\n"...)
	case workload.Post:
		b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(postBody)), 10)
		return append(b, "\r\n"...)
	}
	return b
}

// foreign writes a request for a URL of somebody else.
func (w *writer) foreign(url string, a *ask) {
	a.foreign = true
	if a.kind != workload.Head && a.kind != workload.Reload {
		a.kind = workload.Plain
	}
	host, path := splitURL(url)
	b := appendMethod(a.head[:0], a.kind)
	a.urlFrom = len(b)
	if w.absolute {
		b = append(b, url...)
	} else {
		b = append(b, path...)
	}
	a.urlTo = len(b)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	b = append(b, w.common...)
	if a.kind == workload.Reload {
		b = append(b, "Cache-Control: no-cache\r\n"...)
	}
	a.head = append(b, "\r\n"...)
}

// splitURL cuts http://HOST/PATH, which ValidURL has seen.
func splitURL(url string) (host, path string) {
	rest := strings.TrimPrefix(url, "http://")
	i := strings.IndexAny(rest, "/?#")
	if i < 0 {
		return rest, "/"
	}
	if rest[i] != '/' {
		return rest[:i], "/" + rest[i:]
	}
	return rest[:i], rest[i:]
}

func appendMethod(b []byte, k workload.Kind) []byte {
	switch k {
	case workload.Head:
		return append(b, "HEAD "...)
	case workload.Post:
		return append(b, "POST "...)
	}
	return append(b, "GET "...)
}

// sweepOf is a writer that asks for every object once, whole.
func (w *writer) sweepOf() *writer {
	s := *w
	s.sweep, s.shares = true, workload.Shares{}
	return &s
}

// bodyBuffer is how much of an answer is read at once.
func bodyBuffer(connections int) int {
	most := int64(256*units.MiB) / int64(max(1, connections))
	return int(min(max(most, 32<<10), 256<<10))
}
