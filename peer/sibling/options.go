package sibling

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

// Lookup says how siblings are asked.
type Lookup string

// The ways to ask.
const (
	LookupICP    Lookup = "icp"
	LookupDigest Lookup = "digest"
	LookupBoth   Lookup = "both"
)

// Options of asking the siblings.
type Options struct {
	// Lookup is how a sibling that has an object is found: icp asks all of them,
	// digest looks into the digests they publish and asks nobody, both lets the
	// digests choose whom to ask by ICP.
	Lookup Lookup `yaml:"lookup"`
	// DigestFrom is the number of siblings from which on the digests choose whom
	// to ask with lookup both. Fewer are all asked, as that costs little and a
	// digest is some seconds behind.
	DigestFrom int `yaml:"digest_from"`
	// DigestInterval is how often the digests of siblings are brought up to date.
	DigestInterval units.Duration `yaml:"digest_interval"`
	// DigestMemory is the size that the digest of one sibling may have; a larger
	// one is not taken.
	DigestMemory units.Size `yaml:"digest_memory"`
	// MinWait is how long a miss waits for the answers of siblings at least,
	// where some do not answer.
	MinWait units.Duration `yaml:"min_wait"`
	// MaxWait is how long a miss waits for the answers of siblings at most. In
	// between it is twice their mean round trip, and more where that varies.
	MaxWait units.Duration `yaml:"max_wait"`
	// List names caches outside the cluster that are siblings too, such as a
	// squid.
	List []Outside `yaml:"list"`
}

// Outside is a sibling that is no member of the cluster.
type Outside struct {
	// Name is what the sibling is called in logs and metrics; its host when empty.
	Name string `yaml:"name"`
	// Host is the address of the sibling, or its host name.
	Host string `yaml:"host"`
	// HTTPPort is the port of its proxy.
	HTTPPort int `yaml:"http_port"`
	// ICPPort is the port where it answers ICP, and from which it asks.
	ICPPort int `yaml:"icp_port"`
	// Digest says that the sibling is a cachenode, whose digest is fetched.
	Digest bool `yaml:"digest"`
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Lookup: LookupBoth, DigestFrom: 9, DigestInterval: units.Duration(2 * time.Second), DigestMemory: 64 * units.MiB,
		MinWait: units.Duration(5 * time.Millisecond), MaxWait: units.Duration(200 * time.Millisecond),
	}
}

// Validate reports every problem, by the keys of the configuration file.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("siblings."+format, args...)) }
	switch o.Lookup {
	case LookupICP, LookupDigest, LookupBoth:
	default:
		bad("lookup: must be icp, digest or both, not %q", o.Lookup)
	}
	if o.DigestFrom < 1 {
		bad("digest_from: must be at least 1, not %d", o.DigestFrom)
	}
	if o.DigestInterval.D() < 10*time.Millisecond {
		bad("digest_interval: must be at least 10ms, not %v", o.DigestInterval)
	}
	if o.DigestMemory < units.KiB {
		bad("digest_memory: must be at least 1KiB, not %v", o.DigestMemory)
	}
	if o.MinWait <= 0 || o.MinWait > o.MaxWait {
		bad("min_wait: must be more than 0 and no more than max_wait, not %v", o.MinWait)
	}
	names := map[string]bool{}
	for i, s := range o.List {
		at := fmt.Sprintf("list[%d].", i)
		if s.Host == "" || strings.ContainsAny(s.Host, " /\t\r\n") {
			bad(at+"host: %q is neither an address nor a host name", s.Host)
		}
		if s.HTTPPort < 1 || s.HTTPPort > 65535 {
			bad(at+"http_port: must be from 1 to 65535, not %d", s.HTTPPort)
		}
		if s.ICPPort < 1 || s.ICPPort > 65535 {
			bad(at+"icp_port: must be from 1 to 65535, not %d", s.ICPPort)
		}
		if names[s.Label()] {
			bad(at+"name: %q is taken by another sibling", s.Label())
		}
		names[s.Label()] = true
	}
	return errors.Join(errs...)
}

// Label is what the sibling is called.
func (s Outside) Label() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Host
}

// At is the sibling at an address of its host.
func (s Outside) At(addr netip.Addr) Sibling {
	addr = addr.Unmap()
	var version uint64
	if s.Digest {
		version = AnyVersion
	}
	return Sibling{
		Digest: version,
		ID:     "outside/" + s.Label(), Name: s.Label(),
		ICP:   netip.AddrPortFrom(addr, uint16(s.ICPPort)),
		Proxy: net.JoinHostPort(addr.String(), strconv.Itoa(s.HTTPPort)),
	}
}
