package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// The model origin: a page is a function of its path, variant and version, and
// says so in its ETag.

func modelBody(path, variant string, version int64) []byte {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d", path, variant, version))
	n := 10 + int(seed[0])*int(seed[1])*4 // up to 260 KB
	b := make([]byte, n)
	rand.NewChaCha8(seed).Read(b)
	return b
}

func modelETag(path, variant string, version int64) string {
	return strconv.Quote(hex.EncodeToString([]byte(fmt.Sprintf("%s|%s|%d", path, variant, version))))
}

// modelPage is the page that an ETag names.
func modelPage(etag string) (path, variant string, version int64, ok bool) {
	b, err := hex.DecodeString(strings.Trim(etag, `"`))
	parts := strings.Split(string(b), "|")
	if err != nil || len(parts) != 3 {
		return "", "", 0, false
	}
	version, err = strconv.ParseInt(parts[2], 10, 64)
	return parts[0], parts[1], version, err == nil
}

type model struct {
	versions [8]atomic.Int64
}

var modelCaching = []string{"max-age=1", "max-age=60", "max-age=1, stale-while-revalidate=100", "no-store", "private, max-age=60", "no-cache", "max-age=1, stale-if-error=100", "max-age=5"}

func (m *model) serve(i int) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		v := m.versions[i].Load()
		h := w.Header()
		variant := ""
		h.Set("Cache-Control", modelCaching[i])
		if strings.Contains(modelCaching[i], "private") || modelCaching[i] == "no-store" {
			variant = "user=" + q.Header.Get("X-User")
		}
		if q.Header.Get("Authorization") != "" {
			variant = "auth=" + q.Header.Get("Authorization")
		} else if i%2 == 1 && variant == "" {
			h.Set("Vary", "X-Lang")
			variant = "lang=" + q.Header.Get("X-Lang")
		}
		body := modelBody(q.URL.Path, variant, v)
		h.Set("ETag", modelETag(q.URL.Path, variant, v))
		if q.Method == "POST" {
			m.versions[i].Add(1)
			w.WriteHeader(204)
			return
		}
		switch rand.N(20) {
		case 0:
			w.WriteHeader(503)
			return
		case 1: // cut off
			h.Set("Content-Length", strconv.Itoa(len(body)))
			w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		case 2: // cut off, chunked
			w.Write(body[:len(body)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 3, 4, 5: // chunked, slowly
			if q.Header.Get("If-None-Match") != "" || q.Header.Get("Range") != "" || q.Method == "HEAD" {
				break
			}
			for len(body) > 0 {
				n := min(len(body), 1+rand.N(20_000))
				w.Write(body[:n])
				w.(http.Flusher).Flush()
				body = body[n:]
			}
			return
		}
		http.ServeContent(w, q, "x.bin", time.Time{}, bytes.NewReader(body))
	}
}

// check says what is wrong with a response, "" for nothing.
func (m *model) check(q *http.Request, resp *http.Response, body []byte) string {
	path, variant, version, ok := modelPage(resp.Header.Get("ETag"))
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == 204, resp.StatusCode == 416:
		return ""
	case !ok || path != q.URL.Path:
		return "no ETag of this page"
	}
	kind, value, _ := strings.Cut(variant, "=")
	switch {
	case kind == "auth" && value != q.Header.Get("Authorization"),
		kind == "user" && value != q.Header.Get("X-User"),
		kind == "lang" && value != q.Header.Get("X-Lang"):
		return "another's variant " + variant
	}
	whole := modelBody(path, variant, version)
	switch resp.StatusCode {
	case 200:
		if q.Method == "HEAD" && resp.ContentLength >= 0 && resp.ContentLength != int64(len(whole)) {
			return fmt.Sprintf("Content-Length %d of %d", resp.ContentLength, len(whole))
		}
		if q.Method != "HEAD" && !bytes.Equal(body, whole) {
			return fmt.Sprintf("wrong bytes: %d of %d", len(body), len(whole))
		}
	case 206:
		span, total, ok := cache.ParseContentRange(resp.Header.Get("Content-Range"))
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "multipart/") || q.Method == "HEAD" {
			return ""
		}
		if !ok || total != int64(len(whole)) || !bytes.Equal(body, whole[span.Off:span.End()]) {
			return "wrong part " + resp.Header.Get("Content-Range")
		}
	case 304:
		if q.Header.Get("If-None-Match") != resp.Header.Get("ETag") {
			return "304 to another validator"
		}
	default:
		return "status"
	}
	return ""
}
