// Package origin is the web server that a bench asks through the proxy: objects
// of any size and behaviour, named by their URL, whose every byte can be checked.
// It is made for speed and control and serves nothing real. It counts what it is
// asked, so that a proxy's claims can be held against it.
//
// An object's URL is
//
//	/o/ID?size=10k&ttfb=20ms&bw=1m&status=404&cc=max-age%3D60&etag=1&vary=accept-language&change=30s&chunked=1
//
// and every parameter may be left out; see Spec. The part of ID up to its first
// slash is the class under which requests are counted. /stats answers with the
// counts as JSON.
//
// Every answer with an object says which one in the field
//
//	Bench-Object: id=ID; v=VERSION; n=LENGTH; s=SERIAL
//
// where SERIAL is the number of this answer: a cache that hands out an answer
// again hands out its serial again. A 304 adds "; validated": a cache that has
// freshened a stored answer by it (RFC 9111 §4.3.4) shows that.
package origin
