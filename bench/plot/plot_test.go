package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// wellFormed reads markup as XML, which is stricter than HTML, and counts its
// elements.
func wellFormed(t *testing.T, markup string) map[string]int {
	t.Helper()
	count := map[string]int{}
	d := xml.NewDecoder(strings.NewReader("<root>" + markup + "</root>"))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, markup)
		}
		if s, ok := token.(xml.StartElement); ok {
			count[s.Name.Local]++
		}
	}
}

func TestLine(t *testing.T) {
	l := Line{
		ID: "a", Title: `<">&`, X: Axis{Label: "x"}, Y: Axis{Label: "y"}, Marks: []Mark{{X: 1, Name: "<kill>"}},
		Series: []Series{
			{Name: "<one>", Points: []Point{{0, 1}, {1, math.NaN()}, {2, 3}}},
			{Name: "two", Bars: true, Points: []Point{{0, 1}, {1, 2}}},
		},
	}
	n := wellFormed(t, string(l.SVG()))
	if n["circle"] != 2 || n["rect"] != 2 || n["path"] != 1 || n["kill"]+n["one"] != 0 || n["li"] != 2 {
		t.Errorf("elements %v", n)
	}
}

// Whatever the values are, the picture stays one.
func TestStrangeValues(t *testing.T) {
	inf := math.Inf(1)
	for _, scale := range []Scale{Linear, Log, Percentile} {
		for _, values := range [][]Point{nil, {{0, 0}}, {{1, 5}, {1, 5}}, {{0, -1}, {inf, inf}}, {{math.NaN(), math.NaN()}}, {{1, 1e300}, {2, 1e-300}}} {
			l := Line{ID: "a", X: Axis{Scale: scale}, Y: Axis{Scale: scale}, Series: []Series{{Points: values}}}
			svg := string(l.SVG())
			wellFormed(t, svg)
			if strings.Contains(svg, "NaN\" ") || strings.Contains(svg, `="+Inf`) || len(svg) > 100_000 {
				t.Errorf("scale %d, %v: %s", scale, values, svg[:min(len(svg), 2000)])
			}
		}
	}
}

func TestScales(t *testing.T) {
	for _, tt := range []struct {
		s    span
		v    float64
		want float64
	}{
		{span{Axis: Axis{}, lo: 0, hi: 10}, 5, 0.5},
		{span{Axis: Axis{}, lo: 0, hi: 10}, 50, 1},
		{span{Axis: Axis{Scale: Log}, lo: 1, hi: 100}, 10, 0.5},
		{span{Axis: Axis{Scale: Log}, lo: 1, hi: 100}, 0, 0},
		{span{Axis: Axis{Scale: Percentile}, lo: 0, hi: 0.99}, 0.9, 0.5},
	} {
		if got := tt.s.at(tt.v); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("scale %d: %v is at %v, want %v", tt.s.Scale, tt.v, got, tt.want)
		}
	}
	if step := niceStep(0.3); step != 0.5 {
		t.Errorf("niceStep(0.3) = %v", step)
	}
}

func TestBars(t *testing.T) {
	b := Bars{ID: "b", Title: "b", Parts: []string{"x", "y"}, Rows: []Row{{Name: "</svg><script>", Values: []float64{1, 2}}, {Name: strings.Repeat("ü", 50), Values: []float64{0, 0, 0}}}}
	n := wellFormed(t, string(b.SVG()))
	if n["rect"] != 5 || n["script"] != 0 {
		t.Errorf("elements %v", n)
	}
	empty := Bars{ID: "b"}
	wellFormed(t, string(empty.SVG()))
}

func TestPageEscapes(t *testing.T) {
	evil := `"><script>alert(1)</script>` + "\x00\x1b\xff"
	p := Page{
		Title: evil, Lead: evil, Warnings: []string{evil}, Facts: []Fact{{evil, evil, true}}, Footer: evil,
		Sections: []Section{{ID: "s", Title: evil, Note: evil, Table: &Table{Head: []string{evil}, Rows: [][]string{{evil}, {"1"}}}}},
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); strings.Contains(s, "<script") || strings.ContainsAny(s, "\x00\x1b") || !strings.Contains(s, "&lt;script&gt;") {
		t.Error(s)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("<b>&\"'\x00\x85\xff")
	f.Add("]]>￿")
	f.Fuzz(func(t *testing.T, s string) {
		l := Line{ID: "a", Title: s, Series: []Series{{Name: s, Points: []Point{{1, 1}}}, {Name: s}}}
		if n := wellFormed(t, string(l.SVG())); n["svg"] != 1 || n["title"] != 2 {
			t.Errorf("%q: elements %v", s, n)
		}
	})
}
