package sibling

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sealScheme is the authentication scheme between members.
const sealScheme = "Cachenode "

// sealTime is how far two members' clocks may be apart.
const sealTime = 2 * time.Minute

// Seal signs a request between members with the cluster's key. It shows that
// who asks has the key, for the next minutes; it hides nothing.
func Seal(r *http.Request, key []byte, now time.Time) {
	at := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Authorization", sealScheme+at+":"+hex.EncodeToString(mac(r, key, at)))
}

// Sealed reports whether a request was signed with key, not long ago.
func Sealed(r *http.Request, key []byte, now time.Time) bool {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), sealScheme)
	at, sum, found := strings.Cut(text, ":")
	if !ok || !found {
		return false
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > sealTime {
		return false
	}
	got, err := hex.DecodeString(sum)
	return err == nil && hmac.Equal(got, mac(r, key, at))
}

func mac(r *http.Request, key []byte, at string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("cachenode request\n" + r.Method + "\n" + r.URL.Path + "?" + r.URL.RawQuery + "\n" + at))
	return h.Sum(nil)
}
