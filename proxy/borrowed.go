package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/peer/sibling"
)

// borrowedBody is the body of a sibling's response. When the sibling breaks off
// or stalls, the origin goes on where it was, if both surely have the same
// bytes.
type borrowedBody struct {
	io.ReadCloser
	done   func(sibling.Outcome)
	how    sibling.Outcome // so far
	got    int64
	resume func(got int64) io.ReadCloser // nil: there is no going on; a body of nil: nor this time

	stall time.Duration // that a read may take while there is resume
	late  *time.Timer   // ends a read that takes longer
}

// wholeBody is a body that has been read.
type wholeBody struct{ bytes.Reader }

// Close implements io.Closer.
func (*wholeBody) Close() error { return nil }

// whole reports a body that nobody will have to wait for.
func (b *borrowedBody) whole() bool {
	_, is := b.ReadCloser.(*wholeBody)
	return is
}

// Read implements io.Reader.
func (b *borrowedBody) Read(p []byte) (int, error) {
	if b.resume != nil {
		b.late.Reset(b.stall)
	}
	n, err := b.ReadCloser.Read(p)
	b.late.Stop()
	b.got += int64(n)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if b.how = sibling.Failed; b.resume == nil {
		return n, err
	}
	rest := b.resume(b.got)
	b.resume = nil
	if rest == nil {
		return n, err
	}
	_ = b.ReadCloser.Close() // broken
	b.ReadCloser = rest
	return n, nil
}

// Close implements io.Closer.
func (b *borrowedBody) Close() error {
	b.late.Stop()
	err := b.ReadCloser.Close()
	b.done(b.how)
	return err
}

// resumer returns what fetches the rest of a sibling's response from the origin;
// nil where the two could not be told to be the same.
func (fl *flight) resumer(ctx context.Context, resp *http.Response) func(got int64) io.ReadCloser {
	etag := resp.Header["Etag"]
	if resp.StatusCode != http.StatusOK || resp.ContentLength <= smallBody || len(etag) != 1 || !strings.HasPrefix(etag[0], `"`) {
		return nil
	}
	total := strconv.FormatInt(resp.ContentLength, 10)
	last := strconv.FormatInt(resp.ContentLength-1, 10)
	return func(got int64) io.ReadCloser {
		f := &fl.fill
		from := strconv.FormatInt(got, 10)
		h := f.header.Clone()
		delete(h, "If-None-Match")
		delete(h, "If-Modified-Since")
		h["Range"], h["If-Range"] = []string{"bytes=" + from + "-" + last}, etag
		req := (&http.Request{
			Method: f.method, URL: f.url, Host: f.url.Host, Header: h,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}).WithContext(ctx)
		fl.p.stats.originRequests.Add(1)
		rest, _, err := fl.p.origin.Do(req, nil)
		if err != nil {
			fl.p.stats.originErrors.Add(1)
			return nil
		}
		if rest.StatusCode != http.StatusPartialContent || rest.Header.Get("Etag") != etag[0] ||
			rest.Header.Get("Content-Range") != "bytes "+from+"-"+last+"/"+total {
			_ = rest.Body.Close() // of no use
			return nil
		}
		return rest.Body
	}
}
