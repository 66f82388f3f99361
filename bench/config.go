package bench

import (
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Config says what to run. Start from DefaultConfig.
type Config struct {
	// Proxy is the target, HOST:PORT. Empty asks the origin directly, to measure
	// the generator itself.
	Proxy string
	// ProxyAuth is USER:PASSWORD for the proxy, "" for none.
	ProxyAuth string `json:"-"`

	// Origin is the HOST:PORT of an origin already running ("cachenode bench
	// origin"); empty starts one in this process on OriginListen.
	Origin       string
	OriginListen string

	Connections int           // kept open and used at once
	Duration    time.Duration // of the measured phase; 0: until Requests are done
	Requests    int64         // of the measured phase; 0: until Duration is over
	Rate        float64       // requests per second, open loop; 0: closed loop
	Timeout     time.Duration // of one request

	NewConnections bool    // a connection per request
	Tunnel         bool    // through CONNECT
	HeadShare      float64 // of requests: HEAD
	RangeShare     float64 // of requests: a range of the object
	ConditionShare float64 // of requests: If-None-Match with the validator last seen
	ReloadShare    float64 // of requests: Cache-Control: no-cache
	PostShare      float64 // of requests: POST, which no cache may answer
	// SlowReaders is the share of connections that read no faster than SlowRate
	// bytes per second.
	SlowReaders float64
	SlowRate    units.Size
	ClientIPs   []string // source addresses, used in turn; "A-B" is a range

	URLs     string  // uniform, zipf:THETA or sequential
	Objects  int     // how many distinct ones
	Sizes    string  // fixed:N, uniform:A-B, lognormal:MEDIAN,SIGMA or mix:web
	HitRatio float64 // 0…1: the rest of the requests ask for objects never asked for before; <0: as it comes
	Seed     uint64  // the same seed asks for the same objects in the same order
	RunID    string  // in the URLs, so that no run meets what another left in a cache; "" takes the time
	Warm     string  // "" or "none", "all" (every object once), a number of requests, or a duration
	Replay   string  // an access log to replay
	Speed    float64 // of the replay: 1 as recorded, 2 twice as fast, 0 as fast as it goes
	RealURLs bool    // replay asks for the recorded URLs themselves, not for objects of the origin
	URLsFrom string  // a file of URLs, one per line

	TTFB         time.Duration // the origin waits so long
	Bandwidth    units.Size    // of the origin's bodies, bytes per second and response; 0 unlimited
	CacheControl string        // the origin's Cache-Control
	ChangeEvery  time.Duration // every object becomes another version so often; 0 never
	Vary         string        // the origin's Vary field and what it varies by
	NoETag       bool          // objects without validators

	TargetPID int // whose CPU counts as the target's; 0 finds it by its listening port

	CheckBodies bool // false compares lengths only, for generators that are the bottleneck
}

// DefaultConfig is a short closed-loop run with 50 connections against the usual
// port of this machine.
func DefaultConfig() Config {
	return Config{
		Proxy:        "127.0.0.1:3128",
		OriginListen: "127.0.0.1:0",
		Connections:  50,
		Duration:     10 * time.Second,
		Timeout:      30 * time.Second,
		SlowRate:     64 * units.KiB,
		URLs:         "zipf:0.9",
		Objects:      10000,
		Sizes:        "fixed:10KiB",
		HitRatio:     -1,
		Speed:        1,
		CacheControl: "max-age=3600",
		CheckBodies:  true,
	}
}
