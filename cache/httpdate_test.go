package cache

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDate(t *testing.T) {
	want := time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Sun Nov 06 08:49:37 1994", " sUN, 06 nOV 1994 08:49:37 gmt\t",
	} {
		if got, ok := parseDate(s, t0); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", "0", "-1", "now", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Foo 1994 08:49:37 GMT", "Foo, 06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov  6 08:49:37 94", "Sun, 06 Nov -994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 GMTX", "Sunday, 06-Nov-94 08:49:37 +00",
	} {
		if got, ok := parseDate(s, t0); ok {
			t.Errorf("%q is read as %v", s, got)
		}
	}
}

func TestTwoDigitYears(t *testing.T) {
	for yy, want := range map[string]int{"26": 2026, "27": 2027, "75": 2075, "76": 2076, "77": 1977, "99": 1999, "00": 2000} {
		got, ok := parseDate("Sunday, 01-Jan-"+yy+" 00:00:00 GMT", t0) // t0 is in March 2026
		if !ok || got.Year() != want {
			t.Errorf("%s: %d, want %d", yy, got.Year(), want)
		}
	}
}

func TestLeapSecond(t *testing.T) {
	got, ok := parseDate("Sat, 31 Dec 2016 23:59:60 GMT", t0)
	if want := time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC); !ok || !got.Equal(want) {
		t.Errorf("%v, %v", got, ok)
	}
}

func TestDatesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "seconds"), 0).UTC()
		for _, layout := range []string{http.TimeFormat, time.ANSIC} {
			if got, ok := parseDate(want.Format(layout), t0); !ok || !got.Equal(want) {
				t.Fatalf("%s: %v, %v", want.Format(layout), got, ok)
			}
		}
	})
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := parseDate(s, t0); ok {
			if again, ok := parseDate(got.Format(http.TimeFormat), t0); !ok || !again.Equal(got) {
				t.Fatalf("%q is %v, which is %v", s, got, again)
			}
		}
	})
}
