package accesslog

import (
	"strconv"
	"time"
)

// appendJSON lays out one object. ts is the Unix time in seconds, the other
// times are milliseconds. Every line has every field; text that has nothing to
// say is empty.
func appendJSON(buf []byte, e *Entry, node string) []byte {
	buf = append(buf, `{"ts":`...)
	buf = appendSeconds(buf, e.Time, 0)
	buf = append(buf, `,"dur_ms":`...)
	buf = appendMillis(buf, e.Duration)
	buf = append(buf, `,"client":"`...)
	buf = appendClient(buf, e)
	buf = append(buf, `","result":"`...)
	buf = append(buf, e.Result.String()...)
	buf = append(buf, `","status":`...)
	buf = strconv.AppendInt(buf, int64(e.Status), 10)
	buf = append(buf, `,"bytes":`...)
	buf = strconv.AppendInt(buf, e.BytesOut, 10)
	buf = append(buf, `,"method":`...)
	buf = appendText(buf, e.Method)
	buf = append(buf, `,"url":`...)
	buf = appendJSONURL(buf, e.URL)
	buf = appendMember(buf, "user", e.User)
	buf = append(buf, `,"hier":"`...)
	buf = append(buf, e.Hier.String()...)
	buf = append(buf, '"')
	buf = appendMember(buf, "peer", e.Peer)
	buf = appendMember(buf, "ctype", e.ContentType)
	buf = appendMember(buf, "node", node)
	buf = append(buf, `,"req_id":"`...)
	if e.RequestID != 0 {
		buf = strconv.AppendUint(buf, e.RequestID, 36)
	}
	buf = append(buf, '"')
	buf = append(buf, `,"ttfb_ms":`...)
	buf = appendMillis(buf, e.TTFB)
	buf = appendMember(buf, "cache_status", e.CacheStatus)
	buf = appendMember(buf, "proxy_error", e.ProxyError)
	return append(buf, '}')
}

func appendMember(buf []byte, key, value string) []byte {
	buf = append(buf, `,"`...)
	buf = append(buf, key...)
	buf = append(buf, `":`...)
	return appendText(buf, value)
}

// appendJSONURL appends the URL without userinfo as one JSON string.
func appendJSONURL(buf []byte, s string) []byte {
	head, tail := withoutUserinfo(s)
	if head == "" {
		return appendText(buf, tail)
	}
	buf = appendText(buf, head)
	buf = buf[:len(buf)-1] // the closing quote
	mark := len(buf)
	buf = appendText(buf, tail)
	return append(buf[:mark], buf[mark+1:]...) // the opening quote
}

// appendMillis appends d in milliseconds with three decimals.
func appendMillis(buf []byte, d time.Duration) []byte {
	us := max(d, 0).Microseconds()
	buf = strconv.AppendInt(buf, us/1000, 10)
	buf = append(buf, '.')
	return appendPadded(buf, us%1000, 3, '0')
}
