// Package units reads and prints the sizes and durations of configuration
// files and flags. It knows nothing of what they measure.
package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. Its text form carries a unit: 512, 64KiB, 256MiB,
// 10GiB, 1TiB (powers of 1024) or kB, MB, GB, TB (powers of 1000).
type Size int64

// The units that Size prints.
const (
	KiB Size = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
)

var sizeUnits = []struct {
	name string
	mult float64
}{
	{"tib", 1 << 40}, {"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10},
	{"tb", 1e12}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3},
	{"t", 1 << 40}, {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"b", 1},
}

// ParseSize reads a size; a bare number counts bytes.
func ParseSize(s string) (Size, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	mult := 1.0
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, mult = strings.TrimSpace(rest), u.mult
			break
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) || strings.ContainsAny(text, "xpe_+") {
		return 0, fmt.Errorf("invalid size %q: want a number with a unit, such as 256MiB or 10GiB", s)
	}
	if v*mult >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is too large", s)
	}
	return Size(v * mult), nil
}

// String prints the size in its largest exact binary unit.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range []struct {
		n    Size
		name string
	}{{TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s%u.n == 0 {
			return strconv.FormatInt(int64(s/u.n), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(b []byte) error {
	v, err := ParseSize(string(b))
	if err == nil {
		*s = v
	}
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Set implements pflag.Value.
func (s *Size) Set(v string) error { return s.UnmarshalText([]byte(v)) }

// Type implements pflag.Value.
func (*Size) Type() string { return "size" }

// Duration is a time.Duration whose text form also knows days and weeks: 30s,
// 10m, 1h30m, 7d, 2w.
type Duration time.Duration

// longest bounds durations, so that the sum of two does not overflow.
const longest = time.Duration(math.MaxInt64 / 2)

// ParseDuration reads a duration; a bare 0 needs no unit, everything else does.
func ParseDuration(s string) (Duration, error) {
	text := strings.TrimSpace(s)
	bad := fmt.Errorf("invalid duration %q: want a number with a unit, such as 500ms, 30s, 10m, 2h or 7d", s)
	total := time.Duration(0)
	for _, big := range []struct {
		unit string
		d    time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		head, rest, ok := strings.Cut(text, big.unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(head, 10, 16)
		if err != nil || n > uint64((longest-total)/big.d) {
			return 0, bad
		}
		total += time.Duration(n) * big.d
		if text = rest; text == "" {
			return Duration(total), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > longest-total {
		return 0, bad
	}
	return Duration(total + d), nil
}

// D returns the duration as the standard library's type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String prints the duration without needless zero parts: 10m, not 10m0s.
func (d Duration) String() string {
	t := time.Duration(d)
	if day := 24 * time.Hour; t >= day && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err == nil {
		*d = v
	}
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Set implements pflag.Value.
func (d *Duration) Set(v string) error { return d.UnmarshalText([]byte(v)) }

// Type implements pflag.Value.
func (*Duration) Type() string { return "duration" }
