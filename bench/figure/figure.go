// Package figure prints figures for people: durations, sizes, rates and shares
// with the digits that matter. Machines are given plain numbers instead.
package figure

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/cachenode/cachenode/internal/units"
)

// Duration shows three digits of a time given in seconds.
func Duration(seconds float64) string {
	if seconds < 0 || math.IsNaN(seconds) || seconds > 1e9 {
		return "-"
	}
	switch {
	case seconds == 0:
		return "0"
	case seconds < 1e-6:
		return fmt.Sprintf("%.0fns", seconds*1e9)
	case seconds < 0.9995e-3:
		return digits(seconds*1e6) + "µs"
	case seconds < 0.9995:
		return digits(seconds*1e3) + "ms"
	case seconds < 100:
		return digits(seconds) + "s"
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// digits shows three of them.
func digits(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Percent shows a ratio with two decimals.
func Percent(ratio float64) string { return fmt.Sprintf("%.2f %%", 100*ratio) }

// Bytes shows three digits of a number of bytes.
func Bytes(n float64) string {
	for _, u := range []struct {
		n    units.Size
		name string
	}{{units.TiB, "TiB"}, {units.GiB, "GiB"}, {units.MiB, "MiB"}, {units.KiB, "KiB"}} {
		if n >= float64(u.n) {
			return digits(n/float64(u.n)) + " " + u.name
		}
	}
	return fmt.Sprintf("%.0f B", n)
}

// Rate shows a number of things per second.
func Rate(v float64) string {
	if v < 100 {
		return digits(v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Count is a number with its noun: 1 error, 2 errors.
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Plain replaces what would move a terminal's cursor, in text from elsewhere.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
