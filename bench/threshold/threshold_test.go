package threshold

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"p99<20ms", "p99<20ms"},
		{"p99<20ms,hit>0.8,errors=0", "p99<20ms,hit>0.8,errors=0"},
		{" p99.9 <= 1s , hit >= 80% ", "p99.9<=1s,hit>=0.8"},
		{"hit.p99<1ms,miss.p50!=0,disk-hit.max<1m,sibling-hit.mean>0", "hit.p99<1ms,miss.p50!=0s,disk-hit.max<1m0s,sibling-hit.mean>0s"},
		{"bytes/s>=100MiB,hit.rate>10.5", "bytes/s>=100MiB,hit.rate>10.5"},
		{"failed<1%,cpu<50us", "failed<0.01,cpu<50µs"},
	} {
		got, err := Parse(tt.text)
		if err != nil || join(got) != tt.want {
			t.Errorf("Parse(%q) = %s, %v, want %s", tt.text, join(got), err, tt.want)
		}
	}
}

func join(conditions []Condition) string {
	var parts []string
	for _, c := range conditions {
		parts = append(parts, c.String())
	}
	return strings.Join(parts, ",")
}

func TestParseShowsWhereTheMistakeIs(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "a condition is missing: want METRIC OP VALUE, such as p99<20ms\n  \n  ^"},
		{"p99<20ms,", "a condition is missing: want METRIC OP VALUE, such as p99<20ms\n  p99<20ms,\n           ^"},
		{"p99", "a comparison is missing: want one of < <= > >= = !=\n  p99\n     ^"},
		{"p99<20", "invalid value \"20\": p99 is a duration with a unit, such as 20ms\n  p99<20\n      ^"},
		{"p99<20ms, hit>2", "invalid value \"2\": hit is a ratio from 0 to 1, such as 0.8 or 80%\n  p99<20ms, hit>2\n                ^"},
		{"errors=", "a value is missing: errors is a number\n  errors=\n         ^"},
		{"errors=-1", "invalid value \"-1\""},
		{"errors=1e3", "invalid value \"1e3\""},
		{"errors=0x1", "invalid value \"0x1\""},
		{"rate>inf", "invalid value \"inf\""},
		{"errors==0", "unknown comparison \"==\": want one of < <= > >= = !=\n  errors==0\n        ^"},
		{"p98<1s", "unknown metric \"p98\"; did you mean \"p90\"?\n  p98<1s\n  ^\nmetrics: p50 p90 p99 p99.9 max mean requests rate bytes/s hit bytehit errors lies failed cpu\n"},
		{"hit.errors=0", "errors is not kept for each class: write errors\n  hit.errors=0\n  ^"},
		{"p99<1s\x1b[2J", "\n  p99<1s?[2J\n      ^"},
	} {
		got, err := Parse(tt.text)
		if err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%q): %v, want\n%s", tt.text, err, tt.want)
		}
		if e, ok := errors.AsType[*Error](unjoin(err)); err != nil && !ok {
			t.Errorf("Parse(%q): %T is no *Error", tt.text, e)
		}
	}
}

func unjoin(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()[0]
	}
	return err
}

func TestParseReportsEveryMistake(t *testing.T) {
	_, err := Parse("p98<1s,hit>0.8,errors<many")
	if n := strings.Count(err.Error(), "^"); n != 2 {
		t.Errorf("%d mistakes are shown, want 2:\n%v", n, err)
	}
}

func TestCheck(t *testing.T) {
	measured := map[string]float64{"p99": 0.030, "hit": 0.8, "errors": 0, "hit.p99": 0.001, "mean": math.NaN()}
	value := func(class, metric string) (float64, bool) {
		if class != "" {
			metric = class + "." + metric
		}
		v, ok := measured[metric]
		return v, ok
	}
	for _, tt := range []struct{ text, want string }{
		{"p99<31ms,p99<=30ms,p99>=30ms,p99=30ms,p99>29ms,p99!=1s,hit>=80%,errors=0,hit.p99<2ms", ""},
		{"p99<20ms", "p99<20ms: is 30ms"},
		{"hit>0.8,errors!=0", "hit>0.8: is 0.8; errors!=0: is 0"},
		{"cpu<1s", "cpu<1s: not measured"},
		{"mean<1s,mean>1s", "mean<1s: not measured; mean>1s: not measured"},
	} {
		conditions, err := Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, m := range Check(conditions, value) {
			said = append(said, m.String())
		}
		if got := strings.Join(said, "; "); got != tt.want {
			t.Errorf("%s: missed %q, want %q", tt.text, got, tt.want)
		}
	}
}

// What Parse accepts it also prints so that it reads the same again; what it
// refuses it shows without control characters.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"p99<20ms,hit>0.8,errors=0", "hit.p99.9 >= 1h", "bytes/s>1.5GB", "a,b", "p99<<1", "p99<1s\x00", "failed<=12.5%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if err != nil {
			if strings.ContainsAny(strings.ReplaceAll(err.Error(), "\n", ""), "\x00\x1b\r") {
				t.Errorf("%q: the error has control characters: %q", text, err)
			}
			return
		}
		again, err := Parse(join(got))
		if err != nil {
			t.Fatalf("%q is printed as %q: %v", text, join(got), err)
		}
		for i, c := range got {
			if d := again[i]; d.Metric.Name != c.Metric.Name || d.Class != c.Class || d.Op != c.Op {
				t.Errorf("%q: %v is read again as %v", text, c, d)
			}
		}
	})
}
