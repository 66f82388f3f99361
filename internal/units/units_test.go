package units

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Size
	}{
		{"0", 0}, {"1", 1}, {"512", 512}, {"512B", 512}, {"1k", KiB}, {"1K", KiB}, {"1KiB", KiB}, {"1kB", 1000},
		{"256MiB", 256 * MiB}, {"256 MiB", 256 * MiB}, {" 10GiB ", 10 * GiB}, {"1.5GiB", GiB + 512*MiB},
		{"1GB", 1e9}, {"2TB", 2e12}, {"1TiB", TiB}, {"0.5k", 512}, {"0GiB", 0}, {"7000000TiB", 7000000 * TiB},
	} {
		got, err := ParseSize(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", tt.text, got, err, tt.want)
		}
	}
}

func TestParseSizeRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "MiB", "lots", "-1", "-1MiB", "1XB", "1 2", "0x10", "1e9", "1_000", "inf", "nan", "+5", "1MiBMiB",
		"9000000TiB", "1PiB", "1,5GiB", "1..5k", "١",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		} else if !strings.Contains(err.Error(), "size") {
			t.Errorf("ParseSize(%q): %v does not say that it is about a size", text, err)
		}
	}
}

func TestSizeString(t *testing.T) {
	for _, tt := range []struct {
		size Size
		want string
	}{
		{0, "0"}, {1, "1"}, {1000, "1000"}, {KiB, "1KiB"}, {1536, "1536"}, {64 * MiB, "64MiB"}, {10 * GiB, "10GiB"}, {3 * TiB, "3TiB"},
	} {
		if got := tt.size.String(); got != tt.want {
			t.Errorf("%d prints %q, want %q", int64(tt.size), got, tt.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		text string
		want time.Duration
	}{
		{"0", 0}, {"0s", 0}, {"500ms", 500 * time.Millisecond}, {"30s", 30 * time.Second}, {"1h30m", 90 * time.Minute},
		{"7d", 7 * day}, {"2w", 14 * day}, {"1w2d", 9 * day}, {"1d12h", 36 * time.Hour}, {"1.5h", 90 * time.Minute}, {" 5m ", 5 * time.Minute},
		{"5us", 5 * time.Microsecond},
	} {
		got, err := ParseDuration(tt.text)
		if err != nil || got.D() != tt.want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", tt.text, got.D(), err, tt.want)
		}
	}
}

func TestParseDurationRefuses(t *testing.T) {
	for _, text := range []string{
		"", "5", "-1s", "d", "1.5d", "-1d", "1d-12h", "1y", "soon", "1d1w", "99999w", "1h30", "+1d",
		"65535w", "10000w1500000h", "2562047h",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got.D())
		}
	}
}

func TestDurationString(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"}, {30 * time.Second, "30s"}, {time.Minute, "1m"}, {90 * time.Minute, "1h30m"}, {time.Hour, "1h"},
		{36 * time.Hour, "36h"}, {48 * time.Hour, "2d"}, {7 * 24 * time.Hour, "7d"}, {time.Hour + time.Second, "1h0m1s"},
		{10 * time.Second, "10s"}, {500 * time.Millisecond, "500ms"}, {20 * time.Minute, "20m"}, {10 * time.Hour, "10h"},
	} {
		if got := Duration(tt.d).String(); got != tt.want {
			t.Errorf("%v prints %q, want %q", tt.d, got, tt.want)
		}
	}
}

// What is printed is read back to the same value.
func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Size(rapid.Int64Range(0, 1<<50).Draw(t, "size"))
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Errorf("size %d prints %q, read back as %d, %v", int64(s), s, int64(got), err)
		}
		d := Duration(rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "duration"))
		if got, err := ParseDuration(d.String()); err != nil || got != d {
			t.Errorf("duration %v prints %q, read back as %v, %v", d.D(), d, got.D(), err)
		}
	})
}

func TestAsText(t *testing.T) {
	s, d := 5*MiB, Duration(time.Minute)
	if err := s.UnmarshalText([]byte("bad")); err == nil || s != 5*MiB {
		t.Errorf("a bad size changed the value to %v, error %v", s, err)
	}
	if err := d.UnmarshalText([]byte("bad")); err == nil || d.D() != time.Minute {
		t.Errorf("a bad duration changed the value to %v, error %v", d, err)
	}
	if err := s.Set("1KiB"); err != nil || s != KiB {
		t.Errorf("Set: %v, %v", s, err)
	}
	if err := d.Set("7d"); err != nil || d.String() != "7d" {
		t.Errorf("Set: %v, %v", d, err)
	}
	if b, err := s.MarshalText(); err != nil || string(b) != "1KiB" {
		t.Errorf("MarshalText: %s, %v", b, err)
	}
	if b, err := d.MarshalText(); err != nil || string(b) != "7d" {
		t.Errorf("MarshalText: %s, %v", b, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "1KiB", "1.5GiB", "7d", "1w2d3h", "-1", "nan", "1e400", "9223372036854775807", "9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSize(text); err == nil && s < 0 {
			t.Errorf("size %q is negative: %d", text, s)
		}
		if d, err := ParseDuration(text); err == nil && d < 0 {
			t.Errorf("duration %q is negative: %d", text, d)
		}
	})
}
