package acl

import (
	"testing"
	"time"
)

func TestHours(t *testing.T) {
	// 2026-03-02 is a Monday.
	at := func(day int, clock string) time.Time {
		c, err := time.Parse("15:04:05", clock)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2026, 3, 2+day, c.Hour(), c.Minute(), c.Second(), 0, time.UTC)
	}
	const mon, tue, wed, thu, fri, sat, sun = 0, 1, 2, 3, 4, 5, 6
	for _, c := range []struct {
		spec  string
		day   int
		clock string
		want  bool
	}{
		{"Mon-Fri 08:00-18:00", mon, "08:00:00", true},
		{"Mon-Fri 08:00-18:00", mon, "07:59:59", false},
		{"Mon-Fri 08:00-18:00", fri, "17:59:59", true},
		{"Mon-Fri 08:00-18:00", fri, "18:00:00", false},
		{"Mon-Fri 08:00-18:00", sat, "12:00:00", false},
		{"sat,SUNDAY", sun, "23:59:59", true},
		{"sat,SUNDAY", mon, "00:00:00", false},
		{"Fri-Mon", sat, "12:00:00", true},
		{"Fri-Mon", mon, "12:00:00", true},
		{"Fri-Mon", wed, "12:00:00", false},
		{"22:00-06:00", tue, "23:00:00", true},
		{"22:00-06:00", tue, "05:59:59", true},
		{"22:00-06:00", tue, "06:00:00", false},
		{"Fri 22:00-06:00", fri, "23:00:00", true},
		{"Fri 22:00-06:00", sat, "05:00:00", true}, // of Friday's night
		{"Fri 22:00-06:00", fri, "05:00:00", false},
		{"Fri 22:00-06:00", sat, "23:00:00", false},
		{"Sat 22:00-06:00", sun, "01:00:00", true},
		{"Sun 22:00-06:00", mon, "01:00:00", true},
		{"9:00-24:00", thu, "23:59:59", true},
		{"00:00-24:00", thu, "00:00:00", true},
		{"Mon 08:00-09:00; Wed", wed, "20:00:00", true},
		{"Mon 08:00-09:00; Wed", mon, "20:00:00", false},
	} {
		h, err := parseHours(c.spec)
		if err != nil {
			t.Fatalf("%s: %v", c.spec, err)
		}
		if got := h.contains(at(c.day, c.clock)); got != c.want {
			t.Errorf("%q on day %d at %s: %v", c.spec, c.day, c.clock, got)
		}
	}
	for _, bad := range []string{
		"", ";", "Mon;", "Mo", "Mon-", "Mon,,Tue", "08:00", "08:00-", "8-18", "08:00-08:00", "25:00-26:00", "24:00-01:00", "08:60-09:00",
		"Mon 08:00-18:00 x", "08:00-18:00 Mon", "-1:00-02:00", "08:00 - 18:00", "24:01-25:00",
	} {
		if _, err := parseHours(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestHoursAreOfTheLocalZone(t *testing.T) {
	l := newList(t, withRules(Rule{Action: "deny", Time: "08:00-18:00"}))
	l.zone = time.FixedZone("far east", 9*3600)
	q := get("example.com")
	q.Time = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC) // 10:00 there
	if l.Check(q).Allow {
		t.Error("the hour of another zone was taken")
	}
}
