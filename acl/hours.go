package acl

import (
	"fmt"
	"strings"
	"time"
)

// hours is a set of ranges of wall-clock time within the week.
type hours []hourRange

type hourRange struct {
	days  [7]bool // by time.Weekday, of the day the range begins
	from  int     // minute of the day
	until int     // minute of the day, excluded; at or before from: past midnight
}

const dayMinutes = 24 * 60

// contains reads the clock of t's own zone.
func (h hours) contains(t time.Time) bool {
	day := t.Weekday()
	minute := t.Hour()*60 + t.Minute()
	for i := range h {
		if h[i].contains(day, minute) {
			return true
		}
	}
	return false
}

func (r *hourRange) contains(day time.Weekday, minute int) bool {
	if r.from < r.until {
		return r.days[day] && r.from <= minute && minute < r.until
	}
	yesterday := (day + 6) % 7
	return r.days[day] && minute >= r.from || r.days[yesterday] && minute < r.until
}

// parseHours reads "Mon-Fri 08:00-18:00; Sat,Sun 22:00-06:00". Either part of a
// range may be left out.
func parseHours(s string) (hours, error) {
	var list hours
	for part := range strings.SplitSeq(s, ";") {
		r, ok := parseHourRange(strings.Fields(part))
		if !ok {
			return nil, fmt.Errorf("invalid time %q: want days, hours or both, such as \"Mon-Fri 08:00-18:00\"", strings.TrimSpace(part))
		}
		list = append(list, r)
	}
	return list, nil
}

func parseHourRange(fields []string) (r hourRange, ok bool) {
	if len(fields) == 0 || len(fields) > 2 {
		return r, false
	}
	r = hourRange{days: [7]bool{true, true, true, true, true, true, true}, until: dayMinutes}
	if !strings.Contains(fields[0], ":") {
		if r.days, ok = parseDays(fields[0]); !ok {
			return r, false
		}
		fields = fields[1:]
	}
	if len(fields) == 0 {
		return r, true
	}
	begin, end, dash := strings.Cut(fields[0], "-")
	var ok1, ok2 bool
	r.from, ok1 = parseClock(begin)
	r.until, ok2 = parseClock(end)
	return r, dash && len(fields) == 1 && ok1 && ok2 && r.from != r.until && r.from < dayMinutes
}

// parseDays reads days and ranges of days with commas between them; a range may
// go past the end of the week.
func parseDays(s string) (days [7]bool, ok bool) {
	for part := range strings.SplitSeq(s, ",") {
		begin, end, isRange := strings.Cut(part, "-")
		if !isRange {
			end = begin
		}
		d, ok1 := parseDay(begin)
		last, ok2 := parseDay(end)
		if !ok1 || !ok2 {
			return days, false
		}
		for days[d] = true; d != last; days[d] = true {
			d = (d + 1) % 7
		}
	}
	return days, true
}

// parseDay takes the English name or its first three letters.
func parseDay(s string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := d.String(); strings.EqualFold(s, name) || strings.EqualFold(s, name[:3]) {
			return d, true
		}
	}
	return 0, false
}

// parseClock reads HH:MM, up to 24:00.
func parseClock(s string) (minute int, ok bool) {
	h, m, colon := strings.Cut(s, ":")
	hour, ok1 := twoDigits(h)
	minute, ok2 := twoDigits(m)
	total := hour*60 + minute
	return total, colon && ok1 && ok2 && minute < 60 && total <= dayMinutes
}

func twoDigits(s string) (int, bool) {
	if len(s) == 1 {
		s = "0" + s
	}
	if len(s) != 2 || s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
}
