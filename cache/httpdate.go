package cache

import (
	"strings"
	"time"
)

const (
	weekdays = "sunmontuewedthufrisat"
	months   = "janfebmaraprmayjunjulaugsepoctnovdec"
)

// parseDate reads an HTTP-date in any of its three forms (RFC 9110 §5.6.7). It
// is lenient in letter case only, as RFC 9111 §4.2 asks of caches; another zone
// than GMT, other separators or lengths make a date invalid. now decides the
// century of two-digit years: none is more than 50 years ahead.
func parseDate(s string, now time.Time) (time.Time, bool) {
	s = trimOWS(s)
	switch {
	case len(s) == 29 && s[3] == ',':
		return parseIMF(s)
	case len(s) == 24 && s[3] == ' ':
		return parseAsctime(s)
	}
	return parseRFC850(s, now)
}

// parseIMF reads "Sun, 06 Nov 1994 08:49:37 GMT".
func parseIMF(s string) (time.Time, bool) {
	if nameIndex(weekdays, s[:3]) < 0 || s[4] != ' ' || s[7] != ' ' || s[11] != ' ' || s[16] != ' ' || !isGMT(s[25:]) {
		return time.Time{}, false
	}
	return civil(s[12:16], s[8:11], s[5:7], s[17:25])
}

// parseAsctime reads "Sun Nov  6 08:49:37 1994".
func parseAsctime(s string) (time.Time, bool) {
	if nameIndex(weekdays, s[:3]) < 0 || s[7] != ' ' || s[10] != ' ' || s[19] != ' ' {
		return time.Time{}, false
	}
	day := s[8:10]
	if day[0] == ' ' {
		day = day[1:]
	}
	return civil(s[20:], s[4:7], day, s[11:19])
}

// parseRFC850 reads "Sunday, 06-Nov-94 08:49:37 GMT".
func parseRFC850(s string, now time.Time) (time.Time, bool) {
	day, rest, ok := strings.Cut(s, ", ")
	if !ok || !isWeekday(day) || len(rest) != 22 || rest[2] != '-' || rest[6] != '-' || rest[9] != ' ' || !isGMT(rest[18:]) {
		return time.Time{}, false
	}
	yy, ok := digits(rest[7:9], 100)
	if !ok {
		return time.Time{}, false
	}
	year := now.UTC().Year()
	year += int(yy) - year%100
	t, ok := civilYear(year, rest[3:6], rest[:2], rest[10:18])
	if ok && t.After(now.AddDate(50, 0, 0)) {
		return civilYear(year-100, rest[3:6], rest[:2], rest[10:18])
	}
	return t, ok
}

func isWeekday(s string) bool {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(s, d.String()) {
			return true
		}
	}
	return false
}

func isGMT(s string) bool { return strings.EqualFold(s, " GMT") }

// nameIndex finds a three-letter name in a table of them, in any case.
func nameIndex(table, name string) int {
	for i := 0; i < len(table); i += 3 {
		if strings.EqualFold(table[i:i+3], name) {
			return i / 3
		}
	}
	return -1
}

func civil(year, month, day, clock string) (time.Time, bool) {
	y, ok := digits(year, 10000)
	if !ok {
		return time.Time{}, false
	}
	return civilYear(int(y), month, day, clock)
}

func civilYear(year int, month, day, clock string) (time.Time, bool) {
	m := nameIndex(months, month) + 1
	d, okD := digits(day, 100)
	hh, okH := digits(clock[:2], 100)
	mm, okM := digits(clock[3:5], 100)
	ss, okS := digits(clock[6:8], 100)
	if m == 0 || !okD || !okH || !okM || !okS || clock[2] != ':' || clock[5] != ':' ||
		d == 0 || hh > 23 || mm > 59 || ss > 60 { // 60: a leap second
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(m), int(d), int(hh), int(mm), int(ss), 0, time.UTC)
	return t, int(d) <= daysIn(year, m)
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
